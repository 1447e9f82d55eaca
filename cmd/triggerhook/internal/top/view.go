package top

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/triggerhook/triggerhook"
)

// The styles use the 16 colours of the terminal, so that they suit its theme.
var (
	head  = lipgloss.NewStyle().Bold(true)
	faint = lipgloss.NewStyle().Faint(true)
	wrong = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
	curve = lipgloss.NewStyle().Foreground(lipgloss.Cyan)
)

// View draws the whole terminal.
func (m Model) View() tea.View {
	v := tea.NewView(m.Frame())
	v.AltScreen, v.WindowTitle = true, "triggerhook top"
	return v
}

// Frame is the view as text, of at most width columns and height lines.
func (m Model) Frame() string {
	lines := []string{head.Render("triggerhook top") + "  " + oneLine(m.title), ""}
	if m.last.At.IsZero() {
		lines = append(lines, "reading ...")
	} else {
		lines[1] = faint.Render(m.last.At.UTC().Format("2006-01-02 15:04:05Z")) + "  " + m.pauseText()
		lines = append(append(append(lines, ""), m.lives()...), "")
		lines = append(append(lines, m.fleet.list(max(1, (m.height-16)/3))...), "")
		lines = append(lines, m.hour(m.height-len(lines)-4)...)
	}
	foot := faint.Render(fmt.Sprintf("every %s    q quit   + slower   - faster", m.every))
	if m.err != nil {
		foot = wrong.Render("not read: ") + oneLine(m.err.Error())
	}
	return m.fit(lines, foot)
}

// Plain is the frame without colours, and without spaces at the ends of lines.
func Plain(m Model) string {
	var b strings.Builder
	for line := range strings.SplitSeq(ansi.Strip(m.Frame()), "\n") {
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// fit cuts lines to the size of the terminal, and puts foot on the last one.
func (m Model) fit(lines []string, foot string) string {
	lines = lines[:min(len(lines), max(m.height-1, 0))]
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	lines = append(lines, foot)
	for i := range lines {
		lines[i] = ansi.Truncate(lines[i], m.width, "")
	}
	return strings.Join(lines, "\n")
}

// lives says how many tasks are at each place of their lives.
func (m Model) lives() []string {
	n := m.last.Stats
	stored := row("stored", number(n.Tasks, n.Estimated), "unfinished tasks, of all times")
	if !n.Estimated {
		stored += change(m.rate(func(s triggerhook.NamespaceStats) int64 { return s.Tasks }))
	}
	dead := row("dead", number(n.Dead, n.DeadEstimated), "dead letters")
	if !n.DeadEstimated {
		dead += change(m.rate(func(s triggerhook.NamespaceStats) int64 { return s.Dead }))
	}
	late := "no task waits that is due"
	if n.Due > 0 || m.last.Late > 0 {
		late = "the oldest is " + m.last.Late.Round(time.Millisecond).String() + " late"
	}
	lines := []string{stored,
		row("preloaded", number(n.Preloaded, false), "wait in the hot set, due or not"),
		row("due", number(n.Due, false), late+"  "+curve.Render(sparkline(m.due))),
		row("in flight", number(n.InFlight, false), "claimed by workers  "+curve.Render(sparkline(m.held)))}
	return append(append(lines, m.fleet.speeds()...), dead)
}

func row(name, n, text string) string {
	return fmt.Sprintf("%-10s %14s  %s", name, head.Render(fmt.Sprintf("%14s", n)), text)
}

// change is a rate for people; nothing if nothing changes.
func change(rate float64) string {
	if rate == 0 {
		return ""
	}
	return fmt.Sprintf(" (%+.1f/s)", rate)
}

func (m Model) pauseText() string {
	p := m.last.Stats.Pause
	if !p.Paused() {
		return faint.Render("not paused")
	}
	text := "PAUSED since " + p.Since.UTC().Format("15:04:05Z")
	if !p.Until.IsZero() {
		text += ", until " + p.Until.UTC().Format("2006-01-02 15:04:05Z")
	}
	if p.Producers {
		text += ", producers too"
	}
	return wrong.Render(text)
}

// hour draws what falls due in each of the coming minutes: as many lines of bars as are left.
func (m Model) hour(height int) []string {
	all, estimated := m.last.minutes()
	if len(all) == 0 {
		return nil
	}
	var sum int64
	for _, n := range all {
		sum += n
	}
	most := slices.Max(all)
	title := fmt.Sprintf("due in the coming hour: %s", number(sum, estimated))
	if most > 0 {
		title += fmt.Sprintf("   peak %s in minute %d", number(most, estimated), slices.Index(all, most)+1)
	}
	for _, f := range m.last.Stats.Forecast {
		if f.Within == 24*time.Hour {
			title += fmt.Sprintf("   within 24 h: %s", number(f.Tasks, f.Estimated))
		}
	}
	lines := []string{title}
	wide := 1
	if m.width >= 2*Minutes {
		wide = 2
	}
	for level := max(height, 3); level >= 1; level-- {
		lines = append(lines, curve.Render(bars(all, most, level, max(height, 3), wide)))
	}
	axis := ""
	for minute := 0; minute < len(all); minute += 10 {
		axis += fmt.Sprintf("%-*s", 10*wide, "|"+strconv.Itoa(minute))
	}
	return append(lines, faint.Render(axis+"minutes"))
}

// eighths are the parts of a cell that a bar may fill.
var eighths = []rune(" ▁▂▃▄▅▆▇█")

// bars is one line of a histogram: the level-th of levels, counted from below. What is not 0 is seen.
func bars(all []int64, most int64, level, levels, wide int) string {
	var b strings.Builder
	for _, n := range all {
		filled := 0
		if most > 0 {
			filled = int((n*int64(8*levels) + most - 1) / most)
		}
		cell := string(eighths[min(max(filled-8*(level-1), 0), 8)])
		b.WriteString(strings.Repeat(cell, wide))
	}
	return b.String()
}

// sparkline is a small curve.
func sparkline(all []int64) string {
	if len(all) == 0 {
		return ""
	}
	return bars(all, slices.Max(all), 1, 1, 1)
}

// number is a number for people: with commas, and a mark if it is an estimate.
func number(n int64, estimated bool) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	if estimated {
		return "~" + text
	}
	return text
}

// oneLine is text without what would move the cursor.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}
