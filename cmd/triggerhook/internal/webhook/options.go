package webhook

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Formats of a request.
const (
	StandardWebhooks = "standard"    // the payload as the body, signed by the Standard Webhooks specification
	CloudEvents      = "cloudevents" // the same, and the attributes of a CloudEvent 1.0 as headers (binary mode)
)

// Options are what a Sender is made with. The zero value of a field means the default that its comment names. The zero Options send
// unsigned requests to public addresses.
type Options struct {
	// Namespace is that of the Scheduler ("triggerhook"). It is a part of webhook-id and of the source of a CloudEvent, and a label of all metrics.
	Namespace string
	// Format is StandardWebhooks (the default) or CloudEvents.
	Format string
	// Secrets sign each request, all of them at once, so that receivers can change from one to the next: "whsec_" and the
	// base64 of 24 to 64 random bytes (HMAC-SHA256, v1), or "whsk_" and the base64 of an ed25519 seed or private key (v1a). At most
	// 10. Without any, requests go out unsigned.
	Secrets []string
	// ContentType is the media type of payloads whose task has no header "content-type" (application/octet-stream).
	ContentType string
	// UserAgent is sent with each request ("triggerhook").
	UserAgent string
	// Source is the attribute "source" of each CloudEvent, a URI reference (/triggerhook/NAMESPACE).
	Source string
	// EventType is the attribute "type" of each CloudEvent (triggerhook.task.due).
	EventType string

	// ConnectTimeout bounds the dialling of one address (5 s; 1 ms to 10 min, as all timeouts).
	ConnectTimeout time.Duration
	// TLSTimeout bounds the TLS handshake (5 s).
	TLSTimeout time.Duration
	// HeaderTimeout bounds the wait for the header of the response, once the request is written (10 s).
	HeaderTimeout time.Duration
	// Timeout bounds the whole request, with the body of the response (15 s). It should be shorter than the Scheduler's
	// DeliveryTimeout.
	Timeout time.Duration
	// MaxRetryAfter bounds the delay that a response may ask for by Retry-After (1 h; at least 1 s).
	MaxRetryAfter time.Duration

	// PerHost is how many requests run at a time to one host and port (128; 1 to 10,000).
	PerHost int
	// MaxHosts is how many idle hosts are remembered, with their connections' limit and circuit breaker (1,000; 1 to 1,000,000).
	MaxHosts int
	// BreakerRequests is how many requests to a host within 30 s are needed before its circuit may open (20; 1 to 1,000,000). It
	// opens if at least half of them failed: no connection, no answer in time, or a status of 500 to 599.
	BreakerRequests int
	// BreakerOpen is how long a circuit stays open before 3 requests are tried (10 s; 10 ms to 10 min).
	BreakerOpen time.Duration

	// HTTPSOnly refuses targets that begin with http://.
	HTTPSOnly bool
	// AllowPrivate allows loopback, private (RFC 1918, unique local) and carrier-grade NAT addresses. Link-local ones and those of
	// cloud metadata services need AllowNets besides.
	AllowPrivate bool
	// AllowNets are networks ("10.1.0.0/16", or one address) that are allowed though their addresses are not public.
	AllowNets []string
	// DenyNets are networks that are refused. They come before AllowNets.
	DenyNets []string
	// OnlyHosts, if there are any, are the hosts that alone are allowed: "api.example.com", or "*.example.com" for all names
	// below it. They lift no rule about addresses.
	OnlyHosts []string
	// DenyHosts are hosts that are refused, in the form of OnlyHosts.
	DenyHosts []string
	// Ports, if there are any, are the ports that alone are allowed.
	Ports []uint16
	// ProxyFromEnvironment sends requests through the proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name. Then the addresses of
	// targets are the proxy's to check: this process sees the proxy's address alone, which must be allowed.
	ProxyFromEnvironment bool
	// Resolver resolves names (net.DefaultResolver).
	Resolver *net.Resolver
	// RootCAs are the authorities that are trusted (nil: the system's).
	RootCAs *x509.CertPool
}

