/* outbox: a task created in the caller's own transaction, for spin 6.5. NOT BUILT YET: this is CreateTx as docs/design.md has it.
   The library does not see the commit, so the add after it falls away; a row in the outbox, the id only, is written by the same
   transaction, and the feeder drains the outbox at each tick.

   Covers    a transaction that commits at any time, long after its task is due, or never; two drainers; one that dies between
             its add and its deletion; a second transaction of another task, whose outbox row comes while the first is drained;
             a Delete; a flush; the feeder's own scan, which may have passed the task's due time before the commit.
   Leaves    claims, leases and rollbacks (lease.pml), horizons as numbers (feed.pml). There is no auditor here: the outbox alone
   out       has to find what was committed late.
   Checked   a deleted task does not come back into the hot set; at rest each committed row of the store waits in the hot set,
             and the outbox is empty.
   Stands    Transaction   CreateTx, to be written     Drainer   the feeder's tick, to be written     Feeder   feeder.pages
   for       Deleter       deletion.part (delete.go)

   Variants, each of which must fail: NOOUTBOX nothing is written but the task; DELETEFIRST the outbox row is deleted before the
   add; DELETEALL the drainer deletes what is in the outbox, not the keys that it has read; NOJOIN the drainer adds without
   reading the task's row; NOASOF it does not say since when it knows; STALEISDONE a drainer deletes the outbox row although the
   add was refused as stale. */

#ifndef ND
#define ND 1     /* drainers */
#endif
#ifndef DELETE
#define DELETE 0
#endif
#ifndef FLUSH
#define FLUSH 0
#endif

#define STALE 0
#define OLD 1
#define FRESH 2

bool row[2], box[2];                            /* two tasks, MySQL */
bool meta = 1, loaded, in[2], tomb[2];          /* Redis; horizon: far, for both */
byte know[6];                                   /* of task t, drainers: 2 * d + t; feeder: 4 + t */
bool same;                                      /* the feeder's round began under the generation that is */
bool deleted;
byte busy;

#define AGE(i) know[i] = (know[i] == FRESH -> OLD : know[i])
#define ENDS(i) know[i] = (know[i] == OLD -> STALE : know[i])
#define LOOK(i) know[i] = (meta -> FRESH : STALE)
#ifdef NOASOF
#define ISFRESH(i) 1
#else
#define ISFRESH(i) (know[i] != STALE)
#endif

proctype Transaction(byte t) {                  /* both rows, at once, or none */
  if
#ifdef NOOUTBOX
  :: atomic { row[t] = 1 }
#else
  :: atomic { row[t] = 1; box[t] = 1 }
#endif
  :: skip
  fi;
  busy--
}

#define TAKE(t, i) if :: !tomb[t] && !in[t] -> in[t] = 1; assert(t == 1 || !deleted) :: else fi

proctype Drainer(byte d) {
  byte t; bool r[2], b[2], stale[2];
end:
  do
  :: atomic { meta && (box[0] || box[1]) -> LOOK(2 * d); LOOK(2 * d + 1) }
     atomic {                                   /* SELECT the outbox, joined with the tasks */
       b[0] = box[0]; b[1] = box[1];
#ifdef NOJOIN
       r[0] = b[0]; r[1] = b[1]
#else
       r[0] = b[0] && row[0]; r[1] = b[1] && row[1]
#endif
     }
#ifdef DELETEFIRST
     atomic { if :: b[0] -> box[0] = 0 :: else fi; if :: b[1] -> box[1] = 0 :: else fi };
     if :: 1 :: goto again fi;                  /* dies, and another drains on */
#endif
     atomic {
       if
       :: meta ->
          if :: r[0] && ISFRESH(2 * d) -> TAKE(0, 2 * d) :: r[0] && !ISFRESH(2 * d) -> stale[0] = 1 :: else fi;
          if :: r[1] && ISFRESH(2 * d + 1) -> TAKE(1, 2 * d + 1) :: r[1] && !ISFRESH(2 * d + 1) -> stale[1] = 1 :: else fi
       :: else                                  /* COLD: the next generation reads the rows, which stand by now */
       fi;
       know[2 * d] = STALE; know[2 * d + 1] = STALE }
     if :: 1 :: goto again fi;                  /* dies */
#ifdef DELETEALL
     atomic { box[0] = 0; box[1] = 0 };
#elif !defined(DELETEFIRST)
     atomic {
#ifdef STALEISDONE
       if :: b[0] -> box[0] = 0 :: else fi; if :: b[1] -> box[1] = 0 :: else fi
#else
       if :: b[0] && !stale[0] -> box[0] = 0 :: else fi; if :: b[1] && !stale[1] -> box[1] = 0 :: else fi
#endif
     };
#endif
again:
     atomic { b[0] = 0; b[1] = 0; r[0] = 0; r[1] = 0; stale[0] = 0; stale[1] = 0; t = 0; know[2 * d] = STALE; know[2 * d + 1] = STALE }
  od
}

proctype Feeder() {
  bool r[2];
end:
  do
  :: atomic { !meta || !loaded ->
       if :: !meta -> meta = 1; loaded = 0; in[0] = 0; in[1] = 0; tomb[0] = 0; tomb[1] = 0;
             know[0] = STALE; know[1] = STALE; know[2] = STALE; know[3] = STALE; know[4] = STALE; know[5] = STALE
          :: else fi;
       LOOK(4); LOOK(5) }
     atomic { r[0] = row[0]; r[1] = row[1] }
     atomic {
       if
       :: meta && ISFRESH(4) && ISFRESH(5) ->
          if :: r[0] -> TAKE(0, 4) :: else fi;
          if :: r[1] -> TAKE(1, 5) :: else fi;
          loaded = 1
       :: else
       fi;
       r[0] = 0; r[1] = 0; know[4] = STALE; know[5] = STALE }
  od
}

proctype Deleter() {
  if
  :: atomic { row[0] -> row[0] = 0 }
     atomic {
       if :: meta -> in[0] = 0; tomb[0] = 1; AGE(0); AGE(2); AGE(4) :: else fi;
       deleted = 1 }
  :: skip
  fi;
  busy--
}

proctype Expirer() {
end:
  do
  :: atomic { tomb[0] -> tomb[0] = 0; ENDS(0); ENDS(2); ENDS(4) }
  od
}

proctype Flusher() {
  atomic { meta = 0; loaded = 0; in[0] = 0; in[1] = 0; tomb[0] = 0; tomb[1] = 0; busy-- }
}

init {
  atomic {
    busy = 2 + DELETE + FLUSH;
    run Transaction(0); run Transaction(1); run Drainer(0); run Feeder(); run Expirer();
#if ND > 1
    run Drainer(1);
#endif
#if DELETE
    run Deleter();
#endif
#if FLUSH
    run Flusher();
#endif
  }
  timeout;
  assert(busy == 0);
  assert(!box[0] && !box[1]);
  assert((!row[0] || in[0]) && (!row[1] || in[1]))
}
