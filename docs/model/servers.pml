/* servers: two Redis servers for one durable store, for spin 6.5. One version of one task in one partition. The durable store
   records which generation is current, on which server, and which one is announced; each record changes by compare and swap.

   Covers    a takeover (announce, hold, settle), the veto of the current server, the first generation, a flush, a server that
             is dead, a replica that is promoted while its master lives on, an address that leads to the other server from some
             moment on; an announcement that names no server, because none answers or because it seems so; processes that stop for any time between two steps, or die; Delete, Create, feeders, claims whose answer
             comes late, the local queue, registration while a generation is announced.
   Leaves    tombstones and knowledge of rows that end (hotset.pml), horizons (feed.pml, far.pml), claims that are repeated and
   out       leases in detail (lease.pml), several versions (versions.pml), Confirm. Deleter stands for a Reschedule as well: what is
             promised of the version that was moved is what Delete promises.
   Assumes   hold is longer than trust, with room for the rates of clocks; a process that was stopped sees that its knowledge is old
             (wait.Elapsed asks two clocks). So when an announcement is settled nothing that was read before it is trusted any more.
             A read of the records sees what was committed before the read began.
   Checked   no task is handed out after a Delete that returned nil, and at that moment no worker has it under a living lease; what
             is handed out was claimed on the server that counted then; a server is not displaced while a process that works with it
             has seen the announcement; no number of a generation is missing (the bounds of this model are ample); at rest a row
             that stands waits on the current server, and some process works there.
   Stands    Feeder   feeder.round, takeOver (internal/agent); horizon.lua       Keeper   the loop that reads the records, and the veto
   for       Worker   claimer.ask, Consumer.hand, extend, registerNow, giveBack (consumer/)      Reaper   reaper.reapBatch (internal/agent)
             Deleter  deletion.part (delete.go), Reschedule; remove.lua, state.lua           Creator  Scheduler.Create; add.lua
             Time     the clocks; the others are faults

   Time is not counted. trust[p] tells that p's knowledge was read without an announcement and is young enough; a settle ends the
   trust of everybody, which is what the hold is for; a swap without a hold does not. ahead[p] tells that p's own deadline has not
   passed. A generation is open from when a feeder has written its start, after it counts.

   Variants, each of which must fail: NOHOLD an announcement is settled at once; DELETEOLD a deleter trusts its knowledge for longer
   than the hold; WORKEROLD a worker does (a limit: see README.md); ANNOUNCEDCLAIM a worker claims with knowledge that has an announcement;
   NORECHECK a worker does not look at its knowledge again when a claim's answer is there; EXTENDOLD it extends with old knowledge;
   REDISFIRST rows are read and fed before their generation is current; NOREAD a deleter does not read the records after its commit, if
   its knowledge is old or announced; COLDNIL it takes a cold partition of another server than the current one for nil;
   NOTHINGNIL it trusts older knowledge that nothing is recorded; REMOVEBYNUMBER a removal is refused by a generation of another number,
   and that is taken for a cold partition; REMOVEFOREIGN a removal does not look at run_id; ADDSEARLY adds are served before their
   generation is current; REUSE a feeder begins a recorded number again that Redis does not have; BEGINANY a generation is begun on whatever
   server answers; STARTEARLY a generation's age counts from the announcement; REGEXTENDS a registration before the generation is current
   moves the deadline; NOVETO nobody objects; PRODUCERVETO a process that only creates objects as well. */

#ifndef FIRST
#define FIRST 0      /* nothing is recorded at first; else a generation on server 1 is, which counts */
#endif
#ifndef BACK
#define BACK 0       /* process 1 announces as well */
#endif
#ifndef OLDSERVER
#define OLDSERVER 0  /* a third server is recorded, which is dead */
#endif
#ifndef DELETE
#define DELETE 0
#endif
#ifndef CREATE
#define CREATE 0
#endif
#ifndef FLUSH
#define FLUSH 0
#endif
#ifndef KILL
#define KILL 0       /* server 1 dies */
#endif
#ifndef COPY
#define COPY 0       /* server 2 gets what server 1 holds, and takes over as its replica */
#endif
#ifndef MOVE
#define MOVE 0       /* the address by which process 1 and the deleter reach server 1 leads to server 2 from some moment on */
#endif
#ifndef NW
#define NW 1         /* how many of the processes 1 and 2, which feed, claim as well */
#endif
#ifndef DELETEAT
#define DELETEAT 0   /* the server that the deleter reaches at first; 0 either */
#endif
#ifndef MANY
#define MANY 3       /* once so many generations were made process 1 ends, so that servers do not change for ever */
#endif
#ifndef VACATE
#define VACATE 0     /* how often a process announces that whichever server answers may take over */
#endif
#ifndef ONLYANY
#define ONLYANY 0    /* no server is announced by its name */
#endif
#define LAST (MANY + 6)
#define ANY 4        /* what is announced then */

