package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/triggerhook/triggerhook"
)

// kind is what stands in "type" of a problem, after "urn:triggerhook:". Clients may rely on it.
type kind struct {
	name    string
	status  int
	retry   string // Retry-After, in seconds
	private bool   // the cause is for the log alone: it may name servers
	detail  string // in place of a private cause, or before another one
}

// kinds are the errors of the library, in the order in which they are looked for: an error may match several.
var kinds = []struct {
	err error
	kind
}{
	{triggerhook.ErrInvalid, kind{name: "invalid", status: http.StatusUnprocessableEntity}},
	{triggerhook.ErrTooLarge, kind{name: "too-large", status: http.StatusRequestEntityTooLarge}},
	{triggerhook.ErrUnsupported, kind{name: "unsupported", status: http.StatusNotImplemented}},
	{triggerhook.ErrNotFound, kind{name: "not-found", status: http.StatusNotFound}},
	{triggerhook.ErrGone, kind{name: "not-found", status: http.StatusNotFound}},
	{triggerhook.ErrExists, kind{name: "exists", status: http.StatusConflict}},
	{triggerhook.ErrClaimed, kind{name: "claimed", status: http.StatusConflict, detail: "deleted, but a worker had claimed it before: one delivery may still happen, and no other"}},
	{triggerhook.ErrPaused, kind{name: "paused", status: http.StatusServiceUnavailable, retry: "10", detail: "paused for producers: nothing was changed"}},
	{triggerhook.ErrNotMigrated, kind{name: "not-migrated", status: http.StatusInternalServerError, private: true, detail: `the store has no tables: run "triggerhook migrate"`}},
	{triggerhook.ErrMismatch, kind{name: "mismatch", status: http.StatusInternalServerError, private: true, detail: "the stores do not belong together; the server's log says more"}},
	{triggerhook.ErrRefused, kind{name: "refused", status: http.StatusInternalServerError, private: true, detail: "a store refuses the server; the server's log says more"}},
	{triggerhook.ErrReadOnly, kind{name: "unavailable", status: http.StatusServiceUnavailable, retry: "2", private: true, detail: "the store takes no writes at present"}},
	{triggerhook.ErrUnavailable, unavailable},
	{triggerhook.ErrClosed, unavailable},
	{context.DeadlineExceeded, kind{name: "timeout", status: http.StatusServiceUnavailable, retry: "2", private: true, detail: "the request took too long: it may have been done in part"}},
	{context.Canceled, unavailable},
}

var unavailable = kind{name: "unavailable", status: http.StatusServiceUnavailable, retry: "1", private: true,
	detail: "a store does not answer at present: the outcome is unknown, try again"}

// kindOf is the kind of an error of the library.
func kindOf(err error) kind {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.kind
		}
	}
	return kind{name: "internal", status: http.StatusInternalServerError, private: true, detail: "the server failed; its log says why"}
}

// text is what a client is told of err.
func (k kind) text(err error) string {
	switch {
	case k.private:
		return k.detail
	case k.detail != "":
		return k.detail + ": " + err.Error()
	}
	return err.Error()
}

// problem is err as the answer to a request. What is private goes to the log.
func (s *Server) problem(ctx context.Context, err error) error {
	if errors.As(err, new(huma.StatusError)) {
		return err
	}
	k := kindOf(err)
	if k.private {
		s.Logger.Error("request failed", "request", requestID(ctx), "kind", k.name, "err", err)
	}
	return k.with(k.text(err))
}

// with is a problem of this kind.
func (k kind) with(detail string) error {
	p := &huma.ErrorModel{Type: "urn:triggerhook:" + k.name, Title: http.StatusText(k.status), Status: k.status, Detail: detail}
	if k.retry == "" {
		return p
	}
	return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {k.retry}})
}

// invalid is a problem of an input that breaks a rule.
func invalid(format string, args ...any) error {
	return kind{name: "invalid", status: http.StatusUnprocessableEntity}.with(fmt.Sprintf(format, args...))
}

// refuse answers a request that does not get as far as an operation.
func refuse(w http.ResponseWriter, status int, name, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	p := huma.ErrorModel{Type: "urn:triggerhook:" + name, Title: http.StatusText(status), Status: status, Detail: detail}
	json.NewEncoder(w).Encode(p) // an error means that the client is gone
}

// mostEcho is how many bytes of a wrong value a problem shows.
const mostEcho = 100

// huma makes the problems of inputs that do not match their schema with this function. It would repeat a whole body.
func init() {
	huma.NewError = func(status int, detail string, errs ...error) huma.StatusError {
		p := &huma.ErrorModel{Type: "urn:triggerhook:" + nameOf(status), Title: http.StatusText(status), Status: status, Detail: detail}
		for _, err := range errs {
			if err == nil {
				continue
			}
			p.Add(err)
			last := p.Errors[len(p.Errors)-1]
			if text := fmt.Sprint(last.Value); len(text) > mostEcho {
				cut := *last
				cut.Value = text[:mostEcho] + "..."
				p.Errors[len(p.Errors)-1] = &cut
			}
		}
		return p
	}
}

func nameOf(status int) string {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return "invalid"
	case http.StatusUnsupportedMediaType:
		return "media-type"
	}
	return "internal"
}
