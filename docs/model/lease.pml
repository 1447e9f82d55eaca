/* lease: what a worker may do with a task that it has claimed, and until when, for spin 6.5. One version of one task, which
   waits in the hot set at first.

   Covers    the first generation of a namespace, for which nobody is waited (FIRST=1: nothing was loaded before);
             the claim and its answer, which may be lost, and the repeated claim; the local queue, a caller's hands; leases that
             end, their extension, and the delay between that end and what the holder knows (its own deadline, a process that is
             stopped for any time); the reaper against an extension; a flush, a failover to a replica behind or an old snapshot;
             registration with the new generation, and the feeder that waits for it; Delete and Confirm in all of that; with
             TIMEOUT=1 a delivery that took longer than DeliveryTimeout: it is given back, and its caller may still Confirm.
   Leaves    creators, audit, two feeders (hotset.pml); horizons and pages (feed.pml).
   out
   Assumes   a worker's monotonic clock runs no slower than the hot set's; a worker that is not stopped registers within the 2 s
             for which a feeder leaves a new generation alone (READY in Feeder), and the answer to a claim takes no longer; a
             feeder looks whether it is the first, and begins, in one step. Who
             deletes knows the length of the leases: a generation that is older has seen the deadlines of all who had claimed
             something before it (YOUNG).
   Checked   a task is handed out only under a lease that lives; never while another caller has it under a living lease; never
             after a Delete that returned nil, nor does a caller have it under a lease that lives from when such a Delete deletes the row until it returns; it is not claimed after a Delete that returned, nor after a Confirm under a living
             lease; at rest a row that stands waits in the hot set. After a loss of data the holder that has registered is as
             well protected as before.
   Stands    Worker   claimer.ask, Consumer.hand (consumer/), Consumer.extend, loseLease, registerNow, timeOutDeliveries (consumer/keeper.go),
   for                settler.confirmGroup (consumer/confirm.go), release (consumer/rollback.go); claim.lua, extend.lua, register.lua, release.lua
             Reaper   reaper.reapBatch (internal/agent); leases.lua, release.lua      Feeder   feeder.round (internal/agent); horizon.lua
             Deleter  deletion.part (delete.go); remove.lua                   Time     the clocks

   Knowledge is FRESH, OLD or STALE as in hotset.pml. A worker's deadline is known by whether it has passed (ahead), and lies
   before the hot set's, as it is counted from the sending of the call. over means that the hot set's has passed.

   Variants, each of which must fail: HANDLATE a task is handed out without a look at the deadline; COUNTLATE the deadline is
   counted from the answer; REAPLIVING the reaper does not look whether its lease is still over; NOTOMB a removal leaves no
   tombstone; RELEASEDEAD a rollback does not look at record and tombstone; REPEATNIL a removal that is made again answers that
   nobody had the task; REAPUNMARKED the reaper's removal does not tell that somebody may have it; OWNUNMARKED nor does that of
   a Confirm which met no row; YOUNGNIL Delete does not ask how old the generation is; YOUNGLATE it asks how old that is when it
   ends, not when it began; SLOWNIL it does not ask how long it has taken itself; REGNOREAD a worker registers without reading
   the row; REGSTEAL a registration takes what stands in another's batch; ASKLATE a worker whose deadline has passed
   extends and registers; CLAIMFOREIGN a claim trusts old data; RETRYFOREIGN a repeated claim does; EXTENDFOREIGN an extension does; REGFOREIGN a registration does; FEEDFOREIGN the feeder
   does; EACHFIRST no generation is left alone; RUNIDALONE
   data is known by the run_id of its server alone, which stays the same if that server is demoted, takes over older data from
   another, and is promoted again. */

#ifndef NW
#define NW 1
#endif
#ifndef DELETE
#define DELETE 0
#endif
#ifndef FLUSH
#define FLUSH 0
#endif
#ifndef FAILOVER
#define FAILOVER 0
#endif
#ifndef FIRST
#define FIRST 0
#endif
#ifndef TIMEOUT
#define TIMEOUT 0   /* deliveries may take longer than DeliveryTimeout */
#endif
#ifndef STOP
#define STOP 0   /* workers may be stopped for a while */
#endif
#ifndef DIE
#define DIE 1    /* workers may die */
#endif

