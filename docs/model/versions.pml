/* versions: several versions of one task, for spin 6.5. What is promised is promised of a task; rows, members and tombstones are of
   versions. A row names the version that it had before (prev_ver), because who moved it may have died before it removed that.

   Covers    reschedulers and rollbacks beyond the horizon that die after each of their steps; a Delete by somebody else; a feeder
             that adds what it has read, however late; a worker that claims, delivers, confirms, or dies; the reaper.
             With UPSERT=1 an Upsert by another caller, which moves the row in one statement, and has not read it before.
   Leaves    tombstones that end, knowledge that does (hotset.pml: Tombstones and AsOfBeforeRead, by which a removed version never comes back),
   out       what a worker does not know of its lease (lease.pml), flushes, horizons.
   Checked   once Delete has returned nil no version begins a delivery; once Reschedule has returned nil no previous version is
             claimed.
   Stands    Mover   Scheduler.move (reschedule.go)     Worker    settler.confirmGroup, .postpone (consumer/confirm.go, postpone.go)
   for       Deleter deletion.part (delete.go)       Feeder    feeder.pages, auditor.addMissing     Reaper   reaper.reapBatch

   Upserter stands for Scheduler.Upsert (upsert.go) over a row that exists, and Store.Upsert. Its statement moves the row only if the
   row names no previous version, or one that the caller knows: then that one was removed before.

   Variants, each of which must fail: NOPREV a row does not name its previous version; DELETEONE Delete removes the row's version
   alone; NOMARK nothing tells that a version was removed while a worker had it; NOSWEEP a rescheduler moves the row on while its previous version may still be a member; SWEEPLATE it removes that
   after the move; POSTPONENOSWEEP a rollback beyond the horizon moves the row without asking for its previous version; UPSERTBLIND an Upsert moves whatever row it meets. */

#ifndef MOVES
#define MOVES 2  /* reschedulers */
#endif
#define MAX 5    /* versions are 1 to MAX - 1: the first, and one a rescheduler and a rollback */

byte ver = 1, prev, next = 1;                   /* the row, MySQL: ver 0 is none */
bool waiting[MAX], tomb[MAX];                   /* Redis */
bool mark;                                      /* some version was removed while a worker had claimed it, and not by that worker */
byte claimed[MAX];                              /* 1 by a worker that did not hand it out yet, 2 by one that did or is dead */
bool back;                                      /* the one rollback beyond the horizon has begun */
bool deleted;                                   /* Delete has returned nil */
byte moved;                                     /* Reschedule has returned nil, and this was the previous version */

#define SETTLE(v) waiting[v] = 0; claimed[v] = 0; tomb[v] = 1           /* by its holder */
#ifdef NOMARK
#define REMOVE(v) SETTLE(v)
#else
#define REMOVE(v) if :: claimed[v] -> mark = 1 :: else fi; SETTLE(v)
#endif
#define ADD(v) if :: v && !tomb[v] && !claimed[v] -> waiting[v] = 1 :: else fi
#define DIES if :: goto dead :: skip fi

inline move(old, new) {                         /* UPDATE ... WHERE ver = old */
  if
  :: ver == old -> next++; new = next; ver = new;
#ifndef NOPREV
     prev = old
#endif
  :: else -> new = 0
  fi
}

proctype Mover() {
  byte old, before, new;
again:
  atomic { old = ver; before = prev; if :: !old -> goto dead :: else fi };
#if !defined(NOSWEEP) && !defined(SWEEPLATE)
  atomic { if :: before -> REMOVE(before) :: else fi };
#endif
  DIES;
  atomic { move(old, new); if :: !new -> goto again :: else fi };
  DIES;
#ifdef SWEEPLATE
  atomic { if :: before -> REMOVE(before) :: else fi };
  DIES;
#endif
  atomic { REMOVE(old) };
  DIES;
  atomic { ADD(new) };
  atomic { if :: old > moved -> moved = old :: else fi };
dead: skip
}

proctype Upserter() {
  byte old, before, new;
again:
  atomic {                                      /* INSERT .. ON DUPLICATE KEY UPDATE, and the SELECT in its transaction */
    if
    :: !ver -> goto dead                        /* it creates another task */
#ifdef UPSERTBLIND
    :: ver -> old = ver; move(old, new)
#else
    :: ver && (!prev || prev == before) -> old = ver; move(old, new)
    :: ver && prev && prev != before -> before = prev
#endif
    fi };
  DIES;
  if
  :: !new -> atomic { REMOVE(before) }; goto again
  :: else
  fi;
  atomic { REMOVE(old) };
  DIES;
  atomic { ADD(new) };
  atomic { if :: old > moved -> moved = old :: else fi };
dead: skip
}

proctype Feeder() {
  byte v;
end:
  do
  :: atomic { ver && !waiting[ver] && !claimed[ver] -> v = ver };
     atomic { ADD(v); v = 0 }
  od
}

proctype Worker() {
  byte v, before, new;
end:
  do
  :: atomic {
       if :: waiting[1] -> v = 1 :: waiting[2] -> v = 2 :: waiting[3] -> v = 3 :: waiting[4] -> v = 4 fi;
       assert(v > moved);
       waiting[v] = 0; claimed[v] = 1 }
     atomic { assert(!deleted); if :: claimed[v] -> claimed[v] = 2 :: else fi };   /* handed out, also what was removed meanwhile */
     if
     :: atomic { if :: ver == v -> ver = 0; prev = 0 :: else fi };    /* confirm */
        if :: skip :: goto dead fi;
        atomic { SETTLE(v) }
     :: atomic { !back -> back = 1;                                    /* roll back beyond the horizon: read the row */
          if :: ver == v -> before = prev :: else -> goto dead fi };
#ifndef POSTPONENOSWEEP
        atomic { if :: before -> REMOVE(before) :: else fi };
#endif
        if :: skip :: goto dead fi;
        atomic { move(v, new); if :: !new -> goto dead :: else fi };
        if :: skip :: goto dead fi;
        atomic { SETTLE(v) }
     :: skip                                                           /* no answer: its lease ends */
     fi;
dead: atomic { v = 0; before = 0; new = 0 }                            /* and another worker comes */
  od
}

proctype Reaper() {
  byte v, row;
end:
  do
  :: atomic {
       if :: claimed[1] == 2 -> v = 1 :: claimed[2] == 2 -> v = 2 :: claimed[3] == 2 -> v = 3 :: claimed[4] == 2 -> v = 4 fi;
       row = ver }
     atomic {
       if
       :: claimed[v] == 2 && row == v -> claimed[v] = 0; waiting[v] = 1
       :: claimed[v] == 2 && row != v -> REMOVE(v)
       :: else
       fi;
       v = 0; row = 0 }
  od
}

proctype Deleter() {
  byte v, before; bool held;
  atomic { ver -> v = ver; before = prev; ver = 0; prev = 0 };         /* DELETE; the row says what it was before */
  DIES;
  atomic {
#ifdef DELETEONE
    before = 0;
#endif
    held = mark || claimed[v] || before && claimed[before];
    REMOVE(v);
    if :: before -> REMOVE(before) :: else fi;
    deleted = !held }
dead: skip
}

init {
  atomic {
    byte i;
    waiting[1] = 1;
    for (i : 1 .. MOVES) { run Mover() }
#ifdef UPSERT
    run Upserter();
#endif
    run Feeder(); run Worker(); run Reaper(); run Deleter()
  }
}
