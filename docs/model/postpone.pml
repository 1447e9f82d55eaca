/* A Rollback that the hot set cannot keep moves the row, and is tried again while its worker has the task. For spin 6.5. Versions of
   the row: 1 is what was claimed, 2 what the postponement gives it, 3 what a Reschedule gives it (4: another one of the
   postponement, with NEWVERSION); 0 is none.

   A try moves the row from 1 to 2, always to the same version, and then removes the old member and adds the new one. It may be lost on
   its way, or its answer may, or it is known to have failed. Before another one the worker looks whether its lease lives by its own
   clock (holds), and puts the member into its batch again (held): what another worker has claimed by then is left alone. Two ways
   lead here: the delay ends beyond the horizon, and the member is still in the batch; or the hot set had lost the member's record,
   and the member is nowhere (RECORDLESS=1), so that the auditor may add it, and another worker claim it.

   Processes: Worker is settler.postpone (consumer/postpone.go). Other is another worker: it claims what waits, registers it after a
   loss of data (FLUSH=1), and confirms it or has its lease end. Time ends the Worker's lease, first as it knows that itself, and is
   the reaper. Deleter is Scheduler.Delete, Mover Scheduler.Reschedule. Auditor and Feeder may add the version of the row where it is
   missing; after a loss of data they wait until the Other has registered.
   Checked: no try moves the row while the Other has the task in hand; Rollback answers ErrGone only if it has not moved the row, and nil
   only if it has, or a try was lost; at rest a row stands in a version that waits, if this worker moved or gave it back.
   Leaves out: workers that die, and a previous version (versions.pml, the crash cells).
   Assumed: what a worker does from its look at its lease until its try reaches the row takes no longer than that lease. SLOW=1 does without that; and RECORDLESS=1 with FLUSH=1
   lets the Worker register before the Other does. Both show what is not promised: a task is taken from another worker.
   Must fail: TRYLATE (with FLUSH: there is a try after the lease has ended), NOTHELD (with RECORDLESS: a try does not look who has the
   member), LOSTISGONE (a row that is gone after a try that was lost is ErrGone), FAILEDISLOST (a known failure counts as lost),
   NEWVERSION (each try gives the row another version), NOTLATER (what may be moved when it is given up is not added). */

#ifndef RECORDLESS
#define RECORDLESS 0
#endif
#ifndef FLUSH
#define FLUSH 0
#endif
#ifndef SLOW
#define SLOW 0
#endif
#define TRIES 3

#define NOWHERE 0
#define WAITS   1
#define MINE    2          /* in the Worker's batch */
#define OTHERS  3          /* in the Other's batch */
#define DEAD    4          /* removed, with a tombstone */

byte row = 1;              /* MySQL */
byte at[5];                /* Redis: where the member of each version is */
bool lease = 1;            /* the Worker's lives */
bool ahead = 1;            /* its deadline, by its own clock, has not passed */
bool trying = 1;           /* it has looked at its lease, and its try has not reached the row yet */
byte has;                  /* the version that the Other has in hand, under a lease that lives */
bool unregistered;         /* data was lost since it claimed that */
bool unasked;              /* the same of the Worker: its keeper has not registered with the new generation yet */
bool moved;                /* history: the postponement has moved the row */

#define REMOVE(v) at[v] = DEAD
#define ADD(v)    if :: row == v && at[v] == NOWHERE -> at[v] = WAITS :: else fi
#define BACK      if :: at[1] == MINE -> at[1] = (row == 1 -> WAITS : DEAD) :: else fi

#ifdef LOSTISGONE
#define MAYBE 0
#else
#define MAYBE lost
#endif
#ifdef FAILEDISLOST
#define FAILS lost = 1
#else
#define FAILS skip
#endif
#ifdef TRYLATE
#define HOLDS 1
#else
#define HOLDS ahead
#endif

