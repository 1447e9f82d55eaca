/* confirmtx: a delivery whose row its caller deletes in a transaction of its own (Delivery.ConfirmTx), together with what the
   task does (the effect). For spin 6.5. One task. Versions of its row: 1, and 2 after a Reschedule; 0 is none.

   Covers    two workers that have the task at once or one after the other, because a lease may end at any time; transactions that
             commit, roll back, or end with their worker (kill -9); the row's lock, and a DELETE that waits for it; the look at
             the row after the transaction, which may come while it is still open; a Reschedule.
   Leaves    the hot set's own rules (lease.pml, hotset.pml): a member of the row's version is where a worker may claim it, as
   out       long as the row exists, and a worker may hold what no longer exists.
   Assumes   a DELETE sees what is committed, and not a snapshot.
   Checked   the effect is committed at most once for each version, and exactly once if the row is gone without a Reschedule that
             waits: no committed effect and a row that stands, no row without an effect; a transaction deletes only the version
             that its worker was handed; at rest a row that stands waits to be claimed.
   Stands    Worker   Delivery.ConfirmTx, settler.endTx, lookAfterTx (consumer/confirmtx.go)
   for       Mover    Scheduler.Reschedule                                      Time     leases that end; the reaper

   Variants, each of which must fail: GONEISNIL the caller commits though its DELETE met no row; UNFENCED the DELETE names the id
   alone; LOOKDELETES what ends a delivery after ConfirmTx deletes the row, as Confirm does; LOOKDROPS it takes the row for gone
   without a look, and drops the member. */

#define NONE 0

byte row = 1;                                   /* MySQL: the committed version */
byte lock = NONE;                               /* which worker's transaction has locked the row */
byte waits = 1;                                 /* the version of the member that may be claimed; 0: none */
byte has[3];                                    /* the version that a worker was handed */
bool leased[3];                                 /* its lease lives */
byte effects[3];                                /* committed, by version */
byte busy = 3;

#ifdef UNFENCED
#define MEETS(v) (row != NONE)
#else
#define MEETS(v) (row == v)
#endif

inline back(w) {                                /* the task is offered again, if the row exists in that version */
  if :: row == has[w] && leased[w] -> waits = row :: else fi
}

proctype Worker(byte w) {
  bool met, committed;
  byte n = 0;
  do
  :: n < 3 && waits ->
     atomic {
       if
       :: waits -> has[w] = waits; waits = NONE; leased[w] = 1; n++
       :: else -> goto again
       fi };
     /* the DELETE: it waits for another transaction that has the row */
     if
     :: atomic { lock == NONE ->
          met = MEETS(has[w]); committed = 0;
          if :: met -> lock = w :: else fi };
#ifdef GONEISNIL
        if
        :: atomic { met = 1; committed = 1 }
#else
        if
        :: atomic { met -> committed = 1 }
#endif
           atomic {                              /* the commit */
             if :: lock == w ->
                   assert(row == has[w]);
                   row = NONE; lock = NONE :: else fi;
             effects[has[w]]++ ; assert(effects[1] + effects[2] <= 1) }
        :: atomic { true -> if :: lock == w -> lock = NONE :: else fi }              /* it rolls back */
        :: atomic { true -> if :: lock == w -> lock = NONE :: else fi; goto dead }   /* kill -9 */
        fi
     :: skip                                    /* it has failed before that: no DELETE */
     :: goto dead                               /* kill -9 */
     fi;
     /* the look, and what follows */
#ifdef LOOKDELETES
     atomic { if :: row == has[w] && lock == NONE -> row = NONE :: else fi };
#else
#ifndef LOOKDROPS
     atomic { back(w) };
#endif
#endif
again:
     atomic { has[w] = NONE; leased[w] = 0; met = 0; committed = 0 }
  :: break
  od;
dead:
  busy--
}

proctype Mover() {
  if
  :: atomic { row == 1 && lock == NONE -> row = 2; waits = 2 }
  :: skip
  fi;
  busy--
}

/* A lease ends: what a worker had waits again, while the worker goes on. The reaper, the auditor and the feeder bring in what
   stands and is nowhere. */
proctype Time() {
end:
  do
  :: atomic { leased[1] && has[1] -> leased[1] = 0; if :: row == has[1] && !waits && !(leased[2] && has[2] == row) -> waits = row :: else fi }
  :: atomic { leased[2] && has[2] -> leased[2] = 0; if :: row == has[2] && !waits && !(leased[1] && has[1] == row) -> waits = row :: else fi }
#ifndef LOOKDROPS
  :: atomic { row && !waits && !leased[1] && !leased[2] -> waits = row }
#endif
  od
}

init {
  atomic { run Worker(1); run Worker(2); run Mover(); run Time() };
  timeout;
  assert(busy == 0);
  assert(lock == NONE);
  assert((row == NONE) == (effects[1] + effects[2] == 1));
  assert(row == NONE || waits == row)
}
