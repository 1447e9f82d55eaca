package dashboard

import (
	"bytes"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// writeTimeout is how long a viewer may take to read an event. One that does not is let go.
const writeTimeout = 10 * time.Second

// live sends the fragments of the overview as server-sent events, each under its own name, whenever they have changed.
func (d *dashboard) live(w http.ResponseWriter, r *http.Request) error {
	ended := d.ends.of(r)
	news, leave := d.hub.join()
	defer leave()
	c := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	sent := map[string]string{}
	for {
		if s := d.hub.current(); s != nil {
			if err := d.send(w, c, s, sent); err != nil {
				if r.Context().Err() == nil {
					d.o.Logger.Warn("dashboard: live figures end", "error", err)
				}
				return nil // nothing can be told to the browser any more, which connects again
			}
		}
		select {
		case <-news:
		case <-r.Context().Done():
			return nil
		case <-ended:
			return nil
		}
	}
}

// send sends those fragments that differ from what was sent. A comment goes out if none does, so that a lost connection is noticed.
func (d *dashboard) send(w http.ResponseWriter, c *http.ResponseController, s *sample, sent map[string]string) error {
	all, err := d.frames.of(s)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	for _, name := range fragments {
		if all[name] != sent[name] {
			sent[name] = all[name]
			fmt.Fprintf(&out, "event: %s\n%s\n", name, all[name])
		}
	}
	if out.Len() == 0 {
		out.WriteString(":\n\n")
	}
	// A server without deadlines for writes answers ErrNotSupported, and needs none here.
	_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := w.Write(out.Bytes()); err != nil {
		return err
	}
	return c.Flush()
}

// fragments are the live parts of the overview: names of templates, of events, and of elements.
var fragments = []string{"life", "lateness", "load", "workers", "partitions"}

// frames renders the fragments of a sample once for all viewers.
type frames struct {
	mu   sync.Mutex
	last *sample
	text map[string]string
}

// of returns the fragments as data lines of events.
func (f *frames) of(s *sample) (map[string]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == s {
		return f.text, nil
	}
	v := overviewOf(s, s.load)
	all := map[string]string{}
	for name, view := range map[string]any{"life": v.Life, "lateness": v.Lateness, "load": v.Load, "workers": v.Workers, "partitions": v.Partitions} {
		var out, lines bytes.Buffer
		if err := pages[""].ExecuteTemplate(&out, name, view); err != nil {
			return nil, err
		}
		for line := range bytes.Lines(out.Bytes()) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				lines.WriteString("data: ")
				lines.Write(line)
				lines.WriteByte('\n')
			}
		}
		all[name] = lines.String()
	}
	f.last, f.text = s, all
	return all, nil
}

// shutdowns tells streams that their server shuts down. A stream never becomes idle, so that http.Server.Shutdown would
// wait for it.
type shutdowns struct {
	mu   sync.Mutex
	ends map[*http.Server]chan struct{}
}

// of returns a channel that is closed when the server of r begins to shut down. It is nil, and so never closed, if no http.Server
// serves r.
func (s *shutdowns) of(r *http.Request) <-chan struct{} {
	server, is := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !is {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if end, is := s.ends[server]; is {
		return end
	}
	if s.ends == nil {
		s.ends = map[*http.Server]chan struct{}{}
	}
	end := make(chan struct{})
	s.ends[server] = end
	server.RegisterOnShutdown(sync.OnceFunc(func() { close(end) }))
	return end
}