proctype Worker() {
  byte to = 2, n; bool lost, found, nil, gone, was;    /* was: history, a try was lost */
#if RECORDLESS
  goto held;                                           /* the release took the member out of the batch */
#endif
  do
  :: n++;
     if
     :: atomic { assert(row != 1 || has != 1);         /* Move */
          if :: row == 1 -> row = to; moved = 1 :: else fi;
          found = (row == to); trying = 0 }
        if
        :: atomic { found -> REMOVE(1); nil = 1 }; atomic { ADD(to) }; break
        :: atomic { !found -> if :: MAYBE -> REMOVE(1); nil = 1 :: else -> gone = 1 fi }; break
        :: atomic { lost = 1; was = 1 }                /* its answer is lost */
        fi
     :: atomic { lost = 1; was = 1; trying = 0 }       /* it is lost on its way */
     :: atomic { FAILS; trying = 0 }                   /* it is known to have failed */
     fi;
     if
     :: n == TRIES -> break
     :: n < TRIES && !HOLDS -> break
     :: atomic { n < TRIES && HOLDS -> trying = 1 }
     fi;
held:
#ifdef NOTHELD
     skip
#else
     atomic {
       if
       :: row == 1 && at[1] == OTHERS -> trying = 0; break         /* errTaken */
       :: row == 1 && at[1] != OTHERS && at[1] != DEAD -> at[1] = MINE; lease = 1; ahead = 1; unasked = 0
       :: row != 1 || at[1] == DEAD                    /* the try tells */
       fi }
#endif
#ifdef NEWVERSION
     to = 4
#endif
  od;
  assert(!gone || !moved);
  assert(!nil || moved || was);
  if
  :: nil || gone
  :: !nil && !gone ->                                  /* giveUp */
#ifndef NOTLATER
     atomic { if :: lost -> ADD(to) :: else fi };
#endif
     atomic { BACK }
  fi
}

proctype Time() {
end:
  do
  :: atomic { ahead && (!trying || SLOW) -> ahead = 0 }
  :: atomic { lease && !ahead -> lease = 0; BACK }
  /* Consumer.register, by the keeper */
  :: atomic { unasked -> unasked = 0; if :: ahead && row == 1 && at[1] == NOWHERE -> at[1] = MINE; lease = 1 :: else fi }
  :: atomic { !lease && at[1] == MINE -> BACK }
  od
}

proctype Other() {
  byte v, n;
end:
  do
  :: n < 2 && !has;
     atomic { if :: at[1] == WAITS -> v = 1 :: at[2] == WAITS -> v = 2 :: at[3] == WAITS -> v = 3 :: at[4] == WAITS -> v = 4 fi;
       n++;
       if :: row == v -> at[v] = OTHERS; has = v :: else -> REMOVE(v) fi }     /* what is offered again is looked up */
  :: atomic { has && unregistered ->
       unregistered = 0;
       if
       :: row == has && at[has] != MINE -> at[has] = OTHERS
       :: else -> has = 0                                                      /* it has learnt that the task is not its own */
       fi }
  :: atomic { has && !unregistered -> if :: row == has -> row = 0 :: else fi; REMOVE(has); has = 0 }      /* confirmed */
  :: atomic { has && !unregistered -> at[has] = (row == has -> WAITS : DEAD); has = 0 }                   /* its lease ends */
  od
}

proctype Deleter() {
  if
  :: atomic { row = 0; at[1] = DEAD; at[2] = DEAD; at[3] = DEAD; at[4] = DEAD }
  :: skip
  fi
}

proctype Mover() {
  byte v;
  if
  :: atomic { row -> v = row; row = 3 }; atomic { REMOVE(v) }; atomic { ADD(3) }
  :: skip
  fi
}

proctype Auditor() { if :: atomic { row == 1 && !unregistered && !unasked -> ADD(1) } :: skip fi }

proctype Feeder() { if :: atomic { row == 2 && !unregistered && !unasked -> ADD(2) } :: skip fi }

proctype Flusher() {
  atomic {
    if :: has -> unregistered = 1 :: else fi;
    unasked = ahead && (at[1] == MINE || RECORDLESS);
    at[1] = NOWHERE; at[2] = NOWHERE; at[3] = NOWHERE; at[4] = NOWHERE };
  atomic { !unregistered && !unasked -> if :: row && at[row] == NOWHERE -> at[row] = WAITS :: else fi }   /* loaded anew */
}

init {
  atomic {
    at[1] = (RECORDLESS -> NOWHERE : MINE);
    run Worker(); run Time(); run Other(); run Deleter(); run Mover(); run Auditor(); run Feeder();
#if FLUSH
    run Flusher();
#endif
  }
  timeout;
  assert(!row || at[row] == WAITS || at[row] == NOWHERE && row == 1 && RECORDLESS)
}
