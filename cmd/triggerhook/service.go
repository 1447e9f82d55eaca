package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/api"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/reread"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/tokens"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/webhook"
	"github.com/triggerhook/triggerhook/metrics"
)

const (
	headerWait = 5 * time.Second  // until a request's header has arrived
	idleWait   = 2 * time.Minute  // between two requests of a connection
	slowReader = 30 * time.Second // for a client to take an answer, beside the time of the operation
	mostHeader = 32 << 10         // bytes of a request's header: an id and a cursor are far shorter
	startWait  = 5 * time.Second  // for the first look at the stores
	// connections is how many of MySQL a server keeps: a request waits for one rather than that the server opens them without end.
	connections = 64
)

// service is what serve runs: a Scheduler that sends webhooks, and the HTTP API beside it.
type service struct {
	*opened
	f       *serveFlags
	log     *slog.Logger
	sender  *webhook.Sender
	api     *api.Server
	figures *prometheus.Registry
	bolt    bool
	files
}

// files are those that are read again while the server runs. One that no flag names is nil.
type files struct {
	tokens      *tokens.File
	secrets     *reread.Files[[]string]
	given       []string // secrets that the sender began with
	certificate *certificate
}

// openFiles opens the files that the flags name.
func (s *service) openFiles(f *serveFlags) (err error) {
	if f.tokens != "" {
		if s.tokens, err = tokens.Open(f.tokens, s.log); err != nil {
			return fmt.Errorf("--tokens: %w", err)
		}
		s.figures.MustRegister(fileFigure("tokens", s.tokens.Failed))
	}
	if f.webhook.secrets != "" {
		if s.secrets, err = openSecrets(f.webhook.secrets, s.log); err != nil {
			return err
		}
		s.figures.MustRegister(fileFigure("webhook_secrets", s.secrets.Failed))
	}
	if f.tlsCert != "" {
		if s.certificate, err = openCertificate(f.tlsCert, f.tlsKey, s.log); err != nil {
			return err
		}
		s.figures.MustRegister(fileFigure("certificate", s.certificate.Failed), s.certificate.expiry())
	}
	return nil
}

// openService opens the stores, and makes all that serve runs. Nothing runs yet.
func (a *app) openService(f *serveFlags, log *slog.Logger) (_ *service, err error) {
	s := &service{opened: &opened{}, f: f, log: log, figures: prometheus.NewRegistry(), bolt: strings.HasPrefix(a.store, "bolt:")}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.store, err = a.openStore(s.opened); err != nil {
		return nil, err
	}
	for _, c := range s.closers {
		if db, is := c.(*sql.DB); is {
			db.SetMaxOpenConns(connections)
			db.SetMaxIdleConns(connections)
		}
	}
	set, err := a.openHot(s.opened)
	if err != nil {
		return nil, err
	}
	handlers := metrics.NewHandlers(s.store.Namespace())
	o := f.servedOptions(log)
	o.Middleware = []triggerhook.Middleware{handlers.Middleware}
	if s.Scheduler, err = triggerhook.New(s.store, set, o); err != nil {
		return nil, err
	}
	if err := s.compose(f); err != nil {
		return nil, usageError{err}
	}
	s.figures.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		metrics.NewCollector(s.Scheduler), handlers, s.sender.Collector(), s.api.Collector())
	return s, nil
}

// compose makes the sender and the API of the flags.
func (s *service) compose(f *serveFlags) error {
	o, err := f.webhook.options(s.Namespace())
	if err != nil {
		return err
	}
	if err := s.openFiles(f); err != nil {
		return err
	}
	if s.secrets != nil {
		s.given = s.secrets.Get()
		o.Secrets = s.given
	}
	if s.sender, err = webhook.New(o); err != nil {
		return err
	}
	shown := prometheus.Gatherer(s.figures)
	if f.metricsListen != "" {
		shown = nil
	}
	s.api, err = api.New(api.Options{Scheduler: s.Scheduler, Targets: s.sender, Tokens: s.tokens, Metrics: shown, Logger: s.log, Version: programVersion(), Limits: f.limits})
	return err
}

