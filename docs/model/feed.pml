/* feed: how the feeder fills partitions up to their horizons, for spin 6.5. One scan of the durable store serves two partitions;
   horizons are numbers, loaded is a (due, id) cursor, pages hold one row. Three tasks: two due at 1, one in each partition, and
   one due at 3 in the first.

   Covers    the order horizon, SELECT, feed; a partition that fails or is full and is left out of a scan; the retreat; an older
             feeder beside a newer one; a flush between two pages; a creator that decides by its last look at the clock whether
             to add; a feed that reaches the server once more, any time later within T (DUP).
   Leaves    deletions, leases, rollbacks (hotset.pml, lease.pml); a claim confirms at once here, and frees its place.
   out
   Assumes   a creator's commit takes less than a day: here less than LATE, by which SKIP exceeds the largest Window.
   Checked   loaded never passes the horizon; at rest every row has been delivered: none lies below loaded unseen, and no
             partition is stuck.
   Stands    Feeder   feeder.round, pages, lowest, moments, feed (internal/agent); horizon.lua, retreat.lua, feed.lua
   for       Creator  Adder.Add (internal/preload); add.lua        Worker   claim.lua, remove.lua

   Variants, each of which must fail: LATEHORIZON the rows are read before the horizon is raised; ONELOADED a partition that
   failed is taken to have what the scan has read; PAGEEND a full page counts as the end of the scan; INCLUSIVE a task due at
   the horizon is taken for loaded; NORETREAT loaded stays where it was when the horizon retreats;
   SKIPBYWINDOW a creator does not add what lies a Window ahead of its last
   look; DUP a feed reaches the server once more, after a retreat (a limit, which the auditor mends: see README.md). */

#ifndef NF
#define NF 1
#endif
#ifndef LIMIT
#define LIMIT 9
#endif
#ifndef FAIL
#define FAIL 0   /* how many feeds fail */
#endif
#ifndef FLUSH
#define FLUSH 0
#endif
#ifndef DUP
#define DUP 0
#endif

#ifndef MADE
#define MADE 1   /* how many tasks are created meanwhile: the far one, that and the first, or all; the others stand */
#endif

#define N 3
#define WINDOW 1
#define MAXTIME 3
#define PART(t) (t == 1)                        /* task 1 is in partition 1 */
#define DUE(t) (t == 2 -> 3 : 1)
#define CURSOR(t) (DUE(t) * 4 + t + 1)          /* (due, id) in order; (ms, '') is 4 * ms */
#define MS(c) (c / 4)

#define LATE 2

byte now;
bool row[N], in[N], done[N];                    /* in the durable store, in the hot set; delivered */
byte horizon[2], loaded[2], epoch[2], gen[2], gens;
byte failures = FAIL;
byte busy;
bool kept;                                      /* a feed that is still on its way a second time */
byte kP, kE, kG, kT, kTo;

#define MEMBERS(p) (p == 0 -> in[0] + in[2] : in[1])
#define LEAST(a, b) (a < b -> a : b)
#ifdef INCLUSIVE
#define INSIDE(t) (DUE(t) <= horizon[PART(t)])
#define PAST(h) (4 * (h) + 3)                   /* loaded names the horizon's millisecond too, of which new rows may come */
#else
#define INSIDE(t) (DUE(t) < horizon[PART(t)])
#define PAST(h) (4 * (h))
#endif
#define REFUSED(p, e) (e < epoch[p])

inline take(t) {                                /* add.lua, feed.lua: nothing unless it is inside */
  if :: row[t] && !in[t] && INSIDE(t) -> in[t] = 1 :: else fi
}

/* feed.lua: a row of the page that is this partition's, or none (N), and how far the page goes */
inline feed(p, t, to) {
  if :: t < N -> take(t) :: else fi;
  if
  :: LEAST(to, PAST(horizon[p])) > loaded[p] -> loaded[p] = LEAST(to, PAST(horizon[p]))
  :: else
  fi;
  assert(loaded[p] <= PAST(horizon[p]))
}