#define STALE 0
#define OLD 1
#define FRESH 2
#define NONE 0
#define LIVES 1
#define OVER 2
#define QUEUED 1
#define INHAND 2
#define LOST 3                                  /* in a caller's hands, who was told that it is not his any more */

bool row = 1, begun = !FIRST;                   /* MySQL; begun: a feeder has been here */
bool meta = !FIRST, foreign = 0, loaded = !FIRST;         /* Redis; foreign: the data names another server */
bool rec = !FIRST, waiting = !FIRST, tomb = 0;
bool mark;                                      /* with the tombstone: it was removed while a worker had it, and not by that one */
bool bat[3];
byte lease[3];
bool sRec, sWaiting, sTomb, sMark, sBat[3];                 /* what a replica holds */
byte sLease[3];

byte hold[3];                                   /* a worker */
bool ahead[3], same[3], stopped[3];             /* its deadline; its batch's generation is the current; the process is stopped */
bool sent[3], asks[3];                          /* a claim was made, its answer is under way; an extension was sent */
byte know[4];                                   /* of the row: 0 reaper, 1 and 2 workers, 3 feeder */
bool out[3];                                    /* history: a caller has it, and its lease has not run out */
byte before[3];                                 /* claimed before a loss of data and not registered since; 2: stopped meanwhile */
bool deletedNil, deletedClaimed, confirmed;
byte had;                                       /* whose caller had it, under a living lease, when Delete deleted the row, and neither gave it back nor lost its lease since */
bool young;                                     /* data was lost, and a lease of before may live that is not registered */
bool deleting, slow;                            /* Delete is between the row and the hot set's answer; T has passed since the row */
bool asking;                                    /* a removal is run again, by the client library: well within T */
byte busy;

#ifdef NOTOMB
#define TOMBSTONE skip
#else
#define AGE(i) know[i] = (know[i] == FRESH -> OLD : know[i])
#define TOMBSTONE tomb = 1; AGE(0); AGE(1); AGE(2); AGE(3)
#endif
#define LOOK(i) know[i] = (meta -> FRESH : STALE)

inline remove(w) {
  if
  :: meta ->
     if :: rec && !waiting && (!w || !bat[w]) -> mark = 1 :: else fi;   /* some worker has it, and not this one */
     rec = 0; waiting = 0; if :: w -> bat[w] = 0; lease[w] = NONE :: else fi; TOMBSTONE
  :: else
  fi
}

inline drop(w) {                                /* no longer ours; a caller who has it may still answer */
  hold[w] = (hold[w] == INHAND -> LOST : 0); ahead[w] = 0; same[w] = 0; before[w] = 0
}

inline loss() {                                 /* who had claimed something had done so before it */
  young = 1;
  before[1] = (sent[1] || hold[1] == QUEUED); before[2] = (sent[2] || hold[2] == QUEUED)
}

#ifdef CLAIMFOREIGN
#define CLAIMS meta
#else
#define CLAIMS (meta && !foreign)
#endif
#ifdef RETRYFOREIGN
#define REPEATS meta
#else
#define REPEATS (meta && !foreign)
#endif
#ifdef HANDLATE
#define MAYHAND(w) 1
#else
#define MAYHAND(w) ahead[w]
#endif
#ifdef ASKLATE
#define MAYASK(w) 1
#else
#define MAYASK(w) ahead[w]
#endif
#ifdef EXTENDFOREIGN
#define EXTENDSNOT 0
#else
#define EXTENDSNOT foreign
#endif
#ifdef REGFOREIGN
#define REGISTERSNOT 0
#else
#define REGISTERSNOT foreign
#endif
#ifdef RELEASEDEAD
#define GIVEBACK 1
#else
#define GIVEBACK (rec && !tomb)
#endif

