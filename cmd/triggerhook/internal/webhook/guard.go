package webhook

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
)

// guard decides which addresses may be connected to. The dialer asks it with the address of each connection, after the name was
// resolved, so a name that resolves to another address later (DNS rebinding) gains nothing. It is immutable.
type guard struct {
	allow, deny []netip.Prefix
	private     bool // Options.AllowPrivate
}

// RefusedError tells that the rules about targets refuse an address, a host or a port. No connection was made.
type RefusedError struct {
	// Target is the address, host or port.
	Target string
	// Rule says why it is refused.
	Rule string
}

// Error names the target and the rule.
func (e *RefusedError) Error() string { return e.Target + " is refused: " + e.Rule }

// special is a network that is not of the public Internet.
type special struct {
	net     netip.Prefix
	what    string
	private bool // AllowPrivate allows it
}

// specials has the networks of the IANA special-purpose registries that are not globally reachable, and the addresses of cloud metadata
// services, which come first because some lie in networks that AllowPrivate allows.
var specials = []special{
	{netip.MustParsePrefix("168.63.129.16/32"), "of a metadata service (Azure)", false},
	{netip.MustParsePrefix("100.100.100.200/32"), "of a metadata service (Alibaba)", false},
	{netip.MustParsePrefix("fd00:ec2::/32"), "of a metadata service (AWS)", false},
	{netip.MustParsePrefix("fd20:ce::254/128"), "of a metadata service (Google)", false},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local (metadata services are there)", false},
	{netip.MustParsePrefix("fe80::/10"), "link-local", false},

	{netip.MustParsePrefix("127.0.0.0/8"), "loopback", true},
	{netip.MustParsePrefix("::1/128"), "loopback", true},
	{netip.MustParsePrefix("10.0.0.0/8"), "private", true},
	{netip.MustParsePrefix("172.16.0.0/12"), "private", true},
	{netip.MustParsePrefix("192.168.0.0/16"), "private", true},
	{netip.MustParsePrefix("fc00::/7"), "private (unique local)", true},
	{netip.MustParsePrefix("100.64.0.0/10"), "of carrier-grade NAT", true},

	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified or of this network", false},
	{netip.MustParsePrefix("192.0.0.0/24"), "of IETF protocol assignments", false},
	{netip.MustParsePrefix("192.0.2.0/24"), "for documentation", false},
	{netip.MustParsePrefix("192.88.99.0/24"), "a relay from 6to4", false},
	{netip.MustParsePrefix("198.18.0.0/15"), "for benchmarks", false},
	{netip.MustParsePrefix("198.51.100.0/24"), "for documentation", false},
	{netip.MustParsePrefix("203.0.113.0/24"), "for documentation", false},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast", false},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved or broadcast", false},
	{netip.MustParsePrefix("2001::/23"), "of IETF protocol assignments (Teredo is there)", false},
	{netip.MustParsePrefix("2001:db8::/32"), "for documentation", false},
	{netip.MustParsePrefix("2002::/16"), "translated (6to4)", false},
	{netip.MustParsePrefix("3fff::/20"), "for documentation", false},
}

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")     // all that IANA has given out of IPv6
	nat64         = netip.MustParsePrefix("64:ff9b::/96") // an IPv4 address behind a translator, in the last four bytes
)

// control is net.Dialer.ControlContext: it is called with each address before the connection is begun.
func (g *guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return &RefusedError{network + " " + address, "it is no address and port of TCP"}
	}
	return g.check(a.Addr())
}

// check returns a RefusedError if a may not be connected to. DenyNets come first, then AllowNets, then the rules for all.
func (g *guard) check(a netip.Addr) error {
	shown := a.String()
	a = a.WithZone("").Unmap()
	forms := []netip.Addr{a}
	if nat64.Contains(a) {
		b := a.As16()
		forms = append(forms, netip.AddrFrom4([4]byte(b[12:])))
	}
	for _, f := range forms {
		if within(g.deny, f) {
			return &RefusedError{"address " + shown, "DenyNets has it"}
		}
	}
	for _, f := range forms {
		if within(g.allow, f) {
			return nil
		}
	}
	return g.public(forms[len(forms)-1], shown)
}

// public checks a against the rules for all addresses.
func (g *guard) public(a netip.Addr, shown string) error {
	for _, s := range specials {
		switch {
		case !s.net.Contains(a):
		case !s.private:
			return &RefusedError{"address " + shown, fmt.Sprintf("it is %s; only AllowNets can allow it", s.what)}
		case g.private:
			return nil
		default:
			return &RefusedError{"address " + shown, fmt.Sprintf("it is %s; AllowPrivate or AllowNets can allow it", s.what)}
		}
	}
	if a.Is6() && !globalUnicast.Contains(a) {
		return &RefusedError{"address " + shown, "it is not global unicast; only AllowNets can allow it"}
	}
	return nil
}

// within reports whether one of nets contains a.
func within(nets []netip.Prefix, a netip.Addr) bool {
	for _, n := range nets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
