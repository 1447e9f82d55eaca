package webhook

import (
	"strings"
	"testing"
)

func TestTargets(t *testing.T) {
	long := "https://example.com/" + strings.Repeat("a", maxURL-len("https://example.com/"))
	for _, c := range []struct {
		name    string
		o       Options
		target  string
		refused string // a part of the error; "" if the target is allowed
	}{
		{"https", Options{}, "https://example.com/hook?a=b", ""},
		{"http and a port", Options{}, "http://example.com:8080/", ""},
		{"capitals and a final dot", Options{}, "HTTPS://Example.COM./x", ""},
		{"an address", Options{}, "https://93.184.215.14/", ""},
		{"an address of IPv6", Options{}, "https://[2a00::1]:8443/", ""},
		{"the ASCII form of an international name", Options{}, "https://xn--bcher-kva.example/", ""},
		{"the longest", Options{}, long, ""},

		{"too long", Options{}, long + "a", "2049 bytes"},
		{"empty", Options{}, "", "http://"},
		{"relative", Options{}, "/hook", "http://"},
		{"another scheme", Options{}, "ftp://example.com/", "http://"},
		{"a file", Options{}, "file:///etc/hostname", "http://"},
		{"opaque", Options{}, "http:example.com", "host"},
		{"no host", Options{}, "http:///hook", "host"},
		{"a control character", Options{}, "http://example.com/\n", "no URL"},
		{"a user", Options{}, "https://me:hidden@example.com/", "user information"},
		{"a password that is read as a port", Options{}, "https://me:hidden/x@example.com/", "no URL"},
		{"a fragment", Options{}, "https://example.com/#hidden", "fragment"},
		{"an empty fragment", Options{}, "https://example.com/#", "fragment"},
		{"port 0", Options{}, "https://example.com:0/", "port"},
		{"port 65536", Options{}, "https://example.com:65536/", "port"},
		{"no port after the colon", Options{}, "https://example.com:/", "port"},
		{"an international name", Options{}, "https://bücher.example/", "xn--"},
		{"an empty label", Options{}, "https://a..example/", "labels"},
		{"a long label", Options{}, "https://" + strings.Repeat("a", 64) + ".example/", "labels"},
		{"a decimal address", Options{}, "http://2130706433/", "number"},
		{"a hexadecimal address", Options{}, "http://0x7f000001/", "number"},
		{"a short address", Options{}, "http://127.1/", "number"},
		{"an octal address", Options{}, "http://0177.0.0.01/", "number"},
		{"an address with a final dot", Options{}, "http://127.0.0.1./", "loopback"},
		{"loopback", Options{}, "http://127.0.0.1/", "loopback"},
		{"localhost", Options{}, "http://localhost:8080/", "loopback"},
		{"a name below localhost", Options{}, "http://api.LOCALHOST/", "loopback"},
		{"a mapped address", Options{}, "http://[::ffff:127.0.0.1]/", "loopback"},
		{"a zone", Options{}, "http://[fe80::1%25eth0]/", "zone"},
		{"metadata", Options{AllowPrivate: true}, "http://169.254.169.254/latest", "link-local"},

		{"loopback, allowed", Options{AllowPrivate: true}, "http://127.0.0.1:9/", ""},
		{"localhost, allowed", Options{AllowNets: []string{"127.0.0.1"}}, "http://localhost/", ""},
		{"http, HTTPSOnly", Options{HTTPSOnly: true}, "http://example.com/", "HTTPSOnly"},
		{"https, HTTPSOnly", Options{HTTPSOnly: true}, "https://example.com/", ""},
		{"one of OnlyHosts", Options{OnlyHosts: []string{"api.example.com"}}, "https://API.example.com/", ""},
		{"below one of OnlyHosts", Options{OnlyHosts: []string{"*.Example.com"}}, "https://a.b.example.com/", ""},
		{"none of OnlyHosts", Options{OnlyHosts: []string{"*.example.com"}}, "https://example.com/", "OnlyHosts"},
		{"with the end of one of OnlyHosts", Options{OnlyHosts: []string{"*.example.com", "example.com"}}, "https://badexample.com/", "OnlyHosts"},
		{"OnlyHosts lift no rule about addresses", Options{OnlyHosts: []string{"127.0.0.1"}}, "https://127.0.0.1/", "loopback"},
		{"one of DenyHosts", Options{DenyHosts: []string{"*.internal.example", "internal.example"}}, "https://db.internal.example./", "DenyHosts"},
		{"one of Ports", Options{Ports: []uint16{443}}, "https://example.com/", ""},
		{"none of Ports", Options{Ports: []uint16{443}}, "https://example.com:22/", "port 22"},
		{"one of DenyNets", Options{DenyNets: []string{"93.184.0.0/16"}}, "https://93.184.215.14/", "DenyNets"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := newSender(t, c.o).CheckTarget(c.target)
			switch {
			case c.refused == "" && err != nil:
				t.Errorf("%q: %v, want it to be allowed", c.target, err)
			case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)):
				t.Errorf("%q: %v, want an error with %q", c.target, err, c.refused)
			case err != nil && strings.Contains(err.Error(), "hidden"):
				t.Errorf("%q: the error has a secret: %v", c.target, err)
			}
		})
	}
}

// FuzzTargets: no target panics, and what is allowed has a host that the guard has seen or a name in ASCII.
func FuzzTargets(f *testing.F) {
	for _, seed := range []string{"https://example.com/", "http://[::1]:80/", "http://127.1/", "http://a@b/", "https://xn--a:1/#", "http://%31/"} {
		f.Add(seed)
	}
	s := newSender(f, Options{})
	f.Fuzz(func(t *testing.T, raw string) {
		to, err := s.targets.parse(raw)
		if err != nil {
			return
		}
		if to.url.Host == "" || to.url.User != nil || strings.ContainsAny(to.origin, " @#?\\") || strings.Contains(to.origin, "127.") && strings.HasPrefix(to.origin, "http://127.0.0.1:") {
			t.Errorf("%q is allowed, with the origin %q", raw, to.origin)
		}
	})
}
