package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// series is one line or one kind of bar of a plot.
type series struct {
	name string
	x, y []float64 // of bars y alone: NaN where there is none
}

// chart is a plot. Bars stand over labels, lines over numbers.
type chart struct {
	title, xTitle, yTitle string
	labels                []string // of bars
	logX                  bool
	all                   []series
}

const (
	chartWidth, chartHeight               = 900, 420
	leftEdge, rightEdge, topEdge, lowEdge = 80, 880, 56, 330
)

var colours = map[string]string{"triggerhook": "#1f6fb4", "embedded": "#7fb2de", "limit": "#888888", "asynq": "#d9782d", "river": "#3a9a5b",
	"nats": "#7e22ce", "bullmq": "#a16207"}

// plotsOf draws a plot a scenario: rates, and what varies over a number as lines.
func plotsOf(rows []row) map[string]string {
	out := map[string]string{}
	for _, name := range scenarioOrder {
		var mine []row
		for _, r := range rows {
			if r.Scenario == name && r.Cannot == "" {
				mine = append(mine, r)
			}
		}
		if len(mine) == 0 {
			continue
		}
		switch name {
		case "backlog":
			out[name] = drain(mine, "drain rate", "tasks/s", func(p point) float64 { return p.RatePerS }).svg()
			out[name+"-redis"] = drain(mine, "Redis memory", "MB, most so far", func(p point) float64 { return p.RedisMB }).svg()
			out[name+"-purge"] = drain(mine, "MySQL's purge behind it", "undo logs", func(p point) float64 { return p.Purge }).svg()
		case "fleet":
			out[name] = over(mine, "fleet: one instant", "worker processes", "tasks/s", func(r row) float64 { return float64(r.Workers) }, rate).svg()
		case "grow":
			for _, verb := range []string{"create", "claim", "confirm"} {
				c := over(of(mine, verb), "grow: one "+verb, "rows in the table", "ms, median", func(r row) float64 { return float64(r.Rows) },
					func(r row) float64 { return r.P50MS })
				c.logX = true
				out[name+"-"+verb] = c.svg()
			}
		case "lateness":
			out[name] = bars(mine, "lateness: p99", "ms", func(r row) float64 { return r.P99MS }).svg()
			out[name+"-cpu"] = bars(mine, "processor time a task, all processes", "us", cpuUS).svg()
			if svg, err := latenessPlot(mine); err == nil { // none without its two rates
				out[name+"-percentiles"] = svg
			}
		case "now":
			out[name] = bars(mine, "now: from create to the handler, mean", "ms", func(r row) float64 { return r.MeanMS }).svg()
			out[name+"-p99"] = bars(mine, "now: from create to the handler, p99", "ms", func(r row) float64 { return r.P99MS }).svg()
		case "idle":
			out[name] = bars(having(mine, idleOf), "idle: processor time, all processes", "ms/s", func(r row) float64 { return *r.IdleCPUMSPerS }).svg()
		case "recovery":
			out[name] = bars(having(mine, gapOf), "recovery: longest gap after a fault", "ms", func(r row) float64 { return *r.GapMS }).svg()
		default:
			out[name] = bars(mine, name, "tasks/s", rate).svg()
		}
	}
	return out
}

func rate(r row) float64    { return r.RatePerS }
func cpuUS(r row) float64   { return 1e6 * r.CPUS / float64(max(r.N, 1)) }
func idleOf(r row) *float64 { return r.IdleCPUMSPerS }
func gapOf(r row) *float64  { return r.GapMS }

// having are the rows that have a figure.
func having(rows []row, figure func(row) *float64) (some []row) {
	for _, r := range rows {
		if figure(r) != nil {
			some = append(some, r)
		}
	}
	return some
}

func of(rows []row, variant string) (some []row) {
	for _, r := range rows {
		if r.Variant == variant {
			some = append(some, r)
		}
	}
	return some
}

// bars has a group a variant and a bar a system.
func bars(rows []row, title, yTitle string, value func(row) float64) chart {
	c := chart{title: title, yTitle: yTitle}
	at := map[string]int{}
	for _, r := range rows {
		if _, ok := at[r.title()]; !ok {
			at[r.title()] = len(c.labels)
			c.labels = append(c.labels, r.title())
		}
	}
	for _, system := range systemNames {
		s := series{name: system, y: make([]float64, len(c.labels))}
		for i := range s.y {
			s.y[i] = math.NaN()
		}
		found := false
		for _, r := range rows {
			if r.System == system {
				s.y[at[r.title()]], found = value(r), true
			}
		}
		if found {
			c.all = append(c.all, s)
		}
	}
	return c
}