#define WAITS 1
#define BATCH(p) (1 + p)
#define SENT 1
#define TAKEN 2
#define QUEUED 3
#define INHAND 4
#define DELETER 3

bool row = !CREATE, inserted = !CREATE;                   /* MySQL: the task */
byte cg, cs, ng, ns;                                      /* MySQL: the current generation, its server; what is announced, 0 if nothing */
byte last;                                                /* number that was given last: none is given twice */
byte gen[4], meta[4], mem[4];                              /* Redis: generation, 0 if none; the server that meta names; the member */
bool open[4], tomb[4], again[4], down[4];                 /* again: it is offered again, so who claims it looks at its row */

byte at[4], kg[4], ks[4];                                 /* processes 1 and 2, and the deleter: the server they reach; what they know */
byte trust[4];                                            /* record.Partition.Usable in the code */
bool same[3];                                             /* the records are as the feeder has read them: its swap succeeds */
bool live[3], seen[3];                                    /* Run works; it has seen the announcement while its own server counted */
byte hold[3], hg[3];                                      /* what the worker holds, of which generation */
bool ahead[3], before1[3], before2[3];                    /* claimed before the generation on that server was opened */
bool counted[3];                                          /* history: the server of its claim counted then */
bool deletedNil;
byte vacated;                                             /* how often ANY was announced */
byte replaced;                                            /* how often an announcement took the place of another's, whose process lives */
bool busyC = CREATE, busyD = DELETE;

#define WARM(s, g) (g && gen[s] == g && open[s] && meta[s] == s && !down[s])
#define OPENED(s) (gen[s] && open[s] && meta[s] == s)
#define OVER(p) (!hold[p] || !ahead[p])

#define CHANGED same[1] = 0; same[2] = 0
/* after a nil the current server offers nothing, but what its claimer looks at the row of */
#define noghost assert(!deletedNil || !cs || !WARM(cs, cg) || mem[cs] != WAITS || again[cs])

inline number(n) { assert(last < LAST); last++; n = last; if :: last >= MANY -> live[1] = 0 :: else fi }

/* from now on it has an age; what was claimed so far was claimed before it */
inline aged(s) {
  if
  :: s == 1 -> before1[1] = hold[1] >= TAKEN; before1[2] = hold[2] >= TAKEN
  :: else -> before2[1] = hold[1] >= TAKEN; before2[2] = hold[2] >= TAKEN
  fi
}

inline begin(s, n, o) {
  gen[s] = n; meta[s] = s; open[s] = o; mem[s] = 0; tomb[s] = 0; again[s] = 0;
#ifdef STARTEARLY
  aged(s)
#else
  if :: o -> aged(s) :: else fi
#endif
}

#ifdef ANNOUNCEDCLAIM
#define TRUST(p) trust[p] = (cs -> (ns -> 2 : 1) : 0)
#else
#define TRUST(p) trust[p] = (cs && !ns)
#endif
#define LOOK(p) kg[p] = cg; ks[p] = cs; TRUST(p)

#define ENDS(p) trust[p] = (trust[p] == 1 -> 0 : trust[p])

inline settle(g, s) {
  assert(!(live[1] && at[1] == cs && seen[1] && WARM(cs, cg)));
  assert(!(live[2] && at[2] == cs && seen[2] && WARM(cs, cg)));
  cg = g; cs = s; ng = 0; ns = 0;
#ifndef NOHOLD
#ifndef WORKEROLD
  ENDS(1); ENDS(2);
#endif
#ifndef DELETEOLD
  ENDS(DELETER)
#endif
#endif
}

#ifdef REDISFIRST
#define FED(s) (cs == s && WARM(s, cg) || ns == s && gen[s] == ng && meta[s] == s && !down[s])
#define OPENS 1
#elif defined(BEGINANY)
#define FED(s) WARM(s, cg)
#define OPENS open[s]
#else
#define FED(s) (cs == s && WARM(s, cg))
#define OPENS open[s]
#endif
#ifdef REUSE
#define FRESHNUMBER(n) if :: cs == s -> n = cg :: else -> number(n) fi
#else
#define FRESHNUMBER(n) number(n)
#endif
#ifdef BEGINANY
#define REACHED (!down[at[p]])
#define WHERE at[p]
#else
#define REACHED (at[p] == s && !down[s])
#define WHERE s
#endif

