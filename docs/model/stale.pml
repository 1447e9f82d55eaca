/* A durable store that is a group of servers (rule FreshRead). One version of one task. The group orders what is committed: first
   that the row is made, then that it is deleted. A member has applied some of that; one may be expelled, does not know it, and
   gets nothing more. Each call reaches any member, whatever it is.

   A statement that changes a row is certified: it commits if its member is in the group, and nothing that was ordered before
   has changed the row. A read that waits (group_replication_consistency BEFORE) is given a place in the order, which only a member
   of the group is, and reads once its member has applied what lies before it. A DELETE that meets no row changes nothing, so it is
   not certified: the call asks with a read that waits, and tries again if the row is there.

   Processes: Creator is Create. Worker is a claim and settler.deleteRows. Deleter is DeleteByID and Delete. Reader is the feeder and the
   auditor (they add a row that stands), and the reaper (it removes a member whose row is gone). Applier is a member; Expeller
   ends a membership. Forgetter lets a tombstone go: not while a creator or reader still goes by what it knows from before the removal (AsOfBeforeRead).
   Checked: what a Delete or a Confirm that returned nil has removed is not claimed again; only of a row that is deleted is it said that it is
   gone, and only its member is removed.
   Left out: leases, generations, and that answers are lost (hotset.pml, lease.pml).
   Must fail: ABSENTOLD (a DELETE that meets no row says that it is gone), READOLD (reads do not wait). */

#ifndef ROUNDS
#define ROUNDS 1
#endif

byte n = 0;                                  /* 1: the group has ordered that the row is made; 2: that it is deleted */
byte applied[2];                             /* how much of that a member has applied */
bool out = 0;                                /* member 1 is not in the group any more */
byte hot = 0;                                /* the member of the hot set: 0 absent, 1 waits, 2 is claimed */
bool tomb = 0, told = 0, made = 0;           /* its tombstone; a removal has returned nil; Create has */
bool before = 0;                             /* the reader knows what it knows from before the removal */

#define IN(m)  (m == 0 || !out)
#define ROW(m) (applied[m] == 1)

inline remove() { hot = 0; tomb = 1; before = 1 }

inline any(m) { if :: m = 0 :: m = 1 fi }

/* seen: whether the row stands; ill: the member cannot tell */
inline ask(m, upto, seen, ill) {
	ill = 0;
#ifdef READOLD
	seen = ROW(m)
#else
	atomic {
		if
		:: IN(m) -> upto = n
		:: !IN(m) -> ill = 1
		fi
	}
	if
	:: ill -> seen = 0
	:: !ill ->
		if
		:: atomic { applied[m] >= upto -> seen = ROW(m) }
		:: atomic { !IN(m) && applied[m] < upto -> ill = 1; seen = 0 }
		fi
	fi
#endif
}

/* ok: this call has deleted the row; gone: it says that there was none; else it is to be tried again */
inline erase(m, upto, seen, ill, ok, gone) {
	ok = 0; gone = 0;
	if
	:: atomic { ROW(m) ->
		if
		:: IN(m) && n == 1 -> n = 2; ok = 1
		:: else
		fi }
	:: atomic { !ROW(m) -> seen = 0; ill = 0 };
#ifndef ABSENTOLD
		ask(m, upto, seen, ill);
#endif
		gone = !seen && !ill
	fi
}

active proctype Creator() {
	atomic { n = 1 };
	atomic {
		if
		:: !tomb && hot == 0 -> hot = 1
		:: else
		fi;
		made = 1
	}
}

active proctype Worker() {
	byte m, upto;
	bool seen, ill, ok, gone;
end:	do
	:: atomic { hot == 1 -> assert(!told); hot = 2 };
		ok = 0; gone = 0;
		do
		:: ok || gone -> break
		:: !ok && !gone -> any(m); erase(m, upto, seen, ill, ok, gone)
		:: !ok && !gone -> break              /* a worker that dies */
		od;
		assert(!gone || n == 2);
		atomic {
			if
			:: ok || gone -> remove(); told = told || ok
			:: else
			fi
		}
	od
}

active proctype Deleter() {
	byte m, upto;
	bool seen, ill, ok, gone;
	made;
	do
	:: any(m); ask(m, upto, seen, ill);
		if
		:: ill
		:: !ill && !seen -> gone = 1; break
		:: !ill && seen -> erase(m, upto, seen, ill, ok, gone);
			if
			:: ok || gone -> break
			:: else
			fi
		fi
	od;
	assert(!gone || n == 2);
	atomic {
		if
		:: ok -> remove(); told = 1
		:: else
		fi
	}
}

active proctype Reader() {
	byte m, upto, i, had;
	bool seen, ill;
	do
	:: i < ROUNDS ->
		i++;
		atomic { before = 0; had = hot };
		any(m); ask(m, upto, seen, ill);
		atomic {
			if
			:: ill
			:: !ill && seen && had == 2 && hot == 2 -> hot = 1    /* its lease is over */
			:: !ill && seen && hot == 0 && !tomb -> hot = 1
			:: !ill && !seen && had == 2 -> assert(n != 1); remove()
			:: else
			fi
		}
	:: i == ROUNDS -> break
	od;
	before = 0
}

active [2] proctype Applier() {
end:	do
	:: atomic { IN(_pid - 4) && applied[_pid - 4] < n -> applied[_pid - 4]++ }
	od
}

active proctype Expeller() {
	if
	:: out = 1
	:: skip
	fi
}

active proctype Forgetter() {
end:	do
	:: atomic { tomb && made && !before -> tomb = 0 }
	od
}