// withDefaults is o with the defaults of what is not set.
func (o Options) withDefaults() Options {
	def(&o.Namespace, "triggerhook")
	def(&o.Format, StandardWebhooks)
	def(&o.ContentType, "application/octet-stream")
	def(&o.UserAgent, "triggerhook")
	def(&o.Source, "/triggerhook/"+o.Namespace)
	def(&o.EventType, "triggerhook.task.due")
	def(&o.ConnectTimeout, 5*time.Second)
	def(&o.TLSTimeout, 5*time.Second)
	def(&o.HeaderTimeout, 10*time.Second)
	def(&o.Timeout, 15*time.Second)
	def(&o.MaxRetryAfter, time.Hour)
	def(&o.PerHost, 128)
	def(&o.MaxHosts, 1000)
	def(&o.BreakerRequests, 20)
	def(&o.BreakerOpen, 10*time.Second)
	return o
}

// def sets what is zero.
func def[T comparable](to *T, value T) {
	if *to == *new(T) {
		*to = value
	}
}

// check returns all rules that o, which has its defaults, breaks.
func (o Options) check() error {
	errs := []error{o.checkTexts()}
	for _, d := range []struct {
		name        string
		value       time.Duration
		least, most time.Duration
	}{
		{"ConnectTimeout", o.ConnectTimeout, time.Millisecond, 10 * time.Minute},
		{"TLSTimeout", o.TLSTimeout, time.Millisecond, 10 * time.Minute},
		{"HeaderTimeout", o.HeaderTimeout, time.Millisecond, 10 * time.Minute},
		{"Timeout", o.Timeout, time.Millisecond, 10 * time.Minute},
		{"MaxRetryAfter", o.MaxRetryAfter, time.Second, 366 * 24 * time.Hour},
		{"BreakerOpen", o.BreakerOpen, 10 * time.Millisecond, 10 * time.Minute},
	} {
		if d.value < d.least || d.value > d.most {
			errs = append(errs, fmt.Errorf("%s is %s, want %s to %s", d.name, d.value, d.least, d.most))
		}
	}
	for _, n := range []struct {
		name        string
		value, most int
	}{{"PerHost", o.PerHost, 10_000}, {"MaxHosts", o.MaxHosts, 1_000_000}, {"BreakerRequests", o.BreakerRequests, 1_000_000}} {
		if n.value < 1 || n.value > n.most {
			errs = append(errs, fmt.Errorf("%s is %d, want 1 to %d", n.name, n.value, n.most))
		}
	}
	return errors.Join(errs...)
}

// checkTexts checks what goes out in headers.
func (o Options) checkTexts() error {
	var errs []error
	if o.Format != StandardWebhooks && o.Format != CloudEvents {
		errs = append(errs, fmt.Errorf("%s is %q, want %q or %q", "Format", o.Format, StandardWebhooks, CloudEvents))
	}
	if !mediaType(o.ContentType) {
		errs = append(errs, fmt.Errorf("%s is %q, want a media type like application/json", "ContentType", o.ContentType))
	}
	for name, value := range map[string]string{"UserAgent": o.UserAgent, "EventType": o.EventType} {
		if strings.TrimSpace(value) == "" || !fieldValue(value) {
			errs = append(errs, fmt.Errorf("%s is %q, want printable ASCII", name, value))
		}
	}
	if _, err := url.Parse(o.Source); err != nil || !fieldValue(o.Source) {
		errs = append(errs, fmt.Errorf("%s is %q, want a URI reference", "Source", o.Source))
	}
	return errors.Join(errs...)
}

// prefixes reads networks, or single addresses, of the option that is called name.
func prefixes(name string, texts []string) (all []netip.Prefix, _ error) {
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, errAddr := netip.ParseAddr(text)
			if errAddr != nil || a.Zone() != "" {
				return nil, fmt.Errorf("%s has %q, want a network like 10.1.0.0/16 or an address", name, text)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() {
			return nil, fmt.Errorf("%s has %q, want the IPv4 network itself", name, text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}