proctype Feeder(byte p) {
  byte s, rs, rns, n; bool r;
end:
  do
  /* a round that finds its partition cold has read the records */
  :: atomic { live[p] && !down[at[p]] && (cs != at[p] || !WARM(cs, cg)) && (p == 2 || BACK || !cs || cs == at[p]) &&
              (!cs || cs == at[p] || !ns || ns == at[p] || ns == ANY || replaced < 1 || !live[ns]) ->
       s = at[p]; rs = cs; rns = ns; same[p] = 1 }
     if
     :: rs == 0 || rs == s ->                             /* nothing is recorded, or this server is: at once */
        atomic {
          if
          :: same[p] && cs && gen[s] == cg && meta[s] == s && !open[s] && !down[s] ->      /* it counts by now */
             open[s] = 1;
#ifndef STARTEARLY
             aged(s);
#endif
             noghost
          :: else ->
             if :: same[p] -> FRESHNUMBER(n); cg = n; cs = s; ng = 0; ns = 0; CHANGED; noghost :: else fi
          fi };
        if
        :: n -> atomic { if :: REACHED -> begin(WHERE, n, 1) :: else fi; n = 0 }
        :: else
        fi
     :: rs && rs != s && rns == 0 && ONLYANY
     :: rs && rs != s && rns != s && rns != ANY && !ONLYANY -> /* announce; also in the place of another's announcement */
        atomic {
          if
          :: same[p] ->
             if :: rns -> replaced++ :: else fi;
             number(n); ng = n; ns = s; seen[1] = 0; seen[2] = 0; CHANGED
          :: else
          fi };
        if
        :: n -> atomic { if :: REACHED -> begin(WHERE, n, 0) :: else fi; n = 0 }
        :: else
        fi
     :: rs && rs != s && rns == s ->                      /* the hold is over */
        atomic { if :: same[p] -> settle(ng, ns); CHANGED; noghost :: else fi }
     :: rs && rs != s && rns == ANY ->                    /* the same, and nobody has begun a generation yet */
        atomic { if :: same[p] -> number(n); settle(n, s); CHANGED; noghost :: else fi };
        if
        :: n -> atomic { if :: REACHED -> begin(WHERE, n, 1) :: else fi; n = 0 }
        :: else
        fi
     fi;
     atomic { s = 0; rs = 0; rns = 0; same[p] = 0 }
#if VACATE
  /* its server does not answer, or so it seems: whichever does may take over after a hold */
  :: atomic { live[p] && cs && !ns && vacated < VACATE -> vacated++; same[p] = 1 }
     atomic {
       if :: same[p] -> number(ng); ns = ANY; seen[1] = 0; seen[2] = 0; CHANGED :: else fi;
       same[p] = 0 }
#endif
  /* scan, and audit: the row is read after the generation is current */
  :: atomic { live[p] && row && FED(at[p]) && !mem[at[p]] && !tomb[at[p]] -> s = at[p]; n = gen[s] }
     r = row;
     atomic {
       if :: r && gen[s] == n && OPENS && !down[s] && !tomb[s] && !mem[s] -> mem[s] = WAITS; again[s] = 0; noghost :: else fi;
       s = 0; n = 0; r = 0 }
  od
}

#ifdef PRODUCERVETO
#define OBJECTS 1
#else
#define OBJECTS live[p]
#endif

proctype Keeper(byte p) {
  byte n;
end:
  do
  :: atomic { OBJECTS && (kg[p] != cg || ks[p] != cs || cs && !ns && !trust[p] || ns && !seen[p] && trust[p] ||
              ns && ns != at[p] && cs == at[p] && WARM(cs, cg) && !seen[p]) ->
       LOOK(p);
       if :: ns && ns != at[p] && cs == at[p] && WARM(cs, cg) -> n = ng :: else fi }
     if
     :: n ->
        atomic {
          if
          :: ng == n && cg == kg[p] ->
             seen[p] = 1;
#ifndef NOVETO
             ng = 0; ns = 0; trust[p] = 1; CHANGED        /* what it knows is as new as its swap */
#endif
          :: else
          fi;
          n = 0 }
     :: else
     fi
  od
}

#ifdef NORECHECK
#define STILL(p) 1
#else
#define STILL(p) (trust[p] && kg[p] == hg[p])
#endif
#ifdef EXTENDOLD
#define MAYEXTEND(p) 1
#else
#define MAYEXTEND(p) (trust[p] && kg[p] == hg[p])
#endif

#define DROP(p) hold[p] = 0; hg[p] = 0; ahead[p] = 0; before1[p] = 0; before2[p] = 0; counted[p] = 0