proctype Worker(byte w) {
  byte o = 3 - w; bool r;
  do
  /* claim.lua, with a new token */
  :: atomic { !stopped[w] && CLAIMS && waiting && !bat[w] && !hold[w] && !sent[w] ->
       waiting = 0; bat[w] = 1; lease[w] = LIVES; sent[w] = 1; same[w] = 1; ahead[w] = 1; before[w] = 0;
       assert(!deletedNil && !deletedClaimed);
       assert(!confirmed) }
  /* its answer: the deadline counts from the sending */
  :: atomic { !stopped[w] && sent[w] -> sent[w] = 0; hold[w] = QUEUED }
  /* the answer is lost, and the claim repeated with its token: who has it in a batch is given that again */
  :: atomic { !stopped[w] && sent[w] && REPEATS ->
       if
       :: bat[w] -> lease[w] = LIVES; same[w] = 1; ahead[w] = 1; before[w] = 0
       :: else -> sent[w] = 0; same[w] = 0; ahead[w] = 0; before[w] = 0
       fi }
  /* Consumer.hand */
  :: atomic { !stopped[w] && hold[w] == QUEUED ->
       if
       :: MAYHAND(w) ->
          assert(before[w] || !row || (bat[w] && lease[w] == LIVES));
          assert(!out[o] || before[w] == 2);
          assert(!deletedNil);
          hold[w] = INHAND; out[w] = before[w] != 2
       :: else -> drop(w)
       fi }
  /* Consumer.expire */
  :: atomic { !stopped[w] && hold[w] && hold[w] != LOST && !ahead[w] -> drop(w) }
  /* Consumer.extend: sent, and at the server; who knows that its deadline has passed does not ask */
  :: atomic { !stopped[w] && !asks[w] && (hold[w] == QUEUED || hold[w] == INHAND) && MAYASK(w) -> asks[w] = 1 }
  :: atomic { asks[w] ->
       if
       :: !meta || EXTENDSNOT || !(hold[w] == QUEUED || hold[w] == INHAND)        /* COLD; or nobody waits for the answer */
       :: else ->
          if
          :: !same[w]                                                /* ABORT: register */
          :: same[w] && lease[w] != NONE && rec -> lease[w] = LIVES; ahead[w] = 1
          :: same[w] && lease[w] != NONE && !rec -> lease[w] = LIVES; drop(w)     /* Gone */
          :: same[w] && lease[w] == NONE && !foreign -> drop(w)      /* Lost */
          :: else
          fi
       fi;
       asks[w] = 0 }
  /* Consumer.registerNow: Extend said ABORT */
  :: atomic { !stopped[w] && meta && !same[w] && (hold[w] == QUEUED || hold[w] == INHAND) && MAYASK(w) -> LOOK(w) }
#ifdef REGNOREAD
     r = 1;
#else
     atomic { !stopped[w] -> r = row };
#endif
     atomic { !stopped[w] ->
       if
       :: hold[w] == 0 || hold[w] == LOST || !meta || REGISTERSNOT || know[w] == STALE
       :: else ->
          if
          :: !r || tomb -> drop(w)
#ifdef REGSTEAL
          :: r && !tomb ->
#else
          :: r && !tomb && rec && !waiting && !bat[w] -> drop(w)         /* in another's batch */
          :: r && !tomb && (!rec || waiting || bat[w]) ->
#endif
             rec = 1; waiting = 0; bat[w] = 1; lease[w] = LIVES; same[w] = 1; ahead[w] = 1; before[w] = 0
          fi
       fi;
       know[w] = STALE; r = 0 }
  /* settler.confirmGroup: the row, then the hot set */
  :: atomic { !stopped[w] && (hold[w] == INHAND || hold[w] == LOST) ->
       r = row; row = 0 }
#ifndef OWNUNMARKED
     /* somebody else has deleted the row, and may not have told the hot set yet: removed without a token first */
     if
     :: atomic { !stopped[w] && !r -> remove(0) }
     :: atomic { !stopped[w] && r }
#if DIE
     :: break
#endif
     fi;
#endif
     if
     :: atomic { !stopped[w] ->
          if :: r && out[w] -> confirmed = 1 :: else fi;
          remove(w); r = 0; out[w] = 0; hold[w] = 0; ahead[w] = 0; same[w] = 0 }
#if DIE
     :: break
#endif
     fi
  /* settler.release; what is LOST goes by the row alone */
  :: atomic { !stopped[w] && meta && (hold[w] == INHAND || hold[w] == LOST) ->
       if :: bat[w] -> bat[w] = 0; lease[w] = NONE; if :: GIVEBACK -> rec = 1; waiting = 1 :: else fi :: else fi;
       had = (had == w -> 0 : had); out[w] = 0; hold[w] = 0; ahead[w] = 0; same[w] = 0 }
#if TIMEOUT
  /* Consumer.timeOut: given back under its lease, by the keeper; its caller may still answer, by the row alone */
  :: atomic { !stopped[w] && meta && hold[w] == INHAND ->
       if :: bat[w] -> bat[w] = 0; lease[w] = NONE; if :: GIVEBACK -> rec = 1; waiting = 1 :: else fi :: else fi;
       had = (had == w -> 0 : had); out[w] = 0; hold[w] = LOST; ahead[w] = 0; same[w] = 0; before[w] = 0 }
#endif
#if DIE
  :: atomic { !stopped[w] -> break }
#else
  :: atomic { !stopped[w] && !hold[w] && !sent[w] -> break }
#endif
  od;
  atomic { hold[w] = 0; ahead[w] = 0; same[w] = 0; sent[w] = 0; asks[w] = 0; before[w] = 0; know[w] = STALE; busy-- }
}

