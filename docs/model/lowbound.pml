/* Reads start at a known low bound (rule LowBound). One row, due at D, which is any time: far in the past is legal. Time is
   counted, for the rule is about it.

   The durable store records one value, which is changed by compare and swap alone and has another seq after each change: the
   bound (low) and a hold (hold, until). Readers start at low. A writer (Create, Move) whose row is due before now - REC holds
   the bound before it commits: it lowers low to D if need be, and until `until` nobody raises low above `hold`. It relies on that
   for LEAN. Of a row that is recent it relies for TRUST on having looked at the time. A writer whose commit has taken longer
   than it may rely on what it did lowers the bound after its commit, and only then returns nil. A raiser reads the value; then
   it looks for the first row that stands between low and the earlier of now - MARGIN and a hold that has not ended; then it
   swaps low for that. A sweeper reads all below the bound, once in a while, and lowers it to what it finds.

   Processes: Writer is MySQL.Create and MySQL.Move with MySQL.aboveBound; it may die anywhere, and its commit may take any time.
   Raiser is MySQL.Advance (there may be several), Sweeper its sweep, Deleter a Delete or Confirm, Ticker the time, which passes for all at once. Readers
   need no process: what they miss is what stands below low.
   Checked: a row whose Create has returned nil, or whose commit came as early as its writer assumed, is never below the bound;
   nor is any other row that a sweep has met.
   Assumed: clocks agree (the code has 10 s to spare).
   With OLD the writer knows nothing of the bound, as one of an older version: it has the sweep alone.
   With TX the row is of a transaction of a caller (CreateTx), which the library does not see commit: it may stay open for any time. After
   the commit a drainer looks at the time, or at a hold of its own for another row, holds the bound if need be (MySQL.HoldBound), and
   only then tells the hot set of the row. From then on the row must not be below the bound. The drainer may die anywhere, and the next one does the
   same again.
   Must fail: NOSEQ (swaps compare the bound alone), NOMARGIN (raises up to now), NOHOLD (a writer of an old row does not hold),
   NOLOOK (a writer does not look at the time after its commit), HOLDLATE (it holds after its commit), SHORT (a hold ends when
   its writer still relies on it), with TX NOHOLD (the drainer does not hold) and TXEARLY (the bound is held at the insert, and not after the
   commit), SCANFIRST (a raiser looks for rows before it reads the value), NOSWEEP (with OLD),
   SWEEPQUIET (with OLD: a sweep that has found nothing leaves the value as it is). */

#define REC    1
#define TRUST  1          /* commitWithin in durable/lowbound.go */
#define LEAN   1          /* holdValidFor */
#ifdef NOMARGIN
#define MARGIN 0
#else
#define MARGIN (REC + TRUST + 1)
#endif
#ifdef SHORT
#define HOLD   0
#else
#define HOLD   (LEAN + 1)
#endif
#ifndef END
#define END    5
#endif
#ifndef NR
#define NR     1
#endif
#ifndef OLD
#define OLD    0
#endif
#ifndef TX
#define TX     0
#endif

byte t = 0;
byte D;                                            /* when the row is due */
bool row = 0, sure = 0, over = 0, swept = 0;       /* sure: it must not be below the bound; over: its writer has ended */
byte low = 0, seq = 0, hold = 255, until = 0;      /* the value */

#define MIN(a, b) ((a) < (b) -> (a) : (b))
#define SAFE      assert(!(row && (sure || swept)) || low <= D)

/* whether a writer may rely on what it knows: since is when it held the bound, or looked at the time */
#define RELIES    ((held && t <= since + LEAN) || (!held && D + REC >= since && t <= since + TRUST))

inline change() { seq = (seq + 1) % 32 }           /* no swap is under way for as many changes */

inline holds() {
  atomic {
    low = MIN(low, D);
    if :: t < until -> hold = MIN(hold, D) :: else -> hold = D fi;
    until = t + HOLD; change(); since = t; held = 1
  }
}

