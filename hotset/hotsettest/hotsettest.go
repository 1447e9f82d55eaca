// Package hotsettest is the conformance suite of hotset.Set: every
// implementation passes it, also a third party's.
//
//	func TestSet(t *testing.T) { hotsettest.Run(t, open) }
//
// It runs by the set's own clock and takes some seconds.
package hotsettest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// Open returns a Set that is empty and cold, in a namespace of its own, with that
// many partitions; closed at t's end.
type Open func(t *testing.T, partitions int) hotset.Set

// Run runs the suite with 1 and with 4 partitions.
func Run(t *testing.T, open Open) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprintf("p%d", partitions), func(t *testing.T) {
			for _, c := range claims {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.test(&kit{T: t, Set: open(t, partitions), p: partitions - 1})
				})
			}
		})
	}
}

var claims = []struct {
	name string
	test func(*kit)
}{
	{"AColdPartitionSaysSo", coldSaysSo},
	{"AGenerationBeginsEmpty", generationBeginsEmpty},
	{"TheHorizonIsExactToTheMillisecond", horizonIsExact},
	{"TheHorizonOnlyRises", horizonOnlyRises},
	{"AFullPartitionRetreats", fullPartitionRetreats},
	{"ARetreatKeepsWhatWasSnoozed", retreatKeepsDelays},
	{"AnOlderFeederIsRefused", olderFeederIsRefused},
	{"FeedMovesLoadedNeverBackNorBeyondTheHorizon", feedMovesLoaded},
	{"WhatIsKnownFromBeforeIsStale", oldKnowledgeIsStale},
	{"ARemovedMemberIsDead", removedIsDead},
	{"ARecreatedTaskIsAnotherMember", recreatedIsAnother},
	{"AddTwiceIsOnce", addTwiceIsOnce},
	{"ACheckChangesNothing", checkChangesNothing},
	{"MembersComeBackWhole", membersComeBackWhole},
	{"UsualTasksAreLikeOthers", usualTasks},
	{"ClaimTakesTheOldestFirst", claimTakesOldest},
	{"ClaimIsNeverEarly", claimIsNeverEarly},
	{"AClaimTakesWhatIsDueSoon", claimAhead},
	{"AClaimTakesWhatIsSoonGivenBack", claimAheadOfADelay},
	{"ARepeatedClaimReturnsItsBatch", repeatedClaim},
	{"EachMemberIsClaimedOnce", claimedOnce},
	{"RemoveTellsWhatWas", removeTells},
	{"RemoveTellsOfOtherVersions", removeTellsOfOtherVersions},
	{"RemoveTakesWhatWasGivenBack", removeTakesGivenBack},
	{"OneRemovalOfSeveralBatches", oneRemovalOfSeveralBatches},
	{"ALargeRemovalOfSeveralBatches", largeRemovalOfSeveralBatches},
	{"ReleaseOffersAgain", releaseOffersAgain},
	{"ReleaseIsOfOnesOwnBatch", releaseIsOfOwnBatch},
	{"ADelayBeyondTheHorizonStays", delayBeyond},
	{"LeasesEndUnlessExtended", leasesEnd},
	{"AnExtensionWinsOverTheReaper", extensionWins},
	{"TheReaperNeedsFreshKnowledge", reaperNeedsFresh},
	{"ExtendTellsWhatIsGone", extendTells},
	{"RegisteredMembersAreClaimed", registered},
	{"FindTellsWhereMembersAre", find},
	{"AFullPartitionKeepsWhatIsClaimed", fullOfClaimed},
	{"StateCounts", state},
	{"WaitingCountsUpToEachTime", waiting},
	{"ElectionsHaveOneWinner", elect},
	{"WorkersTellOfThemselves", workers},
	{"AnEarlierMemberWakes", wakes},
	{"ARemovalTellsOfWhatWasClaimed", tellsRemoved},
	{"AnElectionTellsOfItsRoles", tellsKept},
	{"AFeederTellsOfAQuietPartition", tellsQuiet},
	{"ManyMembersInOneCall", manyMembers},
	{"PartitionsAreIndependent", independent},
	{"HorizonLooksBeforeItBegins", looksFirst},
	{"OneGenerationIsCurrent", oneGenerationIsCurrent},
	{"AnotherGenerationBegins", anotherGenerationBegins},
	{"TheIdentityIsKept", identityIsKept},
	{"NothingIsClaimedInAPause", pausedGivesNothing},
	{"ANewerPauseReplacesAnOlderOne", pausesReplaceOlderOnes},
	{"APauseEndsAtItsTime", pausesEnd},
	{"APauseWakes", pauseWakes},
	{"FewAreInFlight", fewAreInFlight},
	{"ClaimsArePaced", claimsArePaced},
}