// over has a line a system.
func over(rows []row, title, xTitle, yTitle string, x, y func(row) float64) chart {
	c := chart{title: title, xTitle: xTitle, yTitle: yTitle}
	for _, system := range systemNames {
		s := series{name: system}
		for _, r := range rows {
			if r.System == system {
				s.x, s.y = append(s.x, x(r)), append(s.y, y(r))
			}
		}
		if len(s.x) > 0 {
			c.all = append(c.all, s)
		}
	}
	return c
}

// drain has a line a system over a backlog's tenths.
func drain(rows []row, what, yTitle string, y func(point) float64) chart {
	c := chart{title: "backlog: " + what, xTitle: "part of the backlog that is done", yTitle: yTitle}
	for _, r := range rows {
		s := series{name: r.System}
		for _, p := range r.Series {
			s.x, s.y = append(s.x, float64(p.Done)/float64(r.N)), append(s.y, y(p))
		}
		c.all = append(c.all, s)
	}
	return c
}

// svg draws c.
func (c chart) svg() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", chartWidth, chartHeight)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="%d" y="22" font-size="16">%s</text>`+"\n", leftEdge, html.EscapeString(c.title))
	top := c.top()
	for k := range 5 {
		v := top * float64(k) / 4
		y := scale(v, 0, top, lowEdge, topEdge)
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#dddddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			leftEdge, rightEdge, y, y, leftEdge-6, y+4, figure(v))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", leftEdge-6, topEdge-14, html.EscapeString(c.yTitle))
	for i, s := range c.all {
		x := leftEdge + 110*i
		fmt.Fprintf(&b, `<rect x="%d" y="32" width="12" height="12" fill="%s"/><text x="%d" y="43">%s</text>`+"\n", x, colour(s.name), x+17, html.EscapeString(s.name))
	}
	if c.labels != nil {
		c.drawBars(&b, top)
	} else {
		c.drawLines(&b, top)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// top is a round number that no value exceeds.
func (c chart) top() float64 {
	most := 0.0
	for _, s := range c.all {
		for _, v := range s.y {
			if v > most {
				most = v
			}
		}
	}
	if most == 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(most)))
	for _, k := range []float64{1, 2, 4, 6, 8} {
		if k*unit >= most {
			return k * unit
		}
	}
	return 10 * unit
}

func (c chart) drawBars(b *strings.Builder, top float64) {
	group := float64(rightEdge-leftEdge) / float64(len(c.labels))
	width := group * 0.8 / float64(len(c.all))
	for k, s := range c.all {
		for i, v := range s.y {
			if math.IsNaN(v) {
				continue
			}
			y := scale(v, 0, top, lowEdge, topEdge)
			fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n",
				leftEdge+group*(float64(i)+0.1)+width*float64(k), y, width*0.92, lowEdge-y, colour(s.name))
		}
	}
	for i, label := range c.labels {
		x := leftEdge + group*(float64(i)+0.5)
		fmt.Fprintf(b, `<text transform="translate(%.1f,%d) rotate(-20)" text-anchor="end">%s</text>`+"\n", x+8, lowEdge+16, html.EscapeString(label))
	}
}

func (c chart) drawLines(b *strings.Builder, top float64) {
	place := func(x float64) float64 {
		if c.logX {
			return math.Log10(max(x, 1))
		}
		return x
	}
	low, high := math.Inf(1), math.Inf(-1)
	seen := map[float64]bool{}
	for _, s := range c.all {
		for _, x := range s.x {
			low, high = min(low, place(x)), max(high, place(x))
			seen[x] = true
		}
	}
	for _, s := range c.all {
		var points []string
		for i := range s.x {
			x, y := scale(place(s.x[i]), low, high, leftEdge+20, rightEdge-20), scale(s.y[i], 0, top, lowEdge, topEdge)
			points = append(points, fmt.Sprintf("%.1f,%.1f", x, y))
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x, y, colour(s.name))
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colour(s.name))
	}
	for x := range seen {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", scale(place(x), low, high, leftEdge+20, rightEdge-20), lowEdge+18, figure(x))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (leftEdge+rightEdge)/2, lowEdge+42, html.EscapeString(c.xTitle))
}

func colour(name string) string {
	if c := colours[name]; c != "" {
		return c
	}
	return "#555555"
}

// scale maps v from one range to another.
func scale(v, from, to, low, high float64) float64 {
	if to == from {
		return (low + high) / 2
	}
	return low + (v-from)/(to-from)*(high-low)
}