inline retreat(p) {                             /* retreat.lua, for partition 0: the only one with two tasks */
  if
  :: p == 0 && MEMBERS(0) > LIMIT ->
     horizon[0] = LEAST(horizon[0], DUE(2)); in[2] = 0;
#ifndef NORETREAT
     loaded[0] = LEAST(loaded[0], PAST(horizon[0]))
#endif
  :: else
  fi
}

#define WANTS(p) (gen[p] == 0 || loaded[p] < PAST(horizon[p]) || MEMBERS(p) > LIMIT || (horizon[p] < now + WINDOW && MEMBERS(p) < LIMIT))

#ifdef LATEHORIZON
#define RAISED horizon[p]
#else
#define RAISED (now + WINDOW)
#endif
#define CLOSED(p) if :: !open[p] -> l[p] = 0; h[p] = 0; g[p] = 0 :: else fi
#define NEXT CLOSED(p); p++

proctype Feeder(byte e) {
  byte p, t, at, below, to, mine;
  bool open[2];
  byte l[2], h[2], g[2];
end:
  do
  :: WANTS(0) || WANTS(1) ->
     do                                         /* begin the round: Horizon of each partition */
     :: p < 2 ->
        atomic {
          if
          :: gen[p] != 0 && REFUSED(p, e) -> goto out
          :: gen[p] == 0 ->
             gens++; gen[p] = gens; epoch[p] = e; horizon[p] = RAISED; loaded[p] = 0
          :: else ->
             epoch[p] = e;
             if :: MEMBERS(p) < LIMIT && horizon[p] < now + WINDOW -> horizon[p] = RAISED :: else fi;
             retreat(p)
          fi;
#ifdef LATEHORIZON
          h[p] = (MEMBERS(p) < LIMIT -> now + WINDOW : horizon[p]);
#else
          h[p] = horizon[p];
#endif
          l[p] = loaded[p]; g[p] = gen[p]; open[p] = 1; p++
        }
     :: atomic { p == 2 -> p = 0; break }
     od;
     do                                         /* scan, page by page */
     :: atomic {
          p = 0; at = 255; below = 0;
          do
          :: p < 2 ->
             if :: gen[p] != g[p] -> open[p] = 0 :: else fi;         /* moments */
             if
             :: open[p] && MEMBERS(p) < LIMIT && l[p] < PAST(h[p]) -> at = LEAST(at, l[p]); below = (h[p] > below -> h[p] : below)
             :: else -> open[p] = 0; CLOSED(p)
             fi;
             p++
          :: else -> break
          od;
          p = 0;
          if :: !open[0] && !open[1] -> break :: else fi;
          t = 0; to = 255;                      /* SELECT: the first row behind at, below the horizon */
          if :: row[0] && CURSOR(0) > at && DUE(0) < below -> to = CURSOR(0); t = 0 :: else fi;
          if :: row[1] && CURSOR(1) > at && CURSOR(1) < to && DUE(1) < below -> to = CURSOR(1); t = 1 :: else fi;
          if :: row[2] && CURSOR(2) > at && CURSOR(2) < to && DUE(2) < below -> to = CURSOR(2); t = 2 :: else fi;
          if :: to == 255 -> t = N; to = PAST(below) :: else fi;
#ifdef PAGEEND
          to = PAST(below);
#endif
          at = 0; below = 0 }
#ifdef LATEHORIZON
        atomic { p = 0; do :: p < 2 -> if :: horizon[p] < h[p] -> horizon[p] = h[p] :: else fi; p++ :: else -> break od; p = 0 }
#endif
        do                                      /* feed each */
        :: atomic { p < 2 && open[p] && l[p] < to ->
           if
           :: failures > 0 -> failures--; open[p] = 0;               /* left out of the scan */
#ifdef ONELOADED
                if :: loaded[p] < LEAST(to, PAST(horizon[p])) -> loaded[p] = LEAST(to, PAST(horizon[p])) :: else fi;
#endif
           :: 1 ->
                if
                :: gen[p] == 0 || gen[p] != g[p] || REFUSED(p, e) -> open[p] = 0
                :: else ->
                   if :: t < N && PART(t) == p && CURSOR(t) > l[p] -> mine = t :: else -> mine = N fi;
#if DUP
                   if
                   :: !kept && kTo == 0 -> kept = 1; kP = p; kE = e; kG = g[p]; kT = mine; kTo = to
                   :: 1
                   fi;
#endif
                   feed(p, mine, to);
                   mine = 0; l[p] = loaded[p]; h[p] = horizon[p]
                fi
           fi;
           NEXT }
        :: atomic { p < 2 && (!open[p] || l[p] >= to) -> NEXT }
        :: atomic { p == 2 -> p = 0; t = 0; to = 0; break }
        od
     od;
     atomic { p = 0; t = 0; at = 0; below = 0; to = 0; l[0] = 0; l[1] = 0; h[0] = 0; h[1] = 0; g[0] = 0; g[1] = 0 }
  od;
out:
  skip
}

