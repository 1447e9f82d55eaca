package task

// Each verb of the hot set that answers for single members has an outcome type of its own, with
// only the values that it can return.

// AddOutcome is what Add did with one entry. Without a Token it is one of the first four, with a
// Token one of AddClaimed, AddElsewhere and AddDead.
type AddOutcome uint8

// Outcomes of Add.
const (
	AddTaken     AddOutcome = iota + 1 // it was added: it was no member, and waits now
	AddPresent                         // it was a member before, waiting or claimed, and is as it was
	AddBeyond                          // not taken: its NextMS is not below the horizon
	AddDead                            // not taken: it was removed, and has a tombstone
	AddClaimed                         // it is in the batch that the request names
	AddElsewhere                       // it is in another batch, and stays there
)

// RemoveOutcome is what one member was when Remove removed it.
type RemoveOutcome uint8

// Outcomes of Remove.
const (
	RemoveAbsent  RemoveOutcome = iota // it was no member, or the partition is cold
	RemoveWaiting                      // it waited
	RemoveClaimed                      // a worker holds some version of the task, or may; with a token it says nothing
)

// ReleaseOutcome is what Release did with one member.
type ReleaseOutcome uint8

// Outcomes of Release.
const (
	ReleaseWaiting   ReleaseOutcome = iota + 1 // it was given back, and waits now
	ReleaseLeased                              // unchanged: the request was for an expired batch, and its lease lives
	ReleaseElsewhere                           // unchanged: it is a member, but not in the batch that the request names
	ReleaseBeyond                              // it stays in its batch: the delay ends at or beyond the horizon
	ReleaseDead                                // it was removed, and has a tombstone
	ReleaseAbsent                              // it is no member, or the hot set lost its entry; it is in no batch now
)

// FindOutcome is where Find found one member.
type FindOutcome uint8

// Outcomes of Find.
const (
	FindAbsent  FindOutcome = iota // it is no member, or the partition is cold
	FindWaiting                    // it waits
	FindClaimed                    // it is in a batch
	FindOrphan                     // it had an entry but was neither waiting nor in a batch with a lease; the entry is dropped
)