proctype Ticker() { do :: t < END -> t++ :: t == END -> break od }

proctype Writer() {
  byte since; bool held = 0;
#if OLD
  row = 1; over = 1
#elif TX
#ifdef TXEARLY
  holds();
#endif
  row = 1; over = 1
#else
  atomic { since = t;
    if
    :: D + REC >= t -> goto commit
    :: else -> skip
    fi
  }
#if !defined(NOHOLD) && !defined(HOLDLATE)
  holds();
#endif
commit:
  if
  :: atomic { row = 1;
       if
       :: RELIES -> sure = 1
#ifdef HOLDLATE
       :: !RELIES && t <= since + LEAN -> sure = 1
#endif
       :: else -> skip
       fi; SAFE }
  :: goto dead
  fi;
  if
#ifdef NOLOOK
  :: atomic { sure = 1; SAFE }
#else
  :: atomic { RELIES -> sure = 1; SAFE }
  :: atomic { !RELIES -> skip };
#ifndef NOHOLD
     holds();
#endif
     atomic { sure = 1; SAFE }
#endif
  :: goto dead
  fi;
dead:
  over = 1
#endif
}

#if TX
proctype Drainer() {
  byte since, n = 0; bool held = 0;
#ifndef TXEARLY
  if
  :: holds()                                       /* for another row, before */
  :: skip
  fi;
#endif
  over;
  do
  :: n < 2 -> n++;
     if
     :: D + REC >= t -> skip                       /* recent */
     :: D + REC < t && held && t <= since + LEAN -> skip
     :: D + REC < t && !(held && t <= since + LEAN) ->
#if !defined(NOHOLD) && !defined(TXEARLY)
        holds()
#else
        skip
#endif
     fi;
     if
     :: atomic { sure = 1; SAFE }; break           /* the hot set is told */
     :: held = 0                                   /* it dies, and the next one reads the entry */
     fi
  :: n == 2 -> break
  od
}
#endif

proctype Raiser() {
  byte s, l, x, f; byte n = 0;
  do
  :: n < 2 -> n++;
#ifdef SCANFIRST
     atomic { f = 255; if :: row && D >= low -> f = D :: else -> skip fi }
     atomic { s = seq; l = low; x = (t > MARGIN -> t - MARGIN : 0); if :: t < until -> x = MIN(x, hold) :: else -> skip fi;
       f = MIN(f, x) }
#else
     atomic { s = seq; l = low; x = (t > MARGIN -> t - MARGIN : 0); if :: t < until -> x = MIN(x, hold) :: else -> skip fi }
     atomic { f = x; if :: row && D >= l && D < x -> f = D :: else -> skip fi }
#endif
     atomic {
       if
#ifdef NOSEQ
       :: low == l && f > l -> low = f; change(); SAFE
#else
       :: seq == s && f > l -> low = f; change(); SAFE
#endif
       :: else -> skip
       fi
     }
  :: n == 2 -> break
  od
}

proctype Deleter() { atomic { row -> row = 0 } }

/* One pass, begun after its writer has ended: rows that come later have the next one. It swaps the value even if it has
   found nothing, so that a raiser that has looked before the row stood does not raise the bound after the pass. */
proctype Sweeper() {
  byte s; bool found;
  over;
  do
  :: s = seq;
     found = (row && D < low);
     atomic {
       if
       :: seq != s -> skip                         /* somebody has changed the value: the step is made again */
       :: else ->
#ifndef NOSWEEP
          if :: found -> low = MIN(low, D) :: else -> skip fi;
#endif
#ifndef SWEEPQUIET
          change();
#endif
          swept = 1; SAFE; break
       fi
     }
  od
}

init {
  byte i = 0;
  atomic {
    do :: D < END -> D++ :: break od;
    run Ticker(); run Writer(); run Sweeper(); run Deleter();
#if TX
    run Drainer();
#endif
    do :: i < NR -> run Raiser(); i++ :: else -> break od
  }
}
