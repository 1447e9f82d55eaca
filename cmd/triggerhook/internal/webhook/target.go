package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxURL is the longest target: headers of a task have 8 KiB together.
const maxURL = 2048

// targets has the rules about the URL of a task that can be checked before anything is resolved. It is immutable.
type targets struct {
	guard      *guard
	httpsOnly  bool
	only, deny []string // hosts, in lower case
	ports      []uint16
}

// target is the URL of a task that keeps the rules.
type target struct {
	url    *url.URL
	origin string // scheme://host:port in lower case: limits are of an origin, and errors name no more of a URL
}

// CheckTarget says whether raw may be the target of a task: an absolute URL of http or https with at most 2048 bytes, without user
// information and fragment, with a host name in ASCII or a literal address, and within the rules of Options about hosts, ports and
// addresses. A name is not resolved: what it resolves to is checked with each connection. The error names no more
// of raw than scheme, host and port, because the rest may hold secrets.
func (s *Sender) CheckTarget(raw string) error {
	_, err := s.targets.parse(raw)
	return err
}

// parse returns the target that raw is.
func (t *targets) parse(raw string) (target, error) {
	if len(raw) > maxURL {
		return target{}, fmt.Errorf("webhook target of %d bytes: the URL may have at most %d", len(raw), maxURL)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return target{}, errors.New("webhook target: this is no URL") // the error of url.Parse may have a password in it
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return target{}, errors.New("webhook target: want an absolute URL that begins with http:// or https://")
	case u.User != nil:
		return target{}, errors.New("webhook target: the URL has user information (USER@ or USER:PASSWORD@), which would be stored in the clear; sign requests instead")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return target{}, errors.New("webhook target: the URL has a fragment (#...), which is never sent")
	case t.httpsOnly && u.Scheme != "https":
		return target{}, fmt.Errorf("webhook target %s: HTTPSOnly is set, want https://", u.Scheme+"://"+u.Host)
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	port, err := portOf(u)
	if err == nil {
		err = t.check(host, port)
	}
	if err != nil {
		return target{}, fmt.Errorf("webhook target: %w", err)
	}
	return target{u, u.Scheme + "://" + net.JoinHostPort(host, strconv.Itoa(int(port)))}, nil
}

// portOf returns the port of u, or that of its scheme.
func portOf(u *url.URL) (uint16, error) {
	text := u.Port()
	switch {
	case text == "" && strings.HasSuffix(u.Host, ":"):
		return 0, errors.New("the port after the colon is missing")
	case text == "" && u.Scheme == "https":
		return 443, nil
	case text == "":
		return 80, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("port %q: want 1 to 65535", text)
	}
	return uint16(n), nil
}

// check checks host, which is in lower case, and port.
func (t *targets) check(host string, port uint16) error {
	if err := t.checkHost(host); err != nil {
		return err
	}
	switch {
	case matches(t.deny, host):
		return &RefusedError{"host " + host, "DenyHosts has it"}
	case len(t.only) > 0 && !matches(t.only, host):
		return &RefusedError{"host " + host, "OnlyHosts does not have it"}
	case len(t.ports) > 0 && !slices.Contains(t.ports, port):
		return &RefusedError{fmt.Sprintf("port %d", port), "Ports does not have it"}
	}
	return nil
}

// checkHost checks the form of a host, and its address if it is a literal one or localhost.
func (t *targets) checkHost(host string) error {
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" {
			return fmt.Errorf("host %q: want an address without a zone", host)
		}
		return t.guard.check(a)
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return t.guard.check(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	return checkName(host)
}

// checkName checks the form of a host name. A name whose last label is a number is how some resolvers write an IPv4 address
// (2130706433, 0x7f.1), and no top-level domain is one.
func checkName(host string) error {
	if host == "" || len(host) > 253 {
		return fmt.Errorf("host %q: want a name of 1 to 253 bytes, or an address", host)
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return fmt.Errorf("host %q: want labels of 1 to 63 ASCII letters, digits, - and _, with dots between them; write other names in their ASCII form (xn--...)", host)
		}
	}
	last := labels[len(labels)-1]
	if _, err := strconv.ParseUint(last, 0, 64); err == nil || strings.Trim(last, "0123456789") == "" {
		return fmt.Errorf("host %q: its last label is a number; write an IPv4 address as four decimal numbers", host)
	}
	return nil
}

// matches reports whether one of patterns is host, or *.DOMAIN with host below that domain.
func matches(patterns []string, host string) bool {
	for _, p := range patterns {
		if domain, wild := strings.CutPrefix(p, "*"); p == host || wild && strings.HasSuffix(host, domain) && len(host) > len(domain) {
			return true
		}
	}
	return false
}

// hostPatterns reads the hosts of the option that is called name.
func hostPatterns(name string, texts []string) (all []string, _ error) {
	for _, text := range texts {
		p := strings.ToLower(strings.TrimSuffix(text, "."))
		bare := strings.TrimPrefix(p, "*.")
		if _, err := netip.ParseAddr(bare); err != nil && checkName(bare) != nil {
			return nil, fmt.Errorf("%s has %q, want a host like api.example.com, or *.example.com", name, text)
		}
		all = append(all, p)
	}
	return all, nil
}
