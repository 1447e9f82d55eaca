/* Pause: no worker claims a task once Pause has answered nil, also if the hot set loses its data or moves meanwhile. For spin 6.5.
   Time is counted, for the rule is about it.

   A pause is a number (0: none; 1: paused; 2: resumed) that only grows. The durable store records it, and each generation of the hot
   set has a copy. A script takes the greater of the copy and of what its caller has read. One partition is modelled; it has
   generation 1 at first.

   Processes: Pauser is Scheduler.Pause, and then Scheduler.Resume. It records the pause, reads the records, and only then changes
   the copy of the generation that is current by then (pause.lua). If that does not answer it returns HOLD after the record. Worker is
   Fence.Claim (claim.lua), which relies on records for TRUST at most, and not while a takeover is announced. Feeder is
   feeder.takeOver and feeder.raise: it makes another generation current, reads the records, begins that generation with
   what it has read (horizon.lua), and renews the copy in each round. It may die anywhere. Flusher is a loss of data. Ticker is the
   time. MOVE=1: the second generation is on another server, and the first one goes on answering scripts.
   Checked: no claim between the nil of Pause and the beginning of Resume.
   Left out: tasks that a worker has in its queue: it hears of the pause within a second (docs/design.md).
   Must fail: FLAGFIRST (the copy is changed before the record), NOREAD (Pause goes by records from before its own), NOWAIT (Pause answers nil at once if the partition is cold), NOSEQ
   (a copy is overwritten, also by what is older), UNTOLD (a claim goes by the copy alone). CUTOFF is a limit: a worker that does not
   reach the durable store relies on old records for ever, and claims from a generation that Pause did not reach. */

#define TRUST 1            /* record.MaxAge in the code, and HOLD is record.Hold */
#define HOLD  (TRUST + 1)
#ifndef END
#define END   3
#endif
#ifndef MOVE
#define MOVE  0
#endif
#ifndef NF
#define NF    1
#endif

byte t = 0;
byte pause = 0, current = 1;              /* MySQL */
bool announced = 0;
byte copy[4]; bool warm[4];               /* Redis, by generation */
bool done = 0;                            /* Pause has answered nil */

#ifdef NOSEQ
#define NEWER(a, b) (b)
#else
#define NEWER(a, b) (a > b -> a : b)
#endif
#ifdef CUTOFF
#define RELIES 1
#else
#define RELIES (t <= at + TRUST)
#endif
#ifdef UNTOLD
#define SAID copy[g]
#else
#define SAID (copy[g] > told -> copy[g] : told)
#endif

proctype Ticker() { do :: t < END -> t++ :: t == END -> break od }

proctype Flusher() { atomic { warm[1] = 0 } }

proctype Worker() {
  byte told, g, at; bool usable;
  do
  :: atomic { t < END -> told = pause; g = current; usable = !announced; at = t };
     if
     :: atomic { usable && RELIES && warm[g] && SAID != 1 -> assert(!done) }
     :: skip
     fi
  :: break
  od
}

proctype Feeder(byte next) {
  byte told, since;
  if
  :: atomic { !warm[current] -> skip }
#if MOVE
  :: atomic { !announced && current < next -> announced = 1; since = t };
     atomic { t >= since + HOLD && announced && current < next -> skip }
#endif
  :: goto dead
  fi;
  atomic { if :: current < next -> current = next; announced = 0 :: else -> goto dead fi };
  told = pause;
  if :: current == next -> skip :: goto dead fi;
  atomic { if :: next == 2 && warm[3] -> goto dead :: else -> warm[next] = 1; copy[next] = told;
    if :: next == 3 -> warm[2] = 0 :: else fi fi };   /* on one server; FencedScan: a newer feeder began 3 */
  do
  :: told = pause; atomic { copy[next] = NEWER(copy[next], told) }
  :: break
  od;
dead: atomic { told = 0; since = 0 }
}

proctype Pauser() {
  byte known = current, since;
#ifdef FLAGFIRST
  atomic { if :: warm[known] -> copy[known] = 1 :: else fi };
#endif
  atomic { pause = 1; since = t };
#ifndef NOREAD
  known = current;
#endif
#ifndef FLAGFIRST
  do
  :: atomic { warm[known] -> copy[known] = NEWER(copy[known], 1); break }
#ifndef NOREAD
  :: atomic { known != current -> known = current }
#endif
#ifdef NOWAIT
  :: atomic { !warm[known] -> break }
#endif
  :: t >= since + HOLD -> break
  od;
#endif
  done = 1;
  done = 0;
  pause = 2;
  known = current;
  atomic { if :: warm[known] -> copy[known] = NEWER(copy[known], 2) :: else fi };
}

init {
  atomic {
    warm[1] = 1;
    run Ticker(); run Flusher(); run Pauser(); run Worker(); run Feeder(2);
#if NF > 1
    run Feeder(3);
#endif
  }
}
