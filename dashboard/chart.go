package dashboard

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// barWidth and barHeight are the size of the place of one bar. A chart is stretched to the width of the page, so only its proportions count.
const (
	barWidth  = 10
	barHeight = 100
)

// loadView is what is to come, as two charts.
type loadView struct {
	Error  string
	Charts []chart
}

// chart is a histogram as a picture, as a sentence, and as a table.
type chart struct {
	Key, Title string
	Summary    string // what the picture shows, for those who do not see it
	Width      int
	Top        string // what the highest bar is
	Total      string
	Bars       []bar
	Ticks      []string
	Rows       []chartRow
	Estimated  bool
	Empty      bool
}

// bar is one bar of a chart.
type bar struct {
	X, Y, Height int
	Label        string
	About        bool
}

// chartRow is one row of the table beside a chart.
type chartRow struct{ Span, Count string }

func loadOf(l *load) loadView {
	if l == nil {
		return loadView{Error: "The forecast is not there yet."}
	}
	v := loadView{Charts: []chart{
		chartOf("hour", "The coming hour", l.hour, 5, []string{"now", "15 min", "30 min", "45 min", "1 h"}),
		chartOf("day", "The coming 24 hours", l.day, 4, []string{"now", "6 h", "12 h", "18 h", "24 h"})}}
	if l.err != nil {
		v.Error = l.err.Error()
	}
	return v
}

// chartOf draws a histogram. A row of its table has so many bars.
func chartOf(key, title string, g histogram, perRow int, ticks []string) chart {
	c := chart{Key: key, Title: title, Width: len(g.counts) * barWidth, Ticks: ticks, Estimated: g.estimated < len(g.counts)}
	most, total, peak := int64(0), int64(0), 0
	for i, n := range g.counts {
		total += n
		if n > most {
			most, peak = n, i
		}
	}
	c.Top, c.Total, c.Empty = num(most), about(total, c.Estimated), most == 0
	for i, n := range g.counts {
		h := 0
		if n > 0 {
			h = max(1, int(math.Round(float64(n)/float64(most)*barHeight)))
		}
		isAbout := i >= g.estimated
		c.Bars = append(c.Bars, bar{i * barWidth, barHeight - h, h, about(n, isAbout) + " due " + between(i, i+1, g.step), isAbout})
	}
	for i := 0; i < len(g.counts); i += perRow {
		sum, end := int64(0), min(i+perRow, len(g.counts))
		for _, n := range g.counts[i:end] {
			sum += n
		}
		c.Rows = append(c.Rows, chartRow{between(i, end, g.step), about(sum, end > g.estimated)})
	}
	c.Summary = fmt.Sprintf("%s: no task falls due.", title)
	if !c.Empty {
		c.Summary = fmt.Sprintf("%s: %s tasks fall due, most of them %s: %s.", title, c.Total, between(peak, peak+1, g.step), c.Top)
	}
	return c
}

// between names the time of the bars from one up to another.
func between(from, to int, step time.Duration) string {
	if from == 0 {
		return "within " + span(time.Duration(to)*step)
	}
	return "in " + span(time.Duration(from)*step) + " to " + span(time.Duration(to)*step)
}

// latenessView is how late the workers deliver.
type latenessView struct {
	Asking    bool // they have not told yet
	Since     string
	Count     string
	Quantiles []quantileView
	Empty     bool
	Line50    string // points of a line, of the last 15 minutes; empty: there are fewer than two
	Line99    string
	Low, High string // what the lowest and the highest place of the picture are
	Summary   string
}

// quantileView is one figure of it.
type quantileView struct{ Name, Late string }

const (
	lineWidth, lineHeight = 900, 100
)

func latenessOf(f *fleet) latenessView {
	if f == nil || f.at.IsZero() {
		return latenessView{Asking: true}
	}
	l := f.lateness
	v := latenessView{Since: "since the workers began", Count: num(l.n), Empty: l.n == 0}
	if !l.since.IsZero() {
		v.Since = "in the last " + span(time.Since(l.since))
	}
	for _, q := range l.quantiles {
		name := "p" + strings.TrimSuffix(fmt.Sprintf("%.1f", q.share*100), ".0")
		v.Quantiles = append(v.Quantiles, quantileView{name, late(q.late)})
	}
	v.draw(l)
	return v
}

// draw draws p50 and p99 of the slots, on a logarithmic scale: a tenfold lateness is as far up at each height.
func (v *latenessView) draw(l lateness) {
	low, high, last := math.Inf(1), 0.0, time.Time{}
	n := 0
	for _, s := range l.slots {
		if s.n > 0 {
			n++
			low, high, last = min(low, max(s.p50.Seconds(), 1e-5)), max(high, s.p99.Seconds()), s.at
		}
	}
	if n < 2 || high <= 0 {
		return
	}
	low, high = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(max(high, low*1.01))))
	v.Low, v.High = late(time.Duration(low*float64(time.Second))), late(time.Duration(high*float64(time.Second)))
	point := func(at time.Time, d time.Duration) string {
		x := lineWidth * (1 - last.Sub(at).Seconds()/latenessSpan.Seconds())
		y := lineHeight * (1 - (math.Log10(max(d.Seconds(), low))-math.Log10(low))/(math.Log10(high)-math.Log10(low)))
		return fmt.Sprintf("%.0f,%.1f ", x, y)
	}
	for _, s := range l.slots {
		if s.n > 0 && last.Sub(s.at) <= latenessSpan {
			v.Line50 += point(s.at, s.p50)
			v.Line99 += point(s.at, s.p99)
		}
	}
	v.Summary = fmt.Sprintf("Lateness over the last 15 minutes, between %s and %s, on a logarithmic scale.", v.Low, v.High)
}