proctype Worker(byte p) {
  byte s; bool look;
#if MOVE
  byte n; bool r;
#endif
  do
  /* claim.lua: sent, executed, answered */
  :: atomic { live[p] && !hold[p] && trust[p] -> hold[p] = SENT; hg[p] = kg[p]; ahead[p] = 1 }
  :: atomic { hold[p] == SENT ->
       s = at[p];
       if
       :: WARM(s, hg[p]) && mem[s] == WAITS -> mem[s] = BATCH(p); look = again[s]; counted[p] = (cs == s); hold[p] = TAKEN
       :: else -> DROP(p)
       fi;
       s = 0 }
  :: atomic { hold[p] == TAKEN ->
       if :: !STILL(p) -> LOOK(p) :: else fi;             /* it reads the records */
       if
       :: !STILL(p) || look && !row -> DROP(p)            /* given up; the reaper looks at the row */
       :: else -> hold[p] = QUEUED
       fi;
       look = 0 }
  /* Consumer.hand */
  :: atomic { hold[p] == QUEUED && ahead[p] -> assert(!deletedNil); assert(counted[p]); hold[p] = INHAND }
  :: atomic { hold[p] == QUEUED && !ahead[p] -> DROP(p) }
  /* Consumer.extend */
  :: atomic { hold[p] >= QUEUED && ahead[p] && MAYEXTEND(p) && WARM(at[p], hg[p]) && mem[at[p]] == BATCH(p) && (before1[p] || before2[p]) ->
       before1[p] = 0; before2[p] = 0 }
  /* returned from the queue; rolled back, also late */
  :: atomic { hold[p] >= QUEUED ->
       s = at[p];
       if :: gen[s] && mem[s] == BATCH(p) && !down[s] -> again[s] = again[s] || hold[p] == INHAND; mem[s] = WAITS; noghost :: else fi;
       s = 0; DROP(p) }
#if MOVE
  /* Consumer.registerNow, with a generation that is current or announced */
  :: atomic { hold[p] >= QUEUED && ahead[p] && hg[p] != gen[at[p]] && !down[at[p]] && meta[at[p]] == at[p] &&
              (cs == at[p] && cg == gen[cs] || ns == at[p] && ng == gen[ns] && mem[ns] != BATCH(p)) ->
       s = at[p]; n = gen[s]; look = (cs == s) }
     r = row;
     atomic {
       if
       :: hold[p] < QUEUED || !ahead[p] || gen[s] != n || down[s]
       :: else ->
          if
          :: !r || tomb[s] || mem[s] > WAITS && mem[s] != BATCH(p) -> DROP(p)
          :: else ->
             mem[s] = BATCH(p); again[s] = 1;
#ifdef REGEXTENDS
             look = 1;
#endif
             if :: look -> hg[p] = n; before1[p] = 0; before2[p] = 0 :: else fi
          fi
       fi;
       s = 0; n = 0; r = 0; look = 0 }
#endif
  :: break                                                /* Run ends, or the process dies */
  od;
  atomic { if :: p == 1 -> live[1] = 0 :: else fi; DROP(p) }
}

/* It reads the rows of a batch whose lease is over, and gives back what stands, in one step here (hotset.pml has them apart). */
proctype Reaper() {
  byte s;
end:
  do
  :: atomic { if
              :: OPENED(1) && mem[1] > WAITS && OVER(mem[1] - 1) -> s = 1
              :: OPENED(2) && mem[2] > WAITS && OVER(mem[2] - 1) -> s = 2
              fi;
       if :: row -> mem[s] = WAITS; again[s] = 1 :: else -> mem[s] = 0; tomb[s] = 1 fi;
       s = 0 }
  od
}

proctype Time() {
end:
  do
  :: ahead[1] -> ahead[1] = 0
  :: ahead[2] -> ahead[2] = 0
  od
}

#ifdef REMOVEFOREIGN
#define RANON (gen[s] -> meta[s] : s)
#else
#define RANON s
#endif
#ifdef REMOVEBYNUMBER
#define REMOVES (gen[s] && gen[s] == kg[DELETER])
#else
#define REMOVES gen[s]
#endif
#ifdef COLDNIL
#define TOLD (ks[DELETER] == on || !gen[s])
#else
#define TOLD (ks[DELETER] == on)
#endif
#define CLAIMEDBEFORE(s) (s == 1 -> before1[1] && ahead[1] || before1[2] && ahead[2] : before2[1] && ahead[1] || before2[2] && ahead[2])
#define HELD(p) (hold[p] >= TAKEN && ahead[p])
/* Some worker may have it since before the generation: it had been due by then. A cold partition begins now. */
#ifdef STARTEARLY
#define ISOPEN(s) (gen[s] && meta[s] == s)
#else
#define ISOPEN(s) OPENED(s)
#endif
#define YOUNG(s) (ISOPEN(s) && CLAIMEDBEFORE(s) || !ISOPEN(s) && (HELD(1) || HELD(2)))
#define INQUEUE(p) (hold[p] >= QUEUED && ahead[p])

