package hotset

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// reply reads what a script has returned, from front to back. The first value of a wrong
// kind sets err, and everything that is read after that is zero.
type reply struct {
	verb string
	asOf task.AsOf
	// doneUS is a reading of the partition's clock from after the script; 0 if there is none (runThenTime).
	doneUS int64
	rest   []any
	err    error
}

// failed has a failover noticed at once, if err may be the effect of one: the subscriber
// asks whether its server is there, and the client of a cluster loads its table of slots. By
// itself the client loads that each 60 s; it loads it at most each 200 ms.
func (r *Redis) failed(err error) {
	if !errors.Is(err, task.ErrUnavailable) && !errors.Is(err, task.ErrReadOnly) && !errors.Is(err, context.DeadlineExceeded) {
		return
	}
	signal(r.doubted)
	if r.cluster != nil {
		r.cluster.ReloadState(context.Background()) // in a goroutine of its own
	}
}

// run runs a partition script and turns its status into an error. Every reply has the
// partition's time, which run notes for Clock.
func (r *Redis) run(ctx context.Context, p int, verb string, batches []string, args ...any) (*reply, error) {
	caller, identity := r.caller(p)
	k := append(r.keys[p].fixed[:len(r.keys[p].fixed):len(r.keys[p].fixed)], batches...)
	sent := time.Now()
	v, err := await(ctx, r.gate, !crowd[verb], func() ([]any, error) {
		return r.scripts[verb].Run(ctx, r.rdb, k, append([]any{caller}, args...)...).Slice()
	})
	return r.read(p, verb, identity, sent, v, err)
}

// read turns the status of a script's answer, or the error of its call, into an error.
func (r *Redis) read(p int, verb, identity string, sent time.Time, v []any, err error) (*reply, error) {
	if err != nil {
		err = r.typed(verb, p, err)
		r.failed(err)
		return &reply{}, err
	}
	a := &reply{verb: verb, rest: v}
	status := a.str()
	a.asOf = task.AsOf{TimeUS: a.int()}
	a.asOf.Generation = a.int()
	if a.err != nil {
		return a, a.err
	}
	if status == "OTHER" || status == "MISMATCH" { // its generation is not current: Clock asks the server again
		a.asOf.Generation = 0
	}
	r.saw(p, a.asOf, sent)
	switch status {
	case "OK":
		return a, nil
	case "OTHER":
		err = task.ErrOther
	case "COLD":
		err = task.ErrCold
	case "STALE":
		err = task.ErrStale
	case "ABORT":
		err = task.ErrAborted
	case "MISMATCH":
		partitions, format, of := a.str(), a.str(), a.str()
		if partitions != strconv.Itoa(r.config.Partitions) || format != entryFormat {
			err = fmt.Errorf("%w: it was made with %s partitions in format %s, this process with %d in format %s",
				task.ErrMismatch, partitions, format, r.config.Partitions, entryFormat)
		}
		if of != "" && identity != "" && of != identity {
			err = errors.Join(err, mismatch(r.config.Namespace, of, identity))
		}
	default:
		err = fmt.Errorf("strange status %.20q", status)
	}
	return a, fmt.Errorf("%s in partition %d: %w", verb, p, err)
}

func (r *Redis) saw(p int, asOf task.AsOf, sent time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[p] = sighting{asOf, sent}
}

func (a *reply) next() any {
	if len(a.rest) == 0 {
		a.fail("is too short")
		return nil
	}
	v := a.rest[0]
	a.rest = a.rest[1:]
	return v
}

func (a *reply) fail(what string) {
	if a.err == nil {
		a.err = fmt.Errorf("answer of %s %s", a.verb, what)
	}
}

func (a *reply) int() int64 {
	n, ok := a.next().(int64)
	if !ok {
		a.fail("has no number where one is due")
	}
	return n
}

func (a *reply) str() string {
	s, ok := a.next().(string)
	if !ok {
		a.fail("has no text where one is due")
	}
	return s
}

func (a *reply) list() []any {
	l, ok := a.next().([]any)
	if !ok {
		a.fail("has no list where one is due")
	}
	return l
}

// strs reads a list of texts.
func (a *reply) strs() []string {
	var all []string
	for _, v := range a.list() {
		s, ok := v.(string)
		if !ok {
			a.fail("has no text where one is due")
			return nil
		}
		all = append(all, s)
	}
	return all
}

// indices reads a list of indices from 1 to n, and returns them from 0 on.
func (a *reply) indices(n int) []int {
	var all []int
	for _, v := range a.list() {
		i, ok := v.(int64)
		if !ok || i < 1 || i > int64(n) {
			a.fail("has a strange index")
			return nil
		}
		all = append(all, int(i-1))
	}
	return all
}

func (a *reply) status() task.PartitionStatus {
	s := task.PartitionStatus{AsOf: a.asOf, StartMS: a.int() / 1000, HorizonMS: a.int()}
	s.ReadyMS = s.StartMS + task.RegisterWait.Milliseconds()
	s.Loaded = task.Cursor{NextMS: a.int(), ID: a.str()}
	s.Members = int(a.int())
	return s
}

// batches names the keys of batches.
func (r *Redis) batches(p int, tokens []string) []string {
	all := make([]string, len(tokens))
	for i, t := range tokens {
		all[i] = r.keys[p].batch(t)
	}
	return all
}

// appendEntries and appendMembers write all texts into one string, and pass pointers to its
// parts. A pointer is put into an any without an allocation, so a call needs a few allocations, not
// several for each member.
func appendEntries(args []any, entries []task.Entry) []any {
	var text strings.Builder
	n := 0
	for _, e := range entries {
		n += len(e.ID) + verLen + entryLen + len(e.Headers) + len(e.Payload)
	}
	text.Grow(n)
	from, parts := 0, make([]string, 0, 3*len(entries))
	next := func() { parts, from = append(parts, text.String()[from:]), text.Len() }
	for _, e := range entries {
		writeMember(&text, e.Ref)
		next()
		writeInt(&text, e.NextMS, 10)
		next()
		writeEntry(&text, e)
		next()
	}
	return appendTexts(args, parts)
}

func appendMembers(args []any, refs []task.Ref) []any {
	var text strings.Builder
	n := 0
	for _, r := range refs {
		n += len(r.ID) + verLen
	}
	text.Grow(n)
	parts := make([]string, len(refs))
	for i, r := range refs {
		from := text.Len()
		writeMember(&text, r)
		parts[i] = text.String()[from:]
	}
	return appendTexts(args, parts)
}

// appendTexts appends to a copy of args, because several calls may begin with the same args.
func appendTexts(args []any, parts []string) []any {
	all := make([]any, 0, len(args)+len(parts))
	all = append(all, args...)
	for i := range parts {
		all = append(all, &parts[i])
	}
	return all
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// refuse returns an error for a server that the set cannot work with. Version and policy
// are empty where a server does not say them (miniredis).
func refuse(version, policy string) error {
	if strings.HasPrefix(policy, "allkeys-") {
		return fmt.Errorf("%w: maxmemory-policy is %s, which may evict any key; set noeviction", task.ErrRefused, policy)
	}
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	ma, err := strconv.Atoi(major)
	mi, _ := strconv.Atoi(minor)
	if err == nil && (ma < 6 || ma == 6 && mi < 2) {
		return fmt.Errorf("%w: Redis %s, 6.2 is the oldest that will do", task.ErrRefused, version)
	}
	return nil
}