#define ENDS(i) know[i] = (know[i] == OLD -> STALE : know[i])
#ifdef YOUNGLATE
#define BETWEEN 0
#else
#define BETWEEN deleting
#endif
#define OLDENOUGH(w) (!ahead[w] || same[w])
#ifdef COUNTLATE
#define PASSED(w) 1
#else
#define PASSED(w) (!ahead[w] || foreign)
#endif

#define WAITS(w) (sent[w] || hold[w] == QUEUED)

proctype Time() {
  byte w;
end:
  do
  :: atomic { if :: ahead[1] -> w = 1 :: ahead[2] -> w = 2 fi; ahead[w] = 0; w = 0 }
  /* the hot set's deadline comes after the holder's; an old copy's deadlines are older still */
  :: atomic {
       if
       :: lease[1] == LIVES && PASSED(1) -> w = 1
       :: lease[2] == LIVES && PASSED(2) -> w = 2
       fi;
       lease[w] = OVER; had = (had == w -> 0 : had); if :: !foreign -> out[w] = 0 :: else fi; w = 0 }
  :: atomic { tomb && !asking && !WAITS(1) && !WAITS(2) -> tomb = 0; mark = 0; slow = slow || deleting; ENDS(0); ENDS(1); ENDS(2); ENDS(3) }
  :: atomic { young && meta && !foreign && !BETWEEN && OLDENOUGH(1) && OLDENOUGH(2) -> young = 0 }
#if STOP
  :: atomic { hold[1] && !stopped[1] -> stopped[1] = 1 }
  :: atomic { stopped[1] -> stopped[1] = 0 }
#endif
  od
}

#ifdef REAPLIVING
#define REAPS(w) 1
#else
#define REAPS(w) (lease[w] == OVER)
#endif

proctype Reaper() {
  byte w; bool r;
end:
  do
  :: atomic { meta && !foreign; if :: lease[1] == OVER -> w = 1 :: lease[2] == OVER -> w = 2 fi }
     LOOK(0);
     r = row;
     atomic {
       if
       :: !r ->
#ifndef REAPUNMARKED
          if :: meta && rec && !waiting -> mark = 1 :: else fi;
#endif
          remove(w)
       :: r && meta && know[0] != STALE && REAPS(w) && bat[w] ->
          bat[w] = 0; lease[w] = NONE; if :: rec && !tomb -> waiting = 1 :: else fi
       :: else
       fi;
       know[0] = STALE; w = 0; r = 0 }
  od
}

#ifdef FEEDFOREIGN
#define NEWGEN 0
#else
#define NEWGEN foreign
#endif
#define READY(w) (same[w] || stopped[w] || (!sent[w] && (hold[w] == 0 || hold[w] == LOST)))

