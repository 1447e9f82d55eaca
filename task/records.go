package task

import (
	"fmt"
	"strconv"
	"strings"
)

// Names of the records of a namespace: what its processes record in its durable store.
const (
	RecordIdentity = "identity"  // random text that tells this durable store from any other
	RecordWindow   = "window_ms" // a Window
	RecordLease    = "lease_ms"  // the longest lease that a worker of the namespace uses or has used
	RecordTxUse    = "tx_use"    // another text each time that a process notes that it uses transactions of callers
	// RecordGeneration is followed by a partition's number: a Generation.
	RecordGeneration = "generation:"
)

// MaxRecord is how many bytes a record has at most, and MaxRecordName how many its name has.
const (
	MaxRecord     = 255
	MaxRecordName = 64
)

// Records are the records of a namespace. Each is text that is not empty.
type Records struct {
	Values map[string]string // by name
	// Past are the names of the records whose process has ended. Only a store that one process
	// has to itself can know that: its records from before this process opened it. Nil: the
	// store cannot know.
	Past map[string]bool
}

// Window returns the recorded window, the zero one if there is none.
func (r Records) Window() (w Window, err error) {
	if text := r.Values[RecordWindow]; text != "" {
		err = w.UnmarshalText([]byte(text))
	}
	return w, err
}

// Identity returns the identity of the store.
func (r Records) Identity() string { return r.Values[RecordIdentity] }

// Lease returns the longest lease, the zero Lease if none is recorded.
func (r Records) Lease() (l Lease, err error) {
	if text := r.Values[RecordLease]; text != "" {
		err = l.UnmarshalText([]byte(text))
	}
	return l, err
}

// Generation is the record of a partition: which generation of the hot set is current, on which
// server, and which generation is announced to take its place. The zero Generation means that none
// is current, and none is announced.
type Generation struct {
	Current Place // the current generation
	Next    Place // the one that is announced to take its place
}

// Place is a generation on a server.
type Place struct {
	Generation int64  // 0: none
	Server     string // the server's own identity, without a space; may be empty
}

// Anywhere is the Server of an announcement that is made while no server answers: any server may
// take over. No server has that identity.
const Anywhere = "*"

// On reports whether p is on the process of that server. The part of an identity after the colon names
// the server's data, and changes when a replica is promoted; On does not compare it.
func (p Place) On(server string) bool {
	own, _, _ := strings.Cut(p.Server, ":")
	other, _, _ := strings.Cut(server, ":")
	return own == other
}

// GenerationName is the name of the record of partition p.
func GenerationName(p int) string { return RecordGeneration + strconv.Itoa(p) }

// Generation returns the record of partition p.
func (r Records) Generation(p int) (g Generation, err error) {
	if text := r.Values[GenerationName(p)]; text != "" {
		err = g.UnmarshalText([]byte(text))
	}
	return g, err
}

// MarshalText returns all of g, for a store.
func (g Generation) MarshalText() ([]byte, error) {
	for _, p := range []Place{g.Current, g.Next} {
		if strings.Contains(p.Server, " ") || len(p.Server) > maxServer {
			return nil, fmt.Errorf("%w: server %q of a generation, want at most %d bytes without a space", ErrInvalid, p.Server, maxServer)
		}
	}
	return fmt.Appendf(nil, "%d %s %d %s", g.Current.Generation, g.Current.Server, g.Next.Generation, g.Next.Server), nil
}

// maxServer is how long a server's identity may be, so that two fit into a record.
const maxServer = 100

// UnmarshalText reads what MarshalText wrote.
func (g *Generation) UnmarshalText(text []byte) error {
	parts := strings.Split(string(text), " ")
	if len(parts) != 4 {
		return fmt.Errorf("%w: recorded generation %q, want two numbers, each with a server after it", ErrMismatch, text)
	}
	for i, to := range []*Place{&g.Current, &g.Next} {
		n, err := strconv.ParseInt(parts[2*i], 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("%w: recorded generation %q, want numbers of at least 0", ErrMismatch, text)
		}
		*to = Place{Generation: n, Server: parts[2*i+1]}
	}
	return nil
}
