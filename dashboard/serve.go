package dashboard

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"html/template"
	"net/http"
	"strings"

	"github.com/triggerhook/triggerhook"
)

//go:embed assets/*
var assets embed.FS

//go:embed templates/*.html
var templates embed.FS

// pages are the templates of the pages, each with the layout and the fragments. A fragment is a part that is live.
var pages = func() map[string]*template.Template {
	shared := template.Must(template.New("").Funcs(formats).ParseFS(templates, "templates/layout.html", "templates/fragments.html"))
	all := map[string]*template.Template{"": shared}
	for _, name := range []string{"overview", "tasks", "task", "dead", "letter", "confirm", "pause", "problem"} {
		all[name] = template.Must(template.Must(shared.Clone()).ParseFS(templates, "templates/"+name+".html"))
	}
	return all
}()

// policy lets a page use what the dashboard serves itself, and nothing more: no script or style inside of a page, no frame around it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

// A route answers one kind of request. An error becomes a page that tells it.
type route func(*dashboard, http.ResponseWriter, *http.Request) error

// routes are by the last segment of the path. All pages lie in one folder and refer to one another by relative addresses, so that
// the dashboard works under any prefix, with or without http.StripPrefix.
var routes = map[string]route{
	"GET ": (*dashboard).overview, "GET live": (*dashboard).live,
	"GET find": (*dashboard).find, "GET tasks": (*dashboard).tasks, "GET task": (*dashboard).task,
	"GET dead": (*dashboard).dead, "GET letter": (*dashboard).letter,
	"GET pause": operation((*dashboard).pausePage), "POST pause": operation((*dashboard).pause), "POST resume": operation((*dashboard).resume),
	"GET delete": operation(deleteTasks.confirm), "POST delete": operation(deleteTasks.run),
	"GET move": operation(moveTasks.confirm), "POST move": operation(moveTasks.run),
	"GET requeue": operation(requeueDead.confirm), "POST requeue": operation(requeueDead.run),
	"GET purge": operation(purgeDead.confirm), "POST purge": operation(purgeDead.run),
	"GET style.css": asset("text/css; charset=utf-8"), "GET app.js": asset("text/javascript; charset=utf-8"), "GET icon.svg": asset("image/svg+xml"),
}

// ServeHTTP implements http.Handler.
func (d *dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if err := d.route(w, r); err != nil {
		d.fail(w, r, err)
	}
}

// errNoPage and errMethod: the address, or the method, is none of the dashboard's.
var (
	errNoPage    = errors.New("there is no such page")
	errMethod    = errors.New("this address does not take that method")
	errForbidden = errors.New("forbidden")
)

// name is the last segment of the path.
func name(r *http.Request) string { return r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:] }

func (d *dashboard) route(w http.ResponseWriter, r *http.Request) error {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if do, is := routes[method+" "+name(r)]; is {
		return do(d, w, r)
	}
	other := map[string]string{"GET": "POST", "POST": "GET"}[method]
	if _, is := routes[cmp.Or(other, "GET")+" "+name(r)]; is {
		return fmt.Errorf("%w: %s", errMethod, r.Method)
	}
	return errNoPage
}

// operation guards a page or a request that changes something: it needs Options.Operate, the caller's permission, and for a
// request that changes something a browser that says that a page of the dashboard sent it.
func operation(do route) route {
	return func(d *dashboard, w http.ResponseWriter, r *http.Request) error {
		if err := d.mayOperate(r); err != nil {
			return err
		}
		if r.Method != http.MethodPost {
			return do(d, w, r)
		}
		if err := d.sameOrigin(r); err != nil {
			return err
		}
		r.Body = http.MaxBytesReader(w, r.Body, mostForm)
		if err := r.ParseForm(); err != nil {
			return fmt.Errorf("%w: the form cannot be read: %w", triggerhook.ErrInvalid, err)
		}
		return do(d, w, r)
	}
}

// mostForm is how many bytes a form may have.
const mostForm = 64 << 10

// mayOperate returns why this request may change nothing.
func (d *dashboard) mayOperate(r *http.Request) error {
	if !d.o.Operate {
		return fmt.Errorf("%w: this dashboard only shows (Options.Operate is not set)", errForbidden)
	}
	if err := d.o.Authorize(r); err != nil {
		return fmt.Errorf("%w: %w", errForbidden, err)
	}
	return nil
}

// sameOrigin refuses a request that no page of the dashboard has sent. http.CrossOriginProtection lets pass what says neither
// Sec-Fetch-Site nor Origin, because no browser sends it so; here it is refused too, because a form is all that is meant to be sent.
func (d *dashboard) sameOrigin(r *http.Request) error {
	if err := d.origin.Check(r); err != nil {
		return fmt.Errorf("%w: %w", errForbidden, err)
	}
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" {
		return fmt.Errorf("%w: the request has neither Sec-Fetch-Site nor Origin, so no page of this dashboard has sent it", errForbidden)
	}
	return nil
}

// asset serves a file. It may be kept, and is asked for again only by its hash.
func asset(kind string) route {
	return func(_ *dashboard, w http.ResponseWriter, r *http.Request) error {
		body, err := assets.ReadFile("assets/" + name(r))
		if err != nil {
			return err
		}
		sum := fnv.New64a()
		sum.Write(body)
		tag := fmt.Sprintf(`"%x"`, sum.Sum64())
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		_, err = w.Write(body)
		return quiet(r, err)
	}
}

// page is what the layout shows around the body of each page.
type page struct {
	Title   string // of this page
	Brand   string // of the dashboard
	Current string // the entry of the navigation that this page belongs to
	Query   string // what the search box has
	Operate bool   // this user may change things
	Body    any
}

// show writes a page. It is rendered before anything is sent, so that no half page is.
func (d *dashboard) show(w http.ResponseWriter, r *http.Request, status int, name string, p page) error {
	p.Brand = d.o.Title
	p.Operate = d.mayOperate(r) == nil
	var out bytes.Buffer
	if err := pages[name].ExecuteTemplate(&out, "layout", p); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := w.Write(out.Bytes())
	return quiet(r, err)
}

// quiet is nil if the client has gone, which is no failure of the dashboard.
func quiet(r *http.Request, err error) error {
	if r.Context().Err() != nil {
		return nil
	}
	return err
}

// redirect sends the browser to another page, by a relative address: the path that the request came by may have been stripped.
func redirect(w http.ResponseWriter, to string) error {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// statusOf is the status of an error.
func statusOf(err error) int {
	for _, is := range []struct {
		err    error
		status int
	}{{errNoPage, 404}, {errMethod, 405}, {errForbidden, 403}, {triggerhook.ErrInvalid, 400}, {triggerhook.ErrNotFound, 404}, {triggerhook.ErrExists, 409},
		{triggerhook.ErrPaused, 409}, {context.DeadlineExceeded, 504}, {triggerhook.ErrUnavailable, 503}, {triggerhook.ErrReadOnly, 503}} {
		if errors.Is(err, is.err) {
			return is.status
		}
	}
	return 500
}

// fail shows an error, and logs what is the fault of no request.
func (d *dashboard) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // there is no reader any more
	}
	status := statusOf(err)
	if status >= 500 {
		d.o.Logger.Warn("dashboard: a request failed", "method", r.Method, "page", name(r), "error", err)
	}
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", "GET, HEAD, POST")
	}
	if err := d.show(w, r, status, "problem", page{Title: http.StatusText(status), Body: err.Error()}); err != nil {
		d.o.Logger.Warn("dashboard: a page cannot be shown", "page", name(r), "error", err)
	}
}
