package webhook

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Each kind of address that is not public is refused, in each form that it has in IPv6; AllowPrivate allows some of them.
func TestOnlyPublicAddressesAreAllowed(t *testing.T) {
	const public, private, never = "public", "private", "never"
	for address, want := range map[string]string{
		"93.184.215.14": public, "8.8.8.8": public, "172.15.255.255": public, "172.32.0.0": public, "100.63.255.255": public, "100.128.0.0": public,
		"192.0.1.0": public, "198.17.255.255": public, "223.255.255.255": public, "168.63.129.15": public,
		"2606:2800:21f:cb07:6820:80da:af6b:8b2c": public, "2a00::1": public, "::ffff:8.8.8.8": public, "64:ff9b::808:808": public,

		"127.0.0.1": private, "127.255.255.255": private, "10.0.0.0": private, "10.255.255.255": private, "172.16.0.0": private, "172.31.255.255": private,
		"192.168.0.1": private, "100.64.0.0": private, "100.127.255.255": private, "::1": private, "fc00::1": private, "fdff::1": private,
		"::ffff:127.0.0.1": private, "::ffff:10.0.0.1": private, "64:ff9b::7f00:1": private, "64:ff9b::a00:1": private,

		"0.0.0.0": never, "0.1.2.3": never, "169.254.169.254": never, "169.254.0.1": never, "168.63.129.16": never, "100.100.100.200": never,
		"192.0.0.192": never, "192.0.2.1": never, "192.88.99.1": never, "198.18.0.1": never, "198.19.255.255": never, "198.51.100.1": never,
		"203.0.113.1": never, "224.0.0.1": never, "239.255.255.255": never, "240.0.0.1": never, "255.255.255.255": never,
		"::": never, "::7f00:1": never, "fe80::1": never, "febf::1": never, "fec0::1": never, "ff02::1": never, "fd00:ec2::254": never, "fd20:ce::254": never,
		"::ffff:169.254.169.254": never, "64:ff9b::a9fe:a9fe": never, "64:ff9b:1::1": never, "2002:7f00:1::": never, "2002:a9fe:a9fe::1": never,
		"2001::1": never, "2001:1ff::1": never, "2001:db8::1": never, "3fff::1": never, "4000::1": never, "100::1": never, "5f00::1": never, "::ffff:0:7f00:1": never,
	} {
		a := netip.MustParseAddr(address)
		if err := (&guard{}).check(a); (err == nil) != (want == public) {
			t.Errorf("%s: %v, want %s", address, err, want)
		}
		if err := (&guard{private: true}).check(a); (err == nil) != (want != never) {
			t.Errorf("%s with AllowPrivate: %v, want %s", address, err, want)
		}
		if err := (&guard{allow: []netip.Prefix{netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())}}).check(a); err != nil {
			t.Errorf("%s, which AllowNets has: %v", address, err)
		}
		if err := (&guard{private: true, allow: all(), deny: all()}).check(a); err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "DenyNets") {
			t.Errorf("%s, which DenyNets has: %v, want an error that names it and the rule", address, err)
		}
	}
}

// all is all addresses.
func all() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
}

// A network of IPv4 in AllowNets or DenyNets counts for the addresses behind a translator too.
func TestNetworksCountBehindATranslator(t *testing.T) {
	ten := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	behind := netip.MustParseAddr("64:ff9b::a00:1") // 10.0.0.1
	if err := (&guard{allow: ten}).check(behind); err != nil {
		t.Errorf("allowed 10.0.0.0/8: %v", err)
	}
	if err := (&guard{deny: ten, private: true}).check(behind); err == nil {
		t.Error("denied 10.0.0.0/8: it is allowed")
	}
}

func TestTheDialerRefusesWhatIsNoAddressOfTCP(t *testing.T) {
	for _, c := range [][2]string{{"tcp4", "somewhere:80"}, {"udp4", "8.8.8.8:80"}, {"unix", "/run/socket"}} {
		if err := (&guard{private: true}).control(t.Context(), c[0], c[1], nil); err == nil {
			t.Errorf("%s %s is allowed", c[0], c[1])
		}
	}
}

