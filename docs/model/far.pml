/* What is due beyond every horizon is in no hot set: a creator need not add it, nor a deleter remove it (FarUntold). One row, due
   at D; time is counted here, for the rule is about it.

   No feeder raises a horizon above the hot set's time + the settled window. The durable store records two windows, the
   announced and the settled one; neither shrinks. At first nothing is settled: whichever feeder comes first settles what is
   announced. Who has a larger one announces it, waits WAIT, and settles it. With RESTART it may die at any time while it waits, and
   another one goes on: how long it has waited is recorded now and then. That alone is looked at then: whether what is settled has
   been announced for WAIT, which is all that the others rely on. Creators and deleters read the announced one, and use it for TRUST. After its commit, a creator adds
   nothing that is due later than the hot set's time + that window; a deleter removes nothing that is due later than that + T
   and was never moved. With BYID the deleter does not learn when the row was due: it deletes what was never moved and is due at
   line or later, which is LATE beyond what is far when it begins, and after its commit it looks whether that is still far.

   Processes: Deleter is deletion.part, Creator is Adder.Add (internal/preload), both with Window.FarAbove (internal/horizon); Feeder
   is feeder.round with Window.Effective, by one that may stop anywhere between its SELECT and its add; Raiser is Window.Effective of another
   process;
   Flusher a loss of data; Ticker the time, which passes for all at once.
   Checked: once Delete has returned nil no version of the task is in the hot set, nor comes into it; a creator does not skip
   its add when a feeder has read up to beyond D without the row.
   Assumed: the hot set's clock and those of processes run at one rate (the code has 10 s to spare for them to differ, and T more
   for a clock that steps back).
   Must fail: NOWAIT (settles what it announces at once), ADDUP (with RESTART; adds to what is recorded all that it has waited, which
   it may have recorded before), NOTRUST (a deleter never reads the window again), NOT (a deleter does
   not add T), NOASOF (adds do not say since when they know), MOVED (a deleter leaves moved rows' versions as well), LOOKFIRST
   (a creator looks at the time before its commit), NOLOOK (a deleter by ID does not look after its commit). */

#define T      2          /* how old what an add knows may be */
#define LATE   2          /* how much further than far a line is */
#define TRUST  1          /* windowMaxAge in internal/horizon */
#define WAIT   (TRUST + T + 1)   /* effectiveAfter */
#define W0     1
#define W1     5
#if RESTART
#define END    9
#else
#define END    5
#endif
#ifndef D
#define D      8
#endif

#ifndef FLUSH
#define FLUSH 0
#endif
#ifndef BYID
#define BYID 0
#endif
#ifndef RESTART
#define RESTART 0
#endif

byte t = 0;                                        /* the hot set's time */
byte announced = W0, settled = 0;                  /* MySQL */
#if RESTART
byte waited = 0;                                   /* for so long at least W1 has been announced */
#endif
bool row = 0, moved = 0, created = 0;
byte gen = 1, horizon = 0;                         /* Redis */
bool member = 0, old = 0;                          /* the row's version, the one of before */
bool nil = 0, missed = 0;                          /* history: Delete has returned it; a feeder has read beyond D too early */

#ifdef NOASOF
#define FRESH(a) (1)
#else
#define FRESH(a) (t <= a + T)
#endif

#ifdef NOT
#define MARGIN 0
#else
#define MARGIN T
#endif
#ifdef MOVED
#define LEFT 0
#else
#define LEFT moved
#endif

inline add(g, a, r) {
  atomic {
    if
    :: r && g == gen && FRESH(a) && D < horizon -> member = 1; assert(!nil)
    :: else -> skip
    fi
  }
}

/* the window that may be relied on now */
inline trusted(w, read) {
#ifdef NOTRUST
  skip
#else
  if :: t > read + TRUST -> w = announced; read = t :: else -> skip fi
#endif
}

proctype Ticker() { do :: t < END -> t++ :: t == END -> break od }

proctype Creator() {
  byte w, read, a, g; bool skips = 0;
  atomic { w = announced; read = t; a = t; g = gen }
#ifdef LOOKFIRST
  atomic { trusted(w, read); skips = (D > t + w) }
#endif
  atomic { row = 1; created = 1;
    if :: moved = 1; old = 1 :: skip fi }          /* somebody moved it, and died before it removed the previous version */
#ifndef LOOKFIRST
  atomic { trusted(w, read); skips = (D > t + w) }
#endif
  if
  :: skips -> assert(!missed)
  :: else -> add(g, a, 1)
  fi
}

#define FIRST if :: settled == 0 -> settled = announced :: else -> skip fi

/* What is set later than it was reckoned is a lower horizon, so both are one step. */
proctype Feeder() {
  byte a, g; bool was;
  atomic { FIRST }
  atomic { if :: t + settled > horizon -> horizon = t + settled :: else -> skip fi; g = gen }
  atomic { if :: g == gen -> a = t :: else -> g = 0 fi }
  atomic { was = row; if :: !created && g == gen && horizon > D -> missed = 1 :: else -> skip fi }
  add(g, a, was)
}

proctype Raiser() {
  byte since;
  atomic { FIRST; announced = W1; since = t }
#if RESTART
  byte began = since;
  byte base = 0;                                   /* what was recorded when this process came, at since */
#ifdef ADDUP
#define NOW (waited + t - since)
#else
#define NOW (base + t - since)
#endif
  do
  :: atomic { NOW >= WAIT -> break }
  :: atomic { NOW > waited -> waited = NOW }
  :: atomic { since < t -> base = waited; since = t }  /* it dies, and another one comes */
  od;
  assert(t >= began + WAIT);
#else
#ifndef NOWAIT
  t >= since + WAIT;
#endif
#endif
  settled = W1
}

#ifdef NOLOOK
#define STILLFAR 1
#else
#define STILLFAR (line > t + w + MARGIN)
#endif

#if BYID
proctype Deleter() {
  byte w, read, line;
  atomic { w = announced; read = t; line = t + w + MARGIN + LATE }
  if
  :: row && D >= line && !LEFT ->                  /* its DELETE has met the row: others see it until the COMMIT */
     row = 0;
     atomic {
       trusted(w, read);
       if
       :: STILLFAR -> nil = 1; assert(!member && !old)
       :: else -> skip                             /* ErrClaimed */
       fi
     }
  :: else -> skip                                  /* it rolls back, and goes on as the other one */
  fi
}
#else
proctype Deleter() {
  byte w, read; bool hit = 0;
  atomic { w = announced; read = t }
  atomic { row -> row = 0; hit = 1 }
  atomic {
    trusted(w, read);
    if
    :: hit && D > t + w + MARGIN && !LEFT -> nil = 1; assert(!member && !old)
    :: else -> skip                                /* it removes the members, RowFirst, Tombstones */
    fi
  }
}
#endif

proctype Flusher() { atomic { gen++; member = 0; old = 0; horizon = 0 } }

init {
  atomic {
    run Ticker(); run Raiser();
#if !RESTART
    run Creator(); run Feeder(); run Deleter();
#endif
#if FLUSH
    run Flusher();
#endif
  }
}