proctype Creator(byte t) {
  byte look;
  if :: t == 2 -> look = now :: else -> look = MAXTIME fi;           /* for the near ones it makes no difference */
  if
  :: atomic { look + LATE > now -> row[t] = 1 }; /* the commit */
#ifdef SKIPBYWINDOW
     if
     :: DUE(t) >= look + WINDOW
     :: DUE(t) < look + WINDOW -> atomic { if :: gen[PART(t)] -> take(t) :: else fi }
     fi
#else
     if
     :: DUE(t) >= look + WINDOW + LATE
     :: DUE(t) < look + WINDOW + LATE -> atomic { if :: gen[PART(t)] -> take(t) :: else fi }
     fi
#endif
  :: look + LATE <= now                         /* it took longer than that */
  fi;
  busy--
}

proctype Worker() {
  byte t;
end:
  do
  :: atomic {
       if
       :: in[0] && DUE(0) <= now -> t = 0
       :: in[1] && DUE(1) <= now -> t = 1
       :: in[2] && DUE(2) <= now -> t = 2
       fi;
       assert(!done[t]);
       in[t] = 0; row[t] = 0; done[t] = 1; t = 0 }
  od
}

proctype Time() {
  do
  :: now < MAXTIME -> now++
  :: else -> break
  od;
  busy--
}

#if DUP
proctype Network() {                            /* the feed arrives once more; its row was deleted meanwhile or is in */
end:
  do
  :: atomic { kept -> kept = 0;
       if
       :: gen[kP] == kG && !REFUSED(kP, kE) -> feed(kP, kT, kTo)
       :: else
       fi;
       kP = 0; kE = 0; kG = 0; kT = 0; kTo = 1 }
  od
}
#endif

proctype Flusher() {
  atomic {
    in[0] = 0; in[1] = 0; in[2] = 0; horizon[0] = 0; horizon[1] = 0; loaded[0] = 0; loaded[1] = 0; gen[0] = 0; gen[1] = 0;
    epoch[0] = 0; epoch[1] = 0; busy-- }
}

init {
  atomic {
    busy = MADE + 1 + FLUSH;
#if MADE == 1
    row[0] = 1; row[1] = 1;
#elif MADE == 2
    row[1] = 1; run Creator(0);
#else
    run Creator(0); run Creator(1);
#endif
    run Creator(2); run Feeder(1); run Worker(); run Time();
#if NF > 1
    run Feeder(2);
#endif
#if DUP
    run Network();
#endif
#if FLUSH
    run Flusher();
#endif
  }
  timeout;
  assert(busy == 0);
  assert(!row[0] && !row[1] && !row[2])
}
