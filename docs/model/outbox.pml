/* outbox: tasks created, deleted and moved in the caller's own transaction, for spin 6.5 (rule Outbox of docs/design.md).
   The library does not see the commit, so what follows a commit elsewhere falls away here; entries in the outbox, each of which
   names one version of a task, are written by the same transaction, and the feeder drains the outbox at each tick.
   An entry says nothing but "look at this version": if a row has it, it is added to the hot set, otherwise it is removed.

   Covers    a transaction that commits at any time, long after its task is due, or never; two drainers; one that dies between
             what it does in the hot set and its deletion of the entries; a second transaction, whose entry comes while the first
             is drained; a deletion (TXDELETE) and a move (TXMOVE: version 0 becomes version 1) in a transaction; a Delete; a
             flush; the feeder's own scan, which may have passed the task's due time before the commit.
   Leaves    claims, leases and rollbacks (lease.pml), horizons as numbers (feed.pml), a third version (versions.pml).
   out       There is no auditor here: the outbox alone has to find what was committed late.
   Checked   a deleted task does not come back into the hot set; at rest the hot set holds exactly the versions that rows
             have, and the outbox is empty.
   Stands    Transaction   MySQL.CreateTx   TxDeleter   MySQL.DeleteTx   TxMover   MySQL.MoveTx   (durable/tx.go)
   for       Feeder   feeder.pages   Deleter   deletion.part (delete.go)   Drainer   drainer.drainPart (internal/agent)

   Variants, each of which must fail: NOOUTBOX nothing is written but the task; DELETEFIRST the entry is deleted before the
   hot set is told; DELETEALL the drainer deletes what is in the outbox, not the keys that it has read; NOJOIN the drainer adds
   without reading the task's row; NOASOF it does not say since when it knows; STALEISDONE a drainer deletes the entry although
   the add was refused as stale; SAMEKEY a second entry of a version has the key of the first; NOREMOVE the drainer removes
   nothing; NOTOMB it removes without a tombstone; NOOLDENTRY a move writes no entry of the version before. */

#ifndef ND
#define ND 1     /* drainers */
#endif
#ifndef DELETE
#define DELETE 0
#endif
#ifndef FLUSH
#define FLUSH 0
#endif
#ifndef TXDELETE
#define TXDELETE 0
#endif
#ifndef TXMOVE
#define TXMOVE 0
#endif

#define STALE 0
#define OLD 1
#define FRESH 2

bool row[2], box[3];                            /* MySQL: two versions, and entries: of 0 and 1, and a second one of 0 */
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

#ifdef SAMEKEY
#define SECOND 0
#else
#define SECOND 2
#endif

proctype TxDeleter() {                          /* the version is gone and its entry is there, at once, or neither */
  if
  :: atomic { row[0] -> row[0] = 0; box[SECOND] = 1 }
  :: skip
  fi;
  busy--
}

proctype TxMover() {                            /* version 0 becomes version 1 */
  if
#ifdef NOOLDENTRY
  :: atomic { row[0] -> row[0] = 0; row[1] = 1; box[1] = 1 }
#else
  :: atomic { row[0] -> row[0] = 0; row[1] = 1; box[1] = 1; box[SECOND] = 1 }
#endif
  :: skip
  fi;
  busy--
}

#define TAKE(t, i) if :: !tomb[t] && !in[t] -> in[t] = 1; assert(t == 1 || !deleted) :: else fi
#ifdef NOTOMB
#define DROP(t) in[t] = 0
#elif defined(NOREMOVE)
#define DROP(t) skip
#else
#define DROP(t) in[t] = 0; tomb[t] = 1; AGE(t); AGE(2 + t); AGE(4 + t)
#endif
/* what a drainer does in the hot set for version t, which entries named that it has read */
#define TELL(t) if :: r[t] && ISFRESH(2 * d + t) -> TAKE(t, 2 * d + t) \
  :: r[t] && !ISFRESH(2 * d + t) -> stale[t] = 1 \
  :: named[t] && !r[t] -> DROP(t) :: else fi
#define FORGET(e, t) if :: b[e] && !stale[t] -> box[e] = 0 :: else fi

proctype Drainer(byte d) {
  bool r[2], named[2], b[3], stale[2];
end:
  do
  :: atomic { meta && (box[0] || box[1] || box[2]) -> LOOK(2 * d); LOOK(2 * d + 1) }
     atomic {                                   /* SELECT the outbox, joined with the tasks */
       b[0] = box[0]; b[1] = box[1]; b[2] = box[2]; named[0] = b[0] || b[2]; named[1] = b[1];
#ifdef NOJOIN
       r[0] = named[0]; r[1] = named[1]
#else
       r[0] = named[0] && row[0]; r[1] = named[1] && row[1]
#endif
     }
#ifdef DELETEFIRST
     atomic { FORGET(0, 0); FORGET(1, 1); FORGET(2, 0) };
     if :: 1 :: goto again fi;                  /* dies, and another drains on */
#endif
     atomic {
       if
       :: meta -> TELL(0); TELL(1)
       :: else                                  /* COLD: the next generation reads the rows as they are by now */
       fi;
       know[2 * d] = STALE; know[2 * d + 1] = STALE }
     if :: 1 :: goto again fi;                  /* dies */
#ifdef DELETEALL
     atomic { box[0] = 0; box[1] = 0; box[2] = 0 };
#elif !defined(DELETEFIRST)
     atomic {
#ifdef STALEISDONE
       stale[0] = 0; stale[1] = 0;
#endif
       FORGET(0, 0); FORGET(1, 1); FORGET(2, 0)
     };
#endif
again:
     atomic { b[0] = 0; b[1] = 0; b[2] = 0; r[0] = 0; r[1] = 0; named[0] = 0; named[1] = 0; stale[0] = 0; stale[1] = 0;
       know[2 * d] = STALE; know[2 * d + 1] = STALE }
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
  :: atomic { tomb[1] -> tomb[1] = 0; ENDS(1); ENDS(3); ENDS(5) }
  od
}

proctype Flusher() {
  atomic { meta = 0; loaded = 0; in[0] = 0; in[1] = 0; tomb[0] = 0; tomb[1] = 0; busy-- }
}

init {
  atomic {
    busy = 2 + DELETE + FLUSH + TXDELETE;
    run Transaction(0);
#if TXMOVE
    run TxMover();
#else
    run Transaction(1);
#endif
#if TXDELETE
    run TxDeleter();
#endif
    run Drainer(0); run Feeder(); run Expirer();
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
  assert(!box[0] && !box[1] && !box[2]);
  assert(row[0] == in[0] && row[1] == in[1])
}