#ifdef EACHFIRST
#define ALONE 0
#else
#define ALONE (begun)
#endif

proctype Feeder() {
  bool r, wait;
end:
  do
  :: atomic { !meta || NEWGEN ->
       wait = ALONE; begun = 1;
       meta = 1; foreign = 0; loaded = 0; rec = 0; waiting = 0; tomb = 0; mark = 0; bat[1] = 0; bat[2] = 0; lease[1] = NONE; lease[2] = NONE;
       same[1] = 0; same[2] = 0; know[0] = STALE; know[1] = STALE; know[2] = STALE; know[3] = STALE }
  /* at once, or 2 s after it has begun: who was not stopped has registered; who was, or has died, may see it redelivered */
  :: atomic { meta && !loaded && (!wait || READY(1) && READY(2)) ->
       if :: !same[1] && READY(1) -> out[1] = 0; if :: before[1] -> before[1] = 2 :: else fi :: else fi;
       if :: !same[2] && READY(2) -> out[2] = 0; if :: before[2] -> before[2] = 2 :: else fi :: else fi;
       LOOK(3) }
     r = row;
     atomic {
       if
       :: meta && know[3] != STALE -> if :: r && !tomb && !rec -> rec = 1; waiting = 1 :: else fi; loaded = 1
       :: else
       fi;
       know[3] = STALE; r = 0 }
  od
}

#ifdef REPEATNIL
#define WASGONE 0
#else
#define WASGONE mark
#endif
#ifdef SLOWNIL
#define SLOW 0
#else
#define SLOW slow
#endif
#ifdef YOUNGNIL
#define YOUNG SLOW
#else
#define YOUNG (SLOW || !meta || foreign || young)
#endif

#define HAS(w) (out[w] && (ahead[w] || lease[w] == LIVES))

proctype Deleter() {
  bool was;
  if
  :: atomic { row -> row = 0; had = (HAS(1) -> 1 : (HAS(2) -> 2 : 0)); deleting = 1 };
     atomic {
       was = meta && (rec && !waiting || WASGONE); remove(0); asking = 1 };
     if
     :: atomic { was = meta && (rec && !waiting || WASGONE); remove(0) }   /* the answer was lost, and the script runs once more */
     :: skip
     fi;
     atomic { if :: was || YOUNG -> deletedClaimed = 1 :: else -> assert(!had); deletedNil = 1 fi; was = 0; asking = 0; deleting = 0; slow = 0 }
  :: skip
  fi;
  busy--
}

proctype Flusher() {
  atomic {
    meta = 0; foreign = 0; loaded = 0; rec = 0; waiting = 0; tomb = 0; mark = 0;
    bat[1] = 0; bat[2] = 0; lease[1] = NONE; lease[2] = NONE; loss(); busy-- }
}

proctype Failover() {                           /* a replica that is behind takes over, or an old snapshot is loaded */
  atomic {
    sRec = rec; sWaiting = waiting; sTomb = tomb; sMark = mark; sBat[1] = bat[1]; sBat[2] = bat[2]; sLease[1] = lease[1]; sLease[2] = lease[2] };
  atomic {
    rec = sRec; waiting = sWaiting; tomb = sTomb; mark = sMark; bat[1] = sBat[1]; bat[2] = sBat[2]; lease[1] = sLease[1]; lease[2] = sLease[2];
    sRec = 0; sWaiting = 0; sTomb = 0; sMark = 0; sBat[1] = 0; sBat[2] = 0; sLease[1] = 0; sLease[2] = 0;
#ifndef RUNIDALONE
    foreign = 1;
#endif
    loss(); busy-- }
}

init {
  atomic {
    busy = NW + DELETE + FLUSH + FAILOVER;
    run Worker(1); run Time(); run Reaper(); run Feeder();
#if NW > 1
    run Worker(2);
#endif
#if DELETE
    run Deleter();
#endif
#if FLUSH
    run Flusher();
#endif
#if FAILOVER
    run Failover();
#endif
  }
  timeout;
  assert(busy == 0);
  assert(!row || (meta && !foreign && rec && waiting))
}
