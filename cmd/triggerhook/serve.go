package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/api"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/tokens"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/webhook"
)

// serveFlags are the flags of serve. Each has a variable of the environment, too: TRIGGERHOOK_LISTEN for --listen.
type serveFlags struct {
	listen, metricsListen string
	tlsCert, tlsKey       string
	tokens                string
	limits                api.Limits
	webhook               webhookFlags
	migrate               bool
	concurrency           int
	maxAttempts           int
	maxPayload            int
	history               time.Duration
	drain, drainDelay     time.Duration
	verbose               bool
}

// webhookFlags are the flags of the sender of webhooks.
type webhookFlags struct {
	webhook.Options
	secrets string
	ports   []uint
}

func (f *serveFlags) register(flags *pflag.FlagSet) {
	f.limits = api.DefaultLimits
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8080", "address of the HTTP API, as HOST:PORT; without --tokens a loopback address")
	flags.StringVar(&f.metricsListen, "metrics-listen", "", "another address for /metrics, without tokens; if it is not given, --listen has /metrics")
	flags.StringVar(&f.tlsCert, "tls-cert", "", "file of the certificate, with its chain, as PEM")
	flags.StringVar(&f.tlsKey, "tls-key", "", "file of the certificate's key, as PEM")
	flags.StringVar(&f.tokens, "tokens", "", `file of the tokens that clients need; "triggerhook token new" makes its lines`)
	flags.Int64Var(&f.limits.Body, "max-body", f.limits.Body, "longest body of a request, in bytes")
	flags.Int64Var(&f.limits.BatchBody, "max-batch-body", f.limits.BatchBody, "longest body of a batch, in bytes")
	flags.IntVar(&f.limits.Batch, "max-batch", f.limits.Batch, "most tasks of a batch (1 to 10000)")
	flags.Float64Var(&f.limits.Rate, "rate", f.limits.Rate, "requests a second of one token; 0: no limit")
	flags.IntVar(&f.limits.Burst, "burst", f.limits.Burst, "requests that a token may make at once")
	flags.IntVar(&f.limits.InFlight, "max-in-flight", f.limits.InFlight, "requests that are answered at a time")
	flags.DurationVar(&f.limits.Read, "read-timeout", f.limits.Read, "how long a client may take to send a request")
	flags.DurationVar(&f.limits.Request, "request-timeout", f.limits.Request, "how long an operation may take")
	flags.BoolVar(&f.migrate, "migrate", false, "create the tables, or bring them up to date, before all else; a bolt file needs no flag")
	flags.IntVar(&f.concurrency, "concurrency", 256, "webhooks that this process sends at a time")
	flags.IntVar(&f.maxAttempts, "max-attempts", 50, "failed attempts after which a task is a dead letter, some 20 hours; 0: never")
	flags.IntVar(&f.maxPayload, "max-payload", 64<<10, "longest payload of a task, in bytes")
	flags.DurationVar(&f.history, "history", 0, "how long it is kept how tasks ended (1h or more); 0: not at all")
	flags.DurationVar(&f.drain, "drain", 30*time.Second, "how long requests and webhooks under way may take at the end")
	flags.DurationVar(&f.drainDelay, "drain-delay", 0, "how long requests are still answered after /readyz has begun to answer 503")
	flags.BoolVar(&f.verbose, "verbose", false, "log requests to probes and pages too")
	f.webhook.register(flags)
}

func (f *webhookFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.secrets, "webhook-secret-file", "", "file of the secrets that sign webhooks, one a line (whsec_...)")
	flags.StringVar(&f.Format, "webhook-format", webhook.StandardWebhooks, "standard, or cloudevents (binary mode)")
	flags.BoolVar(&f.AllowPrivate, "webhook-allow-private", false, "send to loopback and private addresses too")
	flags.StringSliceVar(&f.AllowNets, "webhook-allow-net", nil, "networks that are allowed though they are not public, as 10.1.0.0/16")
	flags.StringSliceVar(&f.DenyNets, "webhook-deny-net", nil, "networks that are refused")
	flags.StringSliceVar(&f.OnlyHosts, "webhook-only-host", nil, "hosts that alone are allowed, as api.example.com or *.example.com")
	flags.StringSliceVar(&f.DenyHosts, "webhook-deny-host", nil, "hosts that are refused")
	flags.UintSliceVar(&f.ports, "webhook-port", nil, "ports that alone are allowed")
	flags.BoolVar(&f.HTTPSOnly, "webhook-https-only", false, "refuse targets that begin with http://")
	flags.BoolVar(&f.ProxyFromEnvironment, "webhook-proxy", false, "send through the proxy of HTTP_PROXY, HTTPS_PROXY, NO_PROXY, which must check addresses itself")
	flags.DurationVar(&f.Timeout, "webhook-timeout", 15*time.Second, "how long one webhook may take")
	flags.DurationVar(&f.MaxRetryAfter, "webhook-max-retry-after", time.Hour, "longest delay that a receiver may ask for by Retry-After")
	flags.IntVar(&f.PerHost, "webhook-per-host", 128, "webhooks that are sent to one host and port at a time")
	flags.StringVar(&f.UserAgent, "webhook-user-agent", "triggerhook", "User-Agent of webhooks")
	flags.StringVar(&f.Source, "webhook-source", "", "source of CloudEvents (default /triggerhook/NAMESPACE)")
	flags.StringVar(&f.EventType, "webhook-type", "triggerhook.task.due", "type of CloudEvents")
}