// The address is checked after the name was resolved, with each connection: a name that resolves to a public address when the task is
// created, and to loopback later (DNS rebinding), gets no connection.
func TestANameThatResolvesToAPrivateAddressGetsNoConnection(t *testing.T) {
	r := newReceiver(t, nil)
	port := r.URL[strings.LastIndexByte(r.URL, ':'):]
	for _, address := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"} {
		s := newSender(t, Options{Resolver: resolver(t, netip.MustParseAddr(address))})
		const name = "http://rebound.example.com"
		if err := s.CheckTarget(name + port); err != nil {
			t.Fatalf("the name itself is refused: %v", err)
		}
		err := s.Handle(t.Context(), delivery(name+port+"/hook?token=hidden"))
		var refused *RefusedError
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v, want a RefusedError", address, err)
		}
		if err != nil && strings.Contains(err.Error(), "hidden") {
			t.Errorf("the error has the query: %v", err)
		}
	}
	if n := len(r.requests()); n != 0 {
		t.Errorf("%d requests were received, want none", n)
	}
	// The same name and resolver work once loopback is allowed, so that it was the guard that refused.
	s := newSender(t, Options{AllowPrivate: true, Resolver: resolver(t, netip.MustParseAddr("127.0.0.1"))})
	if err := s.Handle(t.Context(), delivery("http://rebound.example.com"+port)); err != nil {
		t.Error(err)
	}
	r.one(t)
}

// A proxy that the environment names is used if an option says so, and its address must be allowed like any other.
func TestAProxyOfTheEnvironmentNeedsAnOption(t *testing.T) {
	proxy := newReceiver(t, nil)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("NO_PROXY", "")
	const target = "http://behind.example.com/hook"
	for _, c := range []struct {
		o       Options
		proxied int
		want    string
	}{
		{Options{AllowPrivate: true, Resolver: resolver(t, netip.MustParseAddr("240.0.0.1"))}, 0, "failed"},
		{Options{ProxyFromEnvironment: true}, 0, "failed"},
		{Options{ProxyFromEnvironment: true, AllowNets: []string{"127.0.0.1"}}, 1, "done"},
	} {
		err := newSender(t, c.o).Handle(t.Context(), delivery(target))
		if n := len(proxy.requests()); n != c.proxied || meaning(err) != c.want {
			t.Errorf("%+v: the proxy has got %d requests, %v; want %d, %s", c.o, n, err, c.proxied, c.want)
		}
	}
}

// resolver answers each question with that address, by a server of DNS within the process.
func resolver(t *testing.T, a netip.Addr) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go answerDNS(theirs, a)
		t.Cleanup(func() { ours.Close() })
		return packetPipe{ours}, nil
	}}
}

// packetPipe is a net.Pipe that the resolver takes for a connection of packets, so that messages have no length before them.
type packetPipe struct{ net.Conn }

// ReadFrom implements net.PacketConn.
func (p packetPipe) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.Read(b)
	return n, p.RemoteAddr(), err
}

// WriteTo implements net.PacketConn.
func (p packetPipe) WriteTo(b []byte, _ net.Addr) (int, error) { return p.Write(b) }

// answerDNS answers questions until the connection is closed: those for addresses of a's kind with a, others with nothing.
func answerDNS(c net.Conn, a netip.Addr) {
	defer c.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := c.Read(buffer)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
			return
		}
		m.Response, m.Additionals = true, nil
		h := dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 1}
		switch {
		case m.Questions[0].Type == dnsmessage.TypeA && a.Is4():
			m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AResource{A: a.As4()}}}
		case m.Questions[0].Type == dnsmessage.TypeAAAA && a.Is6():
			m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}}}
		}
		packed, err := m.Pack()
		if err != nil {
			return
		}
		if _, err := c.Write(packed); err != nil {
			return
		}
	}
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