// prepare brings a bolt file up to date, and refuses stores that waiting does not mend. Servers that are away are waited for later.
func (s *service) prepare(ctx context.Context) error {
	if s.bolt || s.f.migrate {
		if err := s.Migrate(ctx); err != nil {
			return err
		}
	}
	short, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	_, err := s.Stats(short)
	for _, final := range []error{triggerhook.ErrNotMigrated, triggerhook.ErrMismatch, triggerhook.ErrRefused} {
		if errors.Is(err, final) {
			return err
		}
	}
	if err != nil {
		s.log.Warn("a store does not answer yet", "err", err)
	}
	return nil
}

// run serves until ctx ends, and returns when all that was under way is finished.
func (s *service) run(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	servers, err := s.listen(ctx)
	if err != nil {
		return err
	}
	g, ended := errgroup.WithContext(ctx)
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	g.Go(s.logged("handle", func() error { return s.Handle(work, s.f.concurrency, s.sender.Handle) }))
	for _, server := range servers {
		g.Go(s.logged("serve", server.serve))
	}
	if s.secrets != nil {
		g.Go(func() error { followSecrets(ended, s.secrets, s.given, s.sender.SetSecrets, s.log); return nil })
	}
	g.Go(func() error {
		<-ended.Done()
		return s.end(ctx, servers, stopWork)
	})
	return g.Wait()
}

// logged logs an error, because run returns the first one alone.
func (s *service) logged(what string, act func() error) func() error {
	return func() error {
		err := act()
		if err != nil {
			s.log.Error(what, "err", err)
		}
		return err
	}
}

// end drains: load balancers are told first, then requests and webhooks under way are finished, side by side.
func (s *service) end(ctx context.Context, servers []*server, stopWork func()) error {
	s.api.Drain()
	s.log.Info("draining: a second signal ends at once", "delay", s.f.drainDelay, "at most", s.f.drain)
	timer := time.NewTimer(s.f.drainDelay)
	defer timer.Stop()
	<-timer.C
	stopWork()
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(s.f.drain, time.Second))
	defer cancel()
	var g errgroup.Group
	for _, server := range servers {
		g.Go(s.logged("stop", func() error { return server.stop(short) }))
	}
	return g.Wait()
}

// close closes all that openService has opened, after run.
func (s *service) close() error {
	if s.sender != nil {
		s.sender.Close()
	}
	return s.opened.close()
}

// server is one listener with its HTTP server.
type server struct {
	http.Server
	listener net.Listener
}

// listen binds the addresses, so that a wrong one ends serve before it works.
func (s *service) listen(ctx context.Context) (all []*server, err error) {
	defer func() {
		if err != nil {
			for _, one := range all {
				err = errors.Join(err, one.listener.Close())
			}
		}
	}()
	main, err := s.bind(ctx, "--listen", s.f.listen, s.api)
	if err != nil {
		return nil, err
	}
	if s.certificate != nil {
		main.TLSConfig = s.certificate.config()
	}
	all = append(all, main)
	s.log.Info("listening", "address", main.listener.Addr().String(), "tls", s.certificate != nil, "tokens", s.f.tokens != "", "namespace", s.Namespace())
	if s.f.tokens == "" {
		s.log.Warn("any program of this machine may use the API: give --tokens, which other addresses need too")
	}
	if s.f.metricsListen == "" {
		return all, nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", api.MetricsHandler(s.figures))
	figures, err := s.bind(ctx, "--metrics-listen", s.f.metricsListen, mux)
	if err != nil {
		return all, err
	}
	s.log.Info("listening for metrics", "address", figures.listener.Addr().String())
	return append(all, figures), nil
}

// bind binds one address.
func (s *service) bind(ctx context.Context, flag, address string, h http.Handler) (*server, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s %q: %w", flag, address, err)}
	}
	one := &server{listener: l, Server: http.Server{
		Handler: h, ReadHeaderTimeout: headerWait, IdleTimeout: idleWait, MaxHeaderBytes: mostHeader,
		WriteTimeout: headerWait + s.f.limits.Read + s.f.limits.Request + slowReader,
		ErrorLog:     slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}}
	return one, nil
}

// serve serves until stop.
func (s *server) serve() error {
	var err error
	if s.TLSConfig != nil {
		err = s.ServeTLS(s.listener, "", "")
	} else {
		err = s.Serve(s.listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return errors.Join(err, s.Close())
}

// stop takes no more requests, and waits for those under way.
func (s *server) stop(ctx context.Context) error {
	if err := s.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests are cut off: %w", err), s.Close())
	}
	return nil
}
