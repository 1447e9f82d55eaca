package top

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/metrics/throughput"
)

// Workers asks the workers, as Scheduler.Workers does: the first time takes some seconds.
type Workers func(context.Context) ([]triggerhook.WorkerInfo, error)

// fleet is what the workers told.
type fleet struct {
	meter *throughput.Meter
	now   throughput.Figures
	told  bool                   // they did
	late  []throughput.Histogram // of the last answers, oldest first
	err   error                  // of the last answer; one of a single worker comes beside the others
}

// askedMsg is what the workers have answered.
type askedMsg struct {
	at      time.Time
	workers []triggerhook.WorkerInfo
	err     error
}

// askAgainMsg asks for the next answer.
type askAgainMsg struct{}

// ask asks the workers. It is beside the reads of the stores, because the first answer takes some seconds.
func (m Model) ask() tea.Msg {
	ctx, cancel := context.WithTimeout(m.ctx, readTime)
	defer cancel()
	workers, err := m.workers(ctx)
	return askedMsg{time.Now(), workers, err}
}

// askLater waits until the workers are to be asked again, or the program ends.
func (m Model) askLater() tea.Msg {
	m.pause()
	return askAgainMsg{}
}

// takeFleet takes an answer. The figures of before stay if there is none.
func (m *Model) takeFleet(a askedMsg) {
	f := &m.fleet
	if f.err = a.err; a.err != nil && len(a.workers) == 0 {
		return
	}
	f.now, f.told = f.meter.Add(a.at, a.workers), true
	f.late = append(append([]throughput.Histogram{}, f.late...), f.now.Lateness)
	f.late = f.late[max(0, len(f.late)-kept):]
}

// speeds says what the workers do in a second, and how late they delivered within the last answers.
func (f fleet) speeds() []string {
	r := f.now.Rates
	return []string{row("delivered", f.rate(r.Delivered), "a second, "+f.lateness()),
		row("confirmed", f.rate(r.Confirmed), "a second; failed "+f.rate(r.Failed)+", created "+f.rate(r.Created))}
}

// rate is a rate of all workers for people.
func (f fleet) rate(perSecond float64) string {
	if !f.told || !f.now.Known {
		return "–"
	}
	return decimal(perSecond)
}

// decimal is a number with one digit after its point.
func decimal(n float64) string {
	text := strconv.FormatFloat(n, 'f', 1, 64)
	whole, digit, _ := strings.Cut(text, ".")
	all, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return text // larger than any rate
	}
	return number(all, false) + "." + digit
}

// lateness is that of the first deliveries between the first and the last of the answers that are kept.
func (f fleet) lateness() string {
	if len(f.late) == 0 {
		return "asking the workers"
	}
	h := f.late[len(f.late)-1].Since(f.late[0])
	if h.Count() == 0 {
		return "no first delivery of a task yet"
	}
	return "late by p50 " + short(h.Quantile(0.5)) + ", p99 " + short(h.Quantile(0.99))
}

// short is a duration of three digits.
func short(d time.Duration) string {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit {
			return d.Round(max(unit/100, 1)).String()
		}
	}
	return "0s"
}

// widths are those of the columns of a worker.
const widths = "%s %-18s %7s %8s %11s %6s %12s %9s  %s"

// list shows the workers, at most so many of them.
func (f fleet) list(most int) []string {
	if !f.told {
		if f.err != nil {
			return []string{wrong.Render("workers not read: ") + oneLine(f.err.Error())}
		}
		return []string{"workers: asking ..."}
	}
	title := fmt.Sprintf("workers: %d alive", len(f.now.Workers))
	if len(f.now.Workers) == 0 {
		title = wrong.Render("no worker is alive: nothing is delivered")
	}
	if f.err != nil {
		title += "   " + wrong.Render("not read: ") + oneLine(f.err.Error())
	}
	lines := []string{title}
	if len(f.now.Workers) > 0 {
		lines = append(lines, faint.Render(fmt.Sprintf(widths, " ", "name (> feeder)", "queued", "in hand", "confirming", "stuck", "confirmed/s", "failed/s", "roles")))
	}
	for _, w := range f.now.Workers[:min(len(f.now.Workers), most)] {
		lines = append(lines, line(w))
	}
	if more := len(f.now.Workers) - most; more > 0 {
		lines = append(lines, faint.Render(fmt.Sprintf("  and %d more", more)))
	}
	return lines
}

// line shows a worker.
func line(w throughput.Worker) string {
	leads, stuck := " ", strconv.FormatInt(w.Stats.Stuck, 10)
	for _, role := range w.Roles {
		if role == "feeder" {
			leads = ">"
		}
	}
	name := ansi.Truncate(oneLine(w.Name), 18, "…")
	if w.Started.IsZero() {
		return fmt.Sprintf("%s %-18s %s", leads, ansi.Truncate(oneLine(w.ID), 18, "…"), "what it tells cannot be read")
	}
	confirmed, failed := "–", "–"
	if w.Known {
		confirmed, failed = decimal(w.Rates.Confirmed), decimal(w.Rates.Failed)
	}
	text := fmt.Sprintf(widths, leads, name, number(w.Stats.Queued, false), number(w.Stats.InHand, false), number(w.Stats.Confirming, false), stuck, confirmed, failed, strings.Join(w.Roles, ", "))
	if w.Stats.Stuck > 0 {
		return wrong.Render(text)
	}
	return text
}

// Once takes what a terminal shows after some seconds: the stores once, and the workers twice, because a rate needs two answers.
func Once(m Model) (Model, error) {
	for _, step := range []func(Model) tea.Msg{Model.read, Model.ask, Model.askLater, Model.ask} {
		if msg := step(m); msg != (askAgainMsg{}) {
			next, _ := m.Update(msg)
			m = next.(Model)
		}
		if m.err != nil {
			break
		}
	}
	return m, errors.Join(m.err, m.fleet.err)
}
