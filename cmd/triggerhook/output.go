package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/triggerhook/triggerhook"
)

// printer writes what a command found: a line of JSON for each thing with --json, and a table or plain
// lines for people without.
type printer struct {
	out    io.Writer
	errs   io.Writer
	json   bool
	table  *tabwriter.Writer
	header string
}

// print writes one thing: v as JSON, or its columns as a row of the table whose head is header.
func (p *printer) print(v any, header string, columns ...string) error {
	if p.json {
		return json.NewEncoder(p.out).Encode(v)
	}
	if p.table == nil {
		p.table = tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
	}
	if p.header != header {
		p.header = header
		if _, err := fmt.Fprintln(p.table, header); err != nil {
			return err
		}
	}
	for i := range columns {
		columns[i] = oneLine(columns[i])
	}
	_, err := fmt.Fprintln(p.table, strings.Join(columns, "\t"))
	return err
}

// flush writes what the table still holds.
func (p *printer) flush() error {
	if p.table == nil {
		return nil
	}
	return p.table.Flush()
}

// oneLine is text as a terminal may show it: quoted if it has control characters, as an ID may.
func oneLine(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// taskJSON is a task in the output of --json. Times are RFC 3339 in UTC.
type taskJSON struct {
	ID            string            `json:"id"`
	Due           time.Time         `json:"due"`
	Expires       *time.Time        `json:"expires,omitempty"`
	State         string            `json:"state,omitempty"`
	Attempt       int               `json:"attempt,omitempty"`
	Next          *time.Time        `json:"next,omitempty"`
	Headers       map[string]string `json:"headers,omitempty"`
	Payload       *string           `json:"payload,omitempty"`
	PayloadBase64 []byte            `json:"payload_base64,omitempty"` // in place of payload, if that is not UTF-8
}

// deadJSON is a dead letter in the output of --json.
type deadJSON struct {
	taskJSON
	Reason    string    `json:"reason"`
	LastError string    `json:"last_error,omitempty"`
	Attempts  int       `json:"attempts"`
	Created   time.Time `json:"created"`
	Died      time.Time `json:"died"`
}

// instant is a time in JSON: nil if it is zero.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// ofTask is the JSON of a task, with its payload if payloads says so.
func ofTask(t *triggerhook.Task, payloads bool) taskJSON {
	j := taskJSON{ID: t.ID, Due: t.Due.UTC(), Expires: instant(t.Expires), Headers: t.Headers}
	if payloads && utf8.Valid(t.Payload) {
		text := string(t.Payload)
		j.Payload = &text
	} else if payloads {
		j.PayloadBase64 = t.Payload
	}
	return j
}

// ofInfo is the JSON of what is known of a task.
func ofInfo(i triggerhook.Info, payloads bool) taskJSON {
	j := ofTask(&i.Task, payloads)
	j.State, j.Attempt, j.Next = i.State.String(), i.Attempt, instant(i.Next)
	return j
}

const taskHeader = "ID\tDUE\tNEXT\tSTATE\tATTEMPT\tHEADERS"

// task prints what is known of a task.
func (p *printer) task(i triggerhook.Info, payloads bool) error {
	return p.print(ofInfo(i, payloads), taskHeader, i.ID, stamp(i.Due), stamp(i.Next), i.State.String(), strconv.Itoa(i.Attempt), headerText(i.Headers))
}

const deadHeader = "ID\tDIED\tREASON\tATTEMPTS\tLAST ERROR"

// dead prints a dead letter.
func (p *printer) dead(d triggerhook.DeadTask, payloads bool) error {
	j := deadJSON{ofTask(&d.Task, payloads), d.Reason, d.LastError, d.Attempts, d.Created.UTC(), d.Died.UTC()}
	return p.print(j, deadHeader, d.ID, stamp(d.Died), d.Reason, strconv.Itoa(d.Attempts), d.LastError)
}

// stamp is a time for people.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// headerText is headers for people.
func headerText(headers map[string]string) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(headers)) {
		all = append(all, k+"="+headers[k])
	}
	return strings.Join(all, " ")
}