// kit is a Set under test, and the partition that the test uses.
type kit struct {
	*testing.T
	hotset.Set
	p int
}

const far = int64(4_000_000_000_000) // ms, beyond any test

func (k *kit) must(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

// warm begins a generation whose horizon is far.
func (k *kit) warm() task.PartitionStatus {
	k.Helper()
	f, err := k.Horizon(k.Context(), k.p, task.HorizonRequest{Epoch: 1, HorizonMS: far, Limit: 1_000_000})
	k.must(err)
	return f
}

func (k *kit) now() task.AsOf {
	k.Helper()
	s, err := k.State(k.Context(), k.p)
	k.must(err)
	return s.AsOf
}

// aUUID is an id that a Set may store in another form than others.
const aUUID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"

func entry(id string, nextMS int64) task.Entry {
	return task.Entry{Ref: task.Ref{ID: id, Ver: 1}, NextMS: nextMS, DueMS: nextMS, Payload: []byte("p")}
}

func (k *kit) add(want task.AddOutcome, entries ...task.Entry) {
	k.Helper()
	got, err := k.Add(k.Context(), k.p, task.AddRequest{AsOf: k.now(), Entries: entries})
	k.must(err)
	each(k, "Add", got, len(entries), want)
}

// each compares the outcome for each of n members.
func each[T comparable](k *kit, act string, got []T, n int, want T) {
	k.Helper()
	if len(got) != n {
		k.Fatalf("%s of %d members gave %d outcomes", act, n, len(got))
	}
	for i, a := range got {
		if a != want {
			k.Fatalf("%s answered %v, want %v for member %d", act, got, want, i)
		}
	}
}

func (k *kit) claim(token string, limit int) task.Batch {
	k.Helper()
	b, err := k.Claim(k.Context(), k.p, task.ClaimRequest{Token: token, Limit: limit, Lease: time.Minute})
	k.must(err)
	return b
}

func (k *kit) ids(b task.Batch) string {
	var ids []string
	for _, c := range b.Claims {
		ids = append(ids, c.ID)
	}
	return strings.Join(ids, " ")
}

// claimed expects the next claim to take just these, in any order.
func (k *kit) claimed(token string, ids ...string) task.Batch {
	k.Helper()
	b := k.claim(token, 1000)
	got := strings.Fields(k.ids(b))
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		k.Fatalf("claimed %q, want %q", got, ids)
	}
	return b
}

func (k *kit) is(err, want error, act string) {
	k.Helper()
	if !errors.Is(err, want) {
		k.Fatalf("%s: %v, want %v", act, err, want)
	}
}

// until waits until ok.
func (k *kit) until(what string, ok func() bool) {
	k.Helper()
	end := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-end:
			k.Fatalf("waited in vain until %s", what)
		}
	}
}

func refs(entries ...task.Entry) []task.Ref {
	var all []task.Ref
	for _, e := range entries {
		all = append(all, e.Ref)
	}
	return all
}

func find(k *kit) {
	k.warm()
	a, b, c := entry("a", far-5), entry("b", 1), entry("c", 1)
	k.add(task.AddTaken, a, b)
	k.claimed("t", "b")
	found, err := k.Find(k.Context(), k.p, refs(a, b, c))
	k.must(err)
	want := []task.FindResult{{Outcome: task.FindWaiting, NextMS: far - 5}, {Outcome: task.FindClaimed}, {Outcome: task.FindAbsent}}
	if !slices.Equal(found, want) {
		k.Errorf("Find answered %+v, want %+v", found, want)
	}
}

func state(k *kit) {
	k.warm()
	k.add(task.AddTaken, entry("a", 5), entry("b", 1), entry("c", far-1), entry("d", 7))
	k.claim("t", 1)
	s, err := k.State(k.Context(), k.p)
	if k.must(err); s.Waiting != 3 || s.Due != 2 || s.Claimed != 1 || s.OldestMS != 5 || s.HorizonMS != far {
		k.Errorf("State answered %+v", s)
	}
}