proctype Deleter() {
  byte s, on; bool claimed, none;
  if
  :: atomic { inserted -> LOOK(DELETER);
#ifdef NOTHINGNIL
       none = !cs
#endif
     }
  :: skip
  fi;
  atomic { inserted;
    if :: row -> row = 0 :: else -> goto done fi };
  do
  :: atomic {                                             /* knowledge that is young by now, and without an announcement; or read now */
#ifdef NOREAD
       if
       :: ks[DELETER] != 0 || none
       :: else -> LOOK(DELETER); none = !cs
       fi
#else
       if
       :: trust[DELETER] || none
       :: else -> LOOK(DELETER); none = !cs
       fi
#endif
     }
     atomic {                                             /* remove.lua */
       s = at[DELETER];
       if
       :: down[s] -> goto done
       :: else ->
          on = RANON; claimed = 0;
          if :: REMOVES -> claimed = mem[s] > WAITS; mem[s] = 0; tomb[s] = 1 :: else fi
       fi }
     atomic {                                             /* state.lua */
       if
       :: (TOLD || none) && s == at[DELETER] && !down[s] ->
          if
          :: claimed || YOUNG(s)                          /* ErrClaimed */
          :: else -> deletedNil = 1; assert(!INQUEUE(1) && !INQUEUE(2)); noghost
          fi;
          goto done
       :: else -> trust[DELETER] = 0; none = 0            /* another server counts: it reads again, or gives up with an error */
       fi }
     if :: skip :: goto done fi
  od;
done:
  atomic { s = 0; on = 0; claimed = 0; none = 0; kg[DELETER] = 0; ks[DELETER] = 0; trust[DELETER] = 0; busyD = 0 }
}

#ifdef ADDSEARLY
#define SERVED (gen[s] == g)
#else
#define SERVED (gen[s] == g && k == g && open[s])
#endif

proctype Creator() {
  byte s, g, k;
  atomic { if :: s = 1 :: s = 2 fi; k = (cs == s -> cg : 0) }
  g = gen[s];
  atomic { row = 1; inserted = 1 };
  atomic {
    if :: g && SERVED && !down[s] && !tomb[s] && !mem[s] -> mem[s] = WAITS; again[s] = 0; noghost :: else fi;
    s = 0; g = 0; k = 0; busyC = 0 }
}

#define LOSES(s) gen[s] = 0; meta[s] = 0; open[s] = 0; mem[s] = 0; tomb[s] = 0; again[s] = 0

proctype Flusher() { atomic { if :: LOSES(1) :: LOSES(2) fi } }

proctype Killer() { atomic { LOSES(1); down[1] = 1 } }

proctype Copier() { atomic { gen[2] = gen[1]; meta[2] = meta[1]; open[2] = open[1]; mem[2] = mem[1]; tomb[2] = tomb[1]; again[2] = again[1] } }

proctype Mover() {
  at[1] = 2;
}

proctype DeleterMover() {
  if :: at[DELETER] = 2 :: skip fi
}

init {
  atomic {
    at[1] = 1; at[2] = 2; live[1] = 1; live[2] = 1;
    #if DELETEAT
    at[DELETER] = DELETEAT;
#else
    if :: at[DELETER] = 1 :: at[DELETER] = 2 fi;
#endif
#if OLDSERVER
    cg = 1; cs = 3; last = 1;
#elif !FIRST
    cg = 1; cs = 1; last = 1; gen[1] = 1; meta[1] = 1; open[1] = 1; mem[1] = (row -> WAITS : 0);
#endif
    run Feeder(1); run Feeder(2); run Keeper(1); run Keeper(2); run Time(); run Reaper();
#if NW > 0
    run Worker(1);
#endif
#if NW > 1
    run Worker(2);
#endif
#if DELETE
    run Deleter();
#endif
#if CREATE
    run Creator();
#endif
#if FLUSH
    run Flusher();
#endif
#if KILL
    run Killer();
#endif
#if COPY
    run Copier();
#endif
#if MOVE
    run Mover(); run DeleterMover();
#endif
  }
  timeout;
  assert(!busyC && !busyD);
  assert(!row || cs && WARM(cs, cg) && mem[cs] == WAITS && (live[1] && at[1] == cs || live[2] && at[2] == cs))
}
