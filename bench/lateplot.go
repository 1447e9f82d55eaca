package main

import (
	"errors"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The plot of lateness: a panel a rate, a line a system over the percentiles, which are spread so that each further nine has as much room as
// the one before. Both colour schemes of a page are served, because a browser applies the style of a picture too.
const (
	panelWidth, panelHeight = 490, 400
	panelLeft, panelRight   = 62, 350 // of the plane within its panel
	panelTop, panelLow      = 84, 340
	lastPart                = 0.7 // how far the largest value stands right of the last percentile
)

// panelVariants are the rates that have a panel, with their titles.
var panelVariants = []struct{ variant, title string }{{"100/s", "100 tasks/s"}, {"1000/s", "1,000 tasks/s"}}

// panelTicks are the parts that are named.
var panelTicks = []struct {
	q    float64
	name string
}{{0.5, "50 %"}, {0.9, "90 %"}, {0.99, "99 %"}, {0.999, "99.9"}, {0.9999, "99.99"}, {1, "max"}}

// systemTitles are the names that readers know.
var systemTitles = map[string]string{"triggerhook": "Trigger Hook", "asynq": "asynq", "river": "river", "nats": "NATS @at", "bullmq": "BullMQ", "embedded": "embedded"}

// latePlotted are the systems of the plot, in the order of their colours.
var latePlotted = []string{"triggerhook", "asynq", "river", "nats", "bullmq"}

const panelStyle = `<style>
text { font: 12px ui-sans-serif, system-ui, sans-serif; fill: #1d2421; }
.title { font-size: 16px; font-weight: 600; } .small { fill: #55605b; } .rule { stroke: #d5dbd8; }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round; } .triggerhook { stroke-width: 3.5; } .name { font-weight: 600; }
.triggerhook { stroke: #0f766e; } .asynq { stroke: #c2410c; } .river { stroke: #1d4ed8; } .nats { stroke: #7e22ce; } .bullmq { stroke: #a16207; }
text.triggerhook { stroke: none; fill: #0f766e; } text.asynq { stroke: none; fill: #c2410c; } text.river { stroke: none; fill: #1d4ed8; }
text.nats { stroke: none; fill: #7e22ce; } text.bullmq { stroke: none; fill: #a16207; }
@media (prefers-color-scheme: dark) {
text { fill: #e7ece9; } .small { fill: #a6b1ac; } .rule { stroke: #3a433f; }
.triggerhook { stroke: #2dd4bf; } .asynq { stroke: #fb923c; } .river { stroke: #93c5fd; } .nats { stroke: #d8b4fe; } .bullmq { stroke: #fde047; }
text.triggerhook { fill: #2dd4bf; } text.asynq { fill: #fb923c; } text.river { fill: #93c5fd; } text.nats { fill: #d8b4fe; } text.bullmq { fill: #fde047; }
}
</style>
`

// plotted are the rows that a panel shows.
func plotted(rows []row, variant string) (some []row) {
	for _, system := range latePlotted {
		for _, r := range rows {
			if r.Scenario == "lateness" && r.Variant == variant && r.System == system && r.Cannot == "" && !r.Unflushed && r.RTTMS == 0 && r.Partitions == 0 &&
				r.Build == "" && len(r.QuantilesMS) == len(quantiles) {
				some = append(some, r)
				break
			}
		}
	}
	return some
}

// latenessPlot draws the panels of the rates that rows have.
func latenessPlot(rows []row) (string, error) {
	var panels []string
	low, high := lateRange(rows)
	for _, v := range panelVariants {
		if some := plotted(rows, v.variant); len(some) > 0 {
			panels = append(panels, panel(v.title, some, low, high))
		}
	}
	if len(panels) == 0 {
		return "", errors.New("the results have no lateness at 100/s or 1000/s of stores that flush each commit, with quantiles")
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="t d">`+"\n", panelWidth*len(panels), panelHeight)
	fmt.Fprintf(&b, "<title id=\"t\">How late tasks come</title>\n<desc id=\"d\">%s</desc>\n%s", html.EscapeString(described(rows)), panelStyle)
	fmt.Fprintf(&b, `<text x="%d" y="24" class="title">How late tasks come, in ms</text>`+"\n", panelLeft)
	fmt.Fprintf(&b, `<text x="%d" y="44" class="small">tasks created, delivered and confirmed one at a time; all stores flush each commit</text>`+"\n", panelLeft)
	for i, p := range panels {
		fmt.Fprintf(&b, "<g transform=\"translate(%d,0)\">\n%s</g>\n", i*panelWidth, p)
	}
	b.WriteString("</svg>\n")
	return b.String(), nil
}

// described is the plot in words, for those who do not see it.
func described(rows []row) string {
	var parts []string
	for _, v := range panelVariants {
		for _, r := range plotted(rows, v.variant) {
			parts = append(parts, fmt.Sprintf("%s at %s: median %s ms, 99 %% within %s ms, at most %s ms.", systemTitles[r.System], v.title,
				figure(r.P50MS), figure(r.P99MS), figure(r.MaxMS)))
		}
	}
	return strings.Join(parts, " ")
}

// lateRange are the powers of ten, in ms, between which all values are, at least from 0.1 to 100.
func lateRange(rows []row) (low, high float64) {
	low, high = -1, 2
	for _, v := range panelVariants {
		for _, r := range plotted(rows, v.variant) {
			for _, q := range r.QuantilesMS {
				if q > 0 {
					low, high = min(low, math.Floor(math.Log10(q))), max(high, math.Ceil(math.Log10(q)))
				}
			}
		}
	}
	return low, high
}

// partX is where a part of all tasks stands.
func partX(q float64) float64 {
	nines := func(q float64) float64 { return -math.Log10(1 - q) }
	first, last := nines(0.5), nines(0.9999)
	at := last + lastPart
	if q < 1 {
		at = nines(q)
	}
	return scale(at, first, last+lastPart, panelLeft, panelRight)
}

// panel draws one rate.
func panel(title string, rows []row, low, high float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<text x="%d" y="70" class="name">%s</text>`+"\n", panelLeft, html.EscapeString(title))
	y := func(ms float64) float64 {
		return scale(math.Log10(max(ms, math.Pow(10, low))), low, high, panelLow, panelTop)
	}
	for k := low; k <= high; k++ {
		at := y(math.Pow(10, k))
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" class="rule"/><text x="%d" y="%.1f" text-anchor="end" class="small">%s</text>`+"\n",
			panelLeft, panelRight, at, at, panelLeft-6, at+4, thousands(math.Pow(10, k)))
	}
	for _, t := range panelTicks {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" class="small">%s</text>`+"\n", partX(t.q), panelLow+20, t.name)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle" class="small">part of the tasks that come no later</text>`+"\n", (panelLeft+panelRight)/2, panelLow+40)
	ends := make([]float64, len(rows))
	for i, r := range rows {
		var points []string
		for k, q := range quantiles {
			points = append(points, fmt.Sprintf("%.1f,%.1f", partX(q), y(r.QuantilesMS[k])))
		}
		ends[i] = y(r.QuantilesMS[len(quantiles)-1]) + 4
		fmt.Fprintf(&b, `<polyline class="%s" points="%s"/>`+"\n", r.System, strings.Join(points, " "))
	}
	for i, at := range apart(ends, 15) {
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" class="name %s">%s</text>`+"\n", panelRight+8, at, rows[i].System, label(rows[i]))
	}
	return b.String()
}

// label names a system, and what it did if it did not keep up with the rate that was asked for.
func label(r row) string {
	asked := 0
	if _, err := fmt.Sscanf(r.Variant, "%d/s", &asked); err == nil && r.RatePerS < keepsUp*float64(asked) {
		return fmt.Sprintf("%s, %s/s", systemTitles[r.System], thousands(math.Round(r.RatePerS)))
	}
	return systemTitles[r.System]
}

// apart moves values that are nearer to each other than a distance, so that labels at them can be read; their order stays.
func apart(values []float64, distance float64) []float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case values[a] < values[b]:
			return -1
		case values[a] > values[b]:
			return 1
		}
		return 0
	})
	out := slices.Clone(values)
	for k := 1; k < len(order); k++ {
		if least := out[order[k-1]] + distance; out[order[k]] < least {
			out[order[k]] = least
		}
	}
	return out
}

// thousands writes a number with commas between thousands.
func thousands(v float64) string {
	text := figure(v)
	if v >= 1 && v == math.Trunc(v) {
		text = fmt.Sprintf("%.0f", v)
	}
	whole, rest, dot := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if dot {
		return whole + "." + rest
	}
	return whole
}