// options are those of the sender.
func (f *webhookFlags) options(namespace string) (o webhook.Options, _ error) {
	o = f.Options
	o.Namespace = namespace
	for _, p := range f.ports {
		if p < 1 || p > 65535 {
			return o, fmt.Errorf("--webhook-port %d: want 1 to 65535", p)
		}
		o.Ports = append(o.Ports, uint16(p))
	}
	return o, nil
}

// check refuses flags that do not go together, before anything is opened.
func (f *serveFlags) check() error {
	if (f.tlsCert == "") != (f.tlsKey == "") {
		return errors.New("give --tls-cert and --tls-key together")
	}
	if f.tokens == "" && !loopback(f.listen) {
		return fmt.Errorf("--listen %q: without --tokens only a loopback address is allowed, as 127.0.0.1:8080, because any client could do anything", f.listen)
	}
	if f.concurrency < 1 {
		return fmt.Errorf("--concurrency %d: want at least 1", f.concurrency)
	}
	for name, d := range map[string]time.Duration{"drain": f.drain, "drain-delay": f.drainDelay} {
		if d < 0 {
			return fmt.Errorf("--%s %s: want 0 or more", name, d)
		}
	}
	return nil
}

// loopback reports whether an address to listen on is reached from this machine alone.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

func (a *app) serve() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve an HTTP API whose tasks fire webhooks",
		Long: `serve answers an HTTP API, and sends a webhook for each task that is due: for programs that are not written in Go. Any number of servers may
share a MySQL and a Redis. Without --store it keeps its tasks in ./triggerhook.db, and needs no server.

Without --tokens it listens on a loopback address only. It sends to public addresses only, unless a flag --webhook-allow-... says otherwise. Each flag
has a variable of the environment: --metrics-listen is TRIGGERHOOK_METRICS_LISTEN. /docs has the API, /openapi.json too.

SIGTERM or SIGINT ends it: /readyz answers 503, and requests and webhooks under way are finished. A second signal ends it at once.`,
		Example: `  triggerhook serve --webhook-allow-private
  curl -d '{"in":"1s","url":"http://127.0.0.1:9000/","payload":"tea"}' -H 'Content-Type: application/json' http://127.0.0.1:8080/v1/tasks

  triggerhook serve --store mysql://app@db/shop --hot redis://cache --listen :8080 --tokens tokens.txt --webhook-secret-file secrets.txt`,
		Args: exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runServe(cmd, &f) },
	}
	f.register(cmd.Flags())
	return cmd
}

// runServe serves until the command's context ends.
func (a *app) runServe(cmd *cobra.Command, f *serveFlags) error {
	if err := errors.Join(fromEnvironment(cmd.Flags()), serveEnvironment(cmd.LocalNonPersistentFlags())); err != nil {
		return err
	}
	if a.store == "" {
		a.store = "bolt:triggerhook.db"
	}
	if err := f.check(); err != nil {
		return usageError{err}
	}
	a.began = true
	log := a.serveLog(cmd, f.verbose)
	s, err := a.openService(f, log)
	if err != nil {
		return err
	}
	return errors.Join(s.run(cmd.Context()), s.close())
}

// serveEnvironment sets the flags of serve that were not given from the environment.
func serveEnvironment(flags *pflag.FlagSet) (err error) {
	flags.VisitAll(func(flag *pflag.Flag) {
		variable := "TRIGGERHOOK_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		if value, is := os.LookupEnv(variable); is && !flag.Changed && flag.Name != "help" {
			if bad := flags.Set(flag.Name, value); bad != nil {
				err = errors.Join(err, usageError{fmt.Errorf("%s: %w", variable, bad)})
			}
		}
	})
	return err
}

// serveLog is the log of serve: lines of JSON with --json.
func (a *app) serveLog(cmd *cobra.Command, verbose bool) *slog.Logger {
	o := &slog.HandlerOptions{Level: slog.LevelInfo}
	if verbose {
		o.Level = slog.LevelDebug
	}
	if a.json {
		return slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), o))
	}
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), o))
}

func (a *app) token() *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Make tokens for the clients of serve"}
	var name string
	var scopes []string
	create := &cobra.Command{
		Use:   "new --name NAME --scopes SCOPE,...",
		Short: "Make a token, and its line of the file for serve --tokens",
		Long: `new prints a random token for a client, and the line that the file of serve --tokens needs to know it. The file has a hash only: the token cannot be
made of it, and is not shown again.

Scopes: read (shows tasks, dead letters and figures), write (creates, changes and deletes tasks), operate (dead letters, pause, resume). None implies another one.`,
		Example: "  triggerhook token new --name billing --scopes read,write",
		Args:    exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			token, line, err := tokens.New(name, scopes)
			if err != nil {
				return usageError{err}
			}
			p := &printer{out: cmd.OutOrStdout(), json: a.json}
			if a.json {
				return p.print(map[string]string{"token": token, "line": line}, "")
			}
			_, err = fmt.Fprintf(p.out, "token for the client:\n%s\nline for the file of --tokens:\n%s\n", token, line)
			return err
		},
	}
	create.Flags().StringVar(&name, "name", "", "name of the client, for the log")
	create.Flags().StringSliceVar(&scopes, "scopes", nil, "what the token allows: read, write, operate")
	create.MarkFlagRequired("name")
	create.MarkFlagRequired("scopes")
	cmd.AddCommand(create)
	return cmd
}

// servedOptions are those of the Scheduler of serve.
func (f *serveFlags) servedOptions(log *slog.Logger) triggerhook.Options {
	return triggerhook.Options{
		MaxAttempts: f.maxAttempts, MaxPayload: f.maxPayload, Drain: f.drain, History: triggerhook.History{Retention: f.history}, Logger: log,
	}
}
