/* A worker claims a task up to AHEAD before it is due, and hands it out once it is due (ClaimAhead). For spin 6.5. Time is counted, for
   the rule is about it. Here t is the hot set's clock, and also real time: a worker measures spans, and knows the clock from answers alone.

   One version of one task, due at DUE, which waits in the hot set at first. What was claimed before a loss of data need not have been due
   then. So whatever says "this was not due when the data was lost, so that no worker has it" means: due more than AHEAD after that.

   Processes: Worker is claimer.ask and Delivery.dueAt (consumer/), claim.lua, and Consumer.registerNow after a loss. Flusher is a loss of data. Feeder is
   feeder.feedWhileRegistering, which feeds what no worker can have while workers register, and feeder.round after READY. Deleter is
   Scheduler.removeMembers with claimedBeforeLoss (delete.go). Ticker is the time, which waits for those who are to register within READY.
   Checked: a task is handed out neither early, nor while another worker has it under a living lease, nor after a Delete that returned nil;
   nor does a caller have it under a living lease when such a Delete returns.
   Left out: extensions, the reaper, confirms (lease.pml); several servers (servers.pml), whose clocks may differ by as much as Delete adds.
   Assumed: clocks run at one rate while a task waits for its time in a worker (the code adds a thousandth, and claims nothing ahead by a clock that is slower), and the hot set's is not set back then.
   Must fail: BYSENT (a worker counts from the moment when it sent the claim), READAFTER (it goes by a reading from after the answer), ATONCE (it hands out what it has claimed), EARLYFEED (the feeder takes what falls
   due after the loss for what no worker can have), BYSTART (Delete does), FARAHEAD (a worker claims further ahead than others know). */

#ifndef DUE
#define DUE   3
#endif
#ifndef AHEAD
#define AHEAD 1
#endif
#define LEASE 3
#define READY 2
#define END   (DUE + LEASE)
#ifndef NW
#define NW    2
#endif
#ifdef FARAHEAD
#define CLAIMS (AHEAD + 1)
#else
#define CLAIMS AHEAD
#endif
#ifdef EARLYFEED
#define FEDFROM 0
#else
#define FEDFROM AHEAD
#endif
#ifdef BYSTART
#define KNOWN 0
#else
#define KNOWN AHEAD
#endif

byte t = 0;
bool row = 1;                       /* MySQL */
bool waits = 1, tomb = 0, lost = 0; /* Redis */
byte start = 0;                     /* when the generation began */
bool has[3], reg[3];                /* a worker has claimed the task; and this generation knows of it */
byte ends[3];                       /* when that lease ends, as the worker counts it */
bool hand[3];                       /* a caller has it */
bool deleted = 0;                   /* Delete has returned nil */

#define HELD(w)    (hand[w] && t < ends[w])
#define MEMBER     (waits || reg[1] || reg[2])
#define TOCOME(w)  (lost && has[w] && !reg[w])

proctype Ticker() {
  do
  :: atomic { t < END && !(t == start + READY && (TOCOME(1) || TOCOME(2))) -> t++ }
  :: t == END -> break
  od
}

proctype Flusher() { atomic { waits = 0; tomb = 0; lost = 1; start = t; reg[1] = 0; reg[2] = 0 } }

proctype Worker(byte w) {
  byte us, at;
  at = t;                           /* when it sends the claim */
  if
  :: atomic { waits && DUE <= t + CLAIMS -> waits = 0; has[w] = 1; reg[w] = 1; ends[w] = at + LEASE; us = t }
  :: goto done
  fi;
#ifdef READAFTER
  at = t; us = t;
#else
  if :: us = t :: skip fi;          /* the clock is read once more when the claim is done, or that fails (hotset.runThenTime) */
#endif
  atomic {                          /* the answer comes; from now on at is when it hands the task out */
#if !defined(BYSENT) && !defined(READAFTER)
    at = t;
#endif
#ifdef ATONCE
    us = DUE;
#endif
    at = (DUE > us -> at + DUE - us : 0); us = 0 };
  do
  :: atomic { TOCOME(w) && !tomb && !MEMBER && row -> reg[w] = 1 }
  :: atomic { TOCOME(w) && (tomb || MEMBER || !row) -> break }          /* it is not its any more */
  :: atomic { t >= at && t < ends[w] && !hand[w] ->
       assert(t >= DUE); assert(!HELD(1) && !HELD(2)); assert(!deleted); hand[w] = 1 }
  :: atomic { t >= ends[w] -> break }
  od;
done: atomic { has[w] = 0; hand[w] = 0; reg[w] = 0; ends[w] = 0; at = 0; us = 0 }
}

proctype Feeder() {
  lost;
  do
  :: atomic { row && !tomb && !MEMBER && DUE > start + FEDFROM -> waits = 1 }
  :: atomic { t > start + READY && row && !tomb && !MEMBER -> waits = 1 }
  :: break
  od
}

proctype Deleter() {
  byte began = t;
  atomic { row = 0 };
  atomic { if :: reg[1] || reg[2] -> tomb = 1; goto claimed :: else -> waits = 0; tomb = 1 fi };
  atomic { if :: !lost || t > start + LEASE + t - began || DUE > start + KNOWN ->
      assert(!HELD(1) && !HELD(2)); deleted = 1 :: else fi };
claimed: atomic { began = 0 }
}

init {
  atomic {
    run Ticker(); run Flusher(); run Feeder(); run Deleter(); run Worker(1);
#if NW > 1
    run Worker(2);
#endif
  }
}