// waiting has members that are due and later ones, and one that was claimed. It is not counted until it waits again.
func waiting(k *kit) {
	if _, err := k.Waiting(k.Context(), k.p, far); !errors.Is(err, task.ErrCold) {
		k.Errorf("Waiting in a cold partition answered %v, want ErrCold", err)
	}
	k.warm()
	k.add(task.AddTaken, entry("a", 1), entry("b", 5), entry("c", 5), entry("d", far-2), entry("e", far-1))
	b := k.claim("t", 1)
	check := func(want ...int64) {
		k.Helper()
		c, err := k.Waiting(k.Context(), k.p, far, 1, 2, 5, 6, far-2, far-1, 0)
		if k.must(err); !slices.Equal(c.Counts, want) || c.AsOf.Generation == 0 || c.Loaded != (task.Cursor{}) {
			k.Errorf("Waiting answered %+v, want counts of %d and nothing loaded", c, want)
		}
	}
	check(4, 0, 0, 0, 2, 2, 3, 0)
	_, err := k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "t", Refs: []task.Ref{b.Claims[0].Ref}, AtNext: true})
	k.must(err)
	check(5, 0, 1, 1, 3, 3, 4, 0)
	loaded := task.Cursor{NextMS: 7, ID: "x"}
	_, err = k.Feed(k.Context(), k.p, task.FeedRequest{AsOf: k.now(), Epoch: 1, Loaded: loaded})
	k.must(err)
	if c, err := k.Waiting(k.Context(), k.p); err != nil || c.Loaded != loaded || len(c.Counts) != 0 {
		k.Errorf("Waiting without a time answered %+v, %v; want that rows are loaded up to %v", c, err, loaded)
	}
	many, err := k.Waiting(k.Context(), k.p, make([]int64, task.MaxTimes)...)
	if err != nil || len(many.Counts) != task.MaxTimes {
		k.Errorf("Waiting for %d times answered %d counts, %v", task.MaxTimes, len(many.Counts), err)
	}
	if _, err := k.Waiting(k.Context(), k.p, make([]int64, task.MaxTimes+1)...); !errors.Is(err, task.ErrInvalid) {
		k.Errorf("Waiting for %d times answered %v, want ErrInvalid", task.MaxTimes+1, err)
	}
}

func elect(k *kit) {
	ctx := k.Context()
	elect := func(holder string, term time.Duration) []task.Term {
		k.Helper()
		got, err := k.Elect(ctx, holder, term, task.Feeder, task.Auditor)
		if k.must(err); len(got) != 2 {
			k.Fatalf("Elect for 2 roles answered %+v", got)
		}
		return got
	}
	first := elect("a", time.Minute) // longer than any load holds up what follows
	if !first[0].Held || !first[1].Held || !first[0].New || first[0].Epoch == 0 {
		k.Fatalf("first Elect answered %+v", first)
	}
	if got := elect("b", time.Minute); got[0].Held || got[0].Left <= 0 || got[0].Left > time.Minute {
		k.Errorf("a rival was answered %+v", got)
	}
	if got := elect("a", 50*time.Millisecond); !got[0].Held || got[0].New || got[0].Epoch != first[0].Epoch {
		k.Errorf("renewal was answered %+v after %+v", got, first)
	}
	var next []task.Term
	k.until("the term ends", func() bool { next = elect("b", time.Minute); return next[0].Held && next[1].Held })
	if next[0].Epoch <= first[0].Epoch {
		k.Errorf("the next holder's epoch is %d after %d", next[0].Epoch, first[0].Epoch)
	}
	if got := elect("a", time.Minute); got[0].Held {
		k.Errorf("two hold a role: %+v", got)
	}
	elect("b", 0)
	if got := elect("a", time.Minute); !got[0].Held || !got[0].New || got[0].Epoch <= next[0].Epoch {
		k.Errorf("after a resignation Elect answered %+v", got)
	}
}

func workers(k *kit) {
	ctx := k.Context()
	beat := func(worker, report string) { k.Helper(); k.must(k.Heartbeat(ctx, worker, []byte(report))) }
	var r task.Roster
	told := func() string {
		k.Helper()
		var err error
		r, err = k.Workers(ctx, task.Feeder, task.Reaper)
		k.must(err)
		var text []string
		for _, w := range r.Workers {
			if w.ToldMS > r.AsOf || w.ToldMS < r.AsOf-time.Minute.Milliseconds() {
				k.Errorf("worker %s told at %d, as of %d", w.Name, w.ToldMS, r.AsOf)
			}
			text = append(text, fmt.Sprint(w.Name, " ", string(w.Report), w.Roles))
		}
		return strings.Join(text, ", ")
	}
	want := func(want string) {
		k.Helper()
		if got := told(); got != want {
			k.Errorf("the workers are %q, want %q", got, want)
		}
	}
	elect := func(term time.Duration, watched bool) {
		k.Helper()
		terms, err := k.Elect(ctx, "a", term, task.Auditor, task.Reaper)
		k.must(err)
		for _, t := range terms {
			if t.Watched != watched {
				k.Errorf("an election answered Watched %t, want %t", t.Watched, watched)
			}
		}
	}
	elect(time.Minute, false)
	want("")
	since := r.Since
	if since != r.AsOf {
		k.Errorf("as of %d a process asks since %d", r.AsOf, since)
	}
	elect(time.Minute, true)
	beat("a", "1")
	k.until("the clock moves on", func() bool { beat("b", "\x00:\xff"); return told() == "a 1[reaper], b \x00:\xff[]" })
	beat("c", "3")
	beat("c", "")
	beat("nobody", "")
	want("a 1[reaper], b \x00:\xff[]")
	k.until("the clock moves on", func() bool { beat("a", "2"); return told() == "b \x00:\xff[], a 2[reaper]" })
	elect(0, true)
	want("b \x00:\xff[], a 2[]")
	if r.Since != since {
		k.Errorf("a process asks since %d, and before since %d", r.Since, since)
	}
}

