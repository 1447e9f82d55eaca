/* The longest Lease of a namespace's workers is recorded before it is used, because a Delete that meets a generation without
   knowledge of its task answers nil only if that is older than any lease can be. For spin 6.5. Time is counted, for the rule is
   about it.

   The durable store records two lengths, which are changed by compare and swap alone (here a step reads and swaps: a swap that
   fails changes nothing), and never fall: what is settled, which workers use, and what is announced, by which deleters go. Whoever has a Lease that is longer than what is settled announces it, if
   it is longer than what is announced too, waits HOLD, and settles it. So does whoever meets the announcement of another worker, which may
   have died. If nothing is recorded, a deleter takes MAX, the longest that is legal, and the first is settled at once. A deleter
   relies for TRUST, which is shorter than HOLD, on what it has read.

   Processes: Worker is Reader.AnnounceLease (internal/record), and then a claim (claim.lua); an extension (extend.lua) is no more than a claim that
   comes later. It may die anywhere. Flusher is a loss of data, after which a new generation knows nothing of the claim; that
   its holder registers is in lease.pml. Deleter is Scheduler.removeMembers (delete.go) with Reader.LongestLease, Ticker the time, which
   passes for all at once. FIRST=1: nothing is recorded at first.
   Checked: if Delete returns nil, no caller had the task under a lease that lived when Delete deleted the row.
   Assumed: clocks run at one rate (HOLD is longer than TRUST by half a second in the code).
   Must fail: NOWAIT (what is announced is settled at once), USEANNOUNCED (a worker uses what another one has announced at once),
   BYSETTLED (Delete goes by what is settled), NOTRUST (a deleter never reads again), NONEISSHORT (with FIRST: if nothing is recorded
   a deleter takes the shortest), YOUNGLATE (Delete asks how old the generation is when it ends, not when it began). */

#define TRUST 1            /* record.MaxAge in the code, and HOLD is record.Hold */
#define HOLD  (TRUST + 1)
#define SHORT 1            /* a Lease that was recorded before */
#define MAX   3
#ifndef END
#define END   6
#endif
#ifndef NW
#define NW    2
#endif
#ifndef FIRST
#define FIRST 0
#endif

byte t = 0;
byte settled = (FIRST -> 0 : SHORT), announced = (FIRST -> 0 : SHORT);    /* MySQL */
bool row = 1;
bool waits = 1, lost = 0;  /* Redis: the task waits; data was lost since it was claimed, or before */
byte start = 0;            /* when the generation began */
byte ends = 0;             /* when the lease of the one claim ends */

#ifdef USEANNOUNCED
#define MAYUSE (announced >= own)
#else
#define MAYUSE (settled >= own)
#endif

proctype Ticker() { do :: t < END -> t++ :: t == END -> break od }

proctype Worker(byte w) {
  byte own, since; bool waited = 0;
  if :: w == 1 -> own = MAX :: own = 2 fi;
  do
  :: atomic { MAYUSE -> break }
  :: atomic { !MAYUSE && !settled -> settled = own; announced = own }
#ifdef NOWAIT
  :: atomic { !MAYUSE && settled && announced < own -> settled = own; announced = own }
#else
  :: atomic { !MAYUSE && settled && announced < own -> announced = own }
#endif
  :: atomic { !MAYUSE && settled && announced >= own && !waited -> since = t }
     atomic { t >= since + HOLD -> waited = 1; since = 0 }
  :: atomic { !MAYUSE && settled && announced >= own && waited -> settled = own }
  :: goto dead
  od;
  atomic { waits && row && !lost -> waits = 0; ends = t + own };
dead: skip
}

proctype Flusher() { atomic { lost = 1; start = t } }

#ifdef BYSETTLED
#define SAID settled
#else
#define SAID announced
#endif
#ifdef NONEISSHORT
#define NONE SHORT
#else
#define NONE MAX
#endif
#ifdef NOTRUST
#define RELIES 1
#else
#define RELIES (t <= read + TRUST)
#endif
#ifdef YOUNGLATE
#define TOOK 0
#else
#define TOOK (t - began)
#endif
#define LONGEST (!RELIES -> MAX : (!known -> NONE : known))

proctype Deleter() {
  byte known, read, began;
  atomic { known = SAID; read = t };
  began = t;
  atomic { row -> row = 0; if :: ends <= t -> goto done :: else fi };    /* a caller has the task: nil must not be answered */
  atomic { if :: !lost -> goto done :: else fi };                        /* the removal answers Claimed */
  if
  :: atomic { known = SAID; read = t }      /* read again, by another goroutine */
  :: skip
  fi;
  atomic { assert(t < start + LONGEST + TOOK)  };                        /* State: else nil */
done: atomic { known = 0; read = 0; began = 0 }
}

init {
  atomic {
    run Ticker(); run Flusher(); run Deleter(); run Worker(1);
#if NW > 1
    run Worker(2);
#endif
  }
}