func wakes(k *kit) {
	k.warm()
	ctx, cancel := context.WithCancel(k.Context())
	wake, done := make(chan struct{}, 1), make(chan error, 1)
	go func() { done <- k.Watch(ctx, task.Watcher{Wake: wake}) }()
	due := far - 1
	k.until("an earlier member wakes", func() bool { // the first may come before the subscription stands
		due--
		k.add(task.AddTaken, entry(fmt.Sprint(due), due))
		select {
		case <-wake:
			return true
		case <-time.After(20 * time.Millisecond):
			return false
		}
	})
	cancel()
	if err := <-done; err != nil {
		k.Errorf("Watch returned %v when its context ended", err)
	}
}

// tellsRemoved: those who watch hear which members were removed while another caller had claimed them, and of no others.
func tellsRemoved(k *kit) {
	k.warm()
	ctx, cancel := context.WithCancel(k.Context())
	wake, done, told := make(chan struct{}, 1), make(chan error, 1), make(chan []task.Ref, 10)
	go func() {
		done <- k.Watch(ctx, task.Watcher{Wake: wake, Removed: func(p int, refs []task.Ref) {
			if p != k.p {
				k.Errorf("told of removed members of partition %d, want %d", p, k.p)
			}
			told <- refs
		}})
	}()
	<-wake // the subscription stands
	all := []task.Entry{entry("a", 1), entry("b:1", 2), entry("0", 3), entry("own", 4), entry("later", far-1)}
	k.add(task.AddTaken, all...)
	b := k.claim("t", 4)
	refs := make([]task.Ref, len(all))
	for i, e := range all {
		refs[i] = e.Ref
	}
	_, err := k.Remove(k.Context(), k.p, b.Token, refs[3:4])
	k.must(err)
	k.must(k.RemoveHeld(k.Context(), k.p, []task.Held{{Token: b.Token, Refs: refs[2:3]}}))
	_, err = k.Remove(k.Context(), k.p, "", slices.Concat(refs[:2], refs[4:], []task.Ref{{ID: "nobody", Ver: 9}}))
	k.must(err)
	select {
	case got := <-told:
		if !slices.Equal(got, refs[:2]) {
			k.Errorf("told of the removed members %v, want %v", got, refs[:2])
		}
	case <-time.After(10 * time.Second):
		k.Error("not told of removed members")
	}
	cancel()
	k.must(<-done)
	if len(told) > 0 {
		k.Errorf("told of removed members once more: %v", <-told)
	}
}

func manyMembers(k *kit) {
	f := k.warm()
	const n = 2500
	var all []task.Entry
	for i := range n {
		all = append(all, entry(fmt.Sprintf("%05d", i), 1))
	}
	s, err := k.Feed(k.Context(), k.p, task.FeedRequest{AsOf: f.AsOf, Epoch: 1, Entries: all, Loaded: cursor(all[n-1])})
	if k.must(err); s.Members != n || s.Loaded != cursor(all[n-1]) {
		k.Errorf("Feed of %d answered %+v", n, s)
	}
	var got []task.Ref
	for i := 0; len(got) < n && i < 10; i++ {
		for _, c := range k.claim(fmt.Sprint("t", i), 5000).Claims {
			got = append(got, c.Ref)
		}
	}
	if len(got) != n {
		k.Fatalf("claimed %d of %d", len(got), n)
	}
	answers, err := k.Remove(k.Context(), k.p, "", got)
	k.must(err)
	each(k, "Remove", answers.Outcomes, n, task.RemoveClaimed)
	k.add(task.AddDead, all...)
}

func independent(k *kit) {
	k.warm()
	k.add(task.AddTaken, entry("a", 1))
	for p := range k.Config().Partitions {
		if p == k.p {
			continue
		}
		_, err := k.Claim(k.Context(), p, task.ClaimRequest{Token: "t", Limit: 10, Lease: time.Minute})
		k.is(err, task.ErrCold, "Claim from another partition")
	}
	k.claimed("t", "a")
}

func cursor(e task.Entry) task.Cursor { return task.Cursor{NextMS: e.NextMS, ID: e.ID} }
