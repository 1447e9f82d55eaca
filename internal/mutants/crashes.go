package main

// cells are the tests of docs/crashes.md.
const cells = "./internal/crash"

// crashes take away what a crash is recovered by; or, where nothing is to be
// recovered, the order of steps that leaves it so. Each test of a mutant, parted
// by |, must turn red.
var crashes = []mutant{
	// What finds it.
	{"dead-role-is-held", "no process takes a dead process' roles over", "internal/agent/elector.go",
		"term = 2800 * time.Millisecond", "term = 10 * time.Minute", cells,
		"TestAFeederKilledBeforeItRaisesTheHorizonIsReplaced|TestTheFirstFeederKilledBeforeItMakesTheWindowEffectiveIsReplaced|" +
			"TestAFeederKilledBeforeItsGenerationIsCurrentIsReplaced|TestAFeederKilledBeforeItBeginsTheCurrentGenerationIsReplaced|" +
			"TestAFeederKilledBeforeItAnnouncesIsReplaced|TestAFeederKilledBeforeItMakesCurrentWhatItAnnouncedIsReplaced|" +
			"TestTheFirstFeederKilledBeforeItBeginsIsReplaced|TestAReaperKilledBeforeItReadsRowsIsReplaced|" +
			"TestAReaperKilledBeforeItDropsWhatHasNoRowIsReplaced|TestAReaperKilledBetweenRemoveAndRequeueIsReplaced|" +
			"TestAnAuditorKilledBeforeItAsksIsReplaced|TestAnAuditorKilledBetweenFindAndAddIsReplaced|" +
			"TestADrainKilledBeforeItResignsHoldsItsRolesForATerm"},
	{"dead-batch-is-kept", "no process reaps", "internal/agent/reaper.go",
		"		r.reap(ctx, p)\n", "		_ = p\n", cells,
		"TestAClaimerKilledAfterItClaimedLosesItsLease|TestAClaimerKilledAfterItHandedOutLosesItsLease|" +
			"TestAClaimerKilledBeforeItReadsPayloadsLosesItsLease|" +
			"TestAClaimerKilledBeforeItDropsAMemberWithoutARowLeavesItToTheReaper|TestAConfirmKilledBeforeItsRowIsRedelivered|" +
			"TestAConfirmKilledBetweenRowAndForgetIsNotRedelivered|TestARollbackKilledBeforeItsReleaseLosesItsLease|" +
			"TestAPostponementKilledBeforeItsMoveLosesItsLease|TestADrainKilledBeforeTheQueueGoesBackLosesItsLeases|" +
			"TestADrainKilledWhileItWaitsLosesOnlyWhatIsInHand|TestADrainKilledBeforeTheRestGoesBackLosesOnlyWhatIsInHand|" +
			"TestAHolderKilledAfterItRegisteredLosesItsLease|TestAKeeperKilledBeforeItExtendsLosesItsLease|" +
			"TestAKeeperKilledAfterItExtendedLosesItsLease|TestAQueueKilledBeforeItGoesBackLosesItsLeases"},
	{"audit-is-blind", "no process finds a row that the feeder has read past", "internal/agent/auditor.go",
		"if f.Outcome == task.FindAbsent || f.Outcome == task.FindOrphan {", "if f.Outcome == 99 {", cells,
		"TestACreatorKilledBetweenCommitAndAddLeavesARowToTheAuditor|TestACreatorKilledWhileItsAddLingersLeavesARowToTheAuditor|TestARequeuerKilledBetweenCommitAndAddLeavesARowToTheAuditor|TestAReschedulerKilledBetweenMoveAndRemoveMayFireAtBothTimes|" +
			"TestAReschedulerKilledBetweenRemoveAndAddFiresAtTheNewTime|TestAMoverOfManyKilledBetweenRemoveAndAddFiresAtTheNewTime"},
	{"feeder-is-blind", "no feeder reads the rows ahead", "internal/agent/feeder.go",
		"f.o.Store.Scan(ctx, at, below, pageRows, f.o.InlinePayload)", "f.o.Store.Scan(ctx, task.Cursor{NextMS: max(at.NextMS, below)}, below, pageRows, f.o.InlinePayload)", cells,
		"TestACreatorKilledBetweenCommitAndAddLeavesAFarRowToTheFeeder|TestAPostponementKilledBetweenRemoveAndAddIsFed"},

	// The feeder.
	{"always-the-first", "each process takes the first generation that it begins for the namespace's first", "internal/horizon/window.go",
		"	if w.began == nil {\n		return false\n", "	if w.began == nil {\n		w.first, w.began = time.Now(), map[int]int64{}\n", cells,
		"TestTheFirstFeederKilledBeforeItBeginsIsReplaced"},
	{"what-counts-is-begun", "a current generation on this server is begun once more under its number", "internal/agent/takeover.go",
		"		failpoint.Hit(\"generation/record\")\n", "		if s.Current.On(server) && s.Current.Generation != 0 {\n			return s.Current.Generation, 0, nil\n		}\n		failpoint.Hit(\"generation/record\")\n", cells,
		"TestAFeederKilledBeforeItBeginsTheCurrentGenerationIsReplaced"},
	{"round-is-presumed", "a feeder presumes that the one before it had read up to its horizon", "hotset/lua/horizon.lua",
		"return {'OK', now, gen, start, horizon, loaded_ms, loaded_id, members, count, 0, run}",
		"return {'OK', now, gen, start, horizon, horizon, '', members, count, 0, run}", cells,
		"TestAFeederKilledBetweenHorizonAndSelectIsFollowedFromLoaded|TestAFeederKilledBetweenSelectAndAddHasMovedNothing|" +
			"TestAFeederKilledBeforeItFeedsEarlyIsFollowedInTurn|TestAFeederKilledBetweenEarlySelectAndAddIsFollowedInTurn|" +
			"TestAHolderKilledBeforeItReadsWhatToRegisterIsForgotten|TestAHolderKilledBeforeItRegistersIsForgotten"},
	{"page-ends-its-millisecond", "loaded skips the rest of a page's last millisecond", "hotset/lua/feed.lua",
		"'loaded_id', to_id)", "'loaded_id', string.char(255))", cells, "TestAFeederKilledBetweenTwoPagesIsFollowedFromThere"},
	{"scan-from-the-first", "a scan begins where the first partition stands", "internal/agent/feeder.go",
		"if len(unfinished) == 0 || s.loaded.Less(at) {", "if len(unfinished) == 0 {", cells, "TestAFeederKilledBetweenTwoPartitionsLosesNeither"},
	{"loaded-apart", "a page goes in without loaded", "hotset/lua/feed.lua",
		"if to_ms >= loaded_ms then", "if to_ms < 0 then", cells, "TestAFeederKilledAfterItsAddHasLoaded"},
	{"members-fed-again", "what is a member is taken in again", "hotset/lua/prelude.lua",
		"    elseif stored[i] then answers[i] = PRESENT\n", "", cells,
		"TestWhatADeadFeederFedEarlyIsNotFedTwice|TestAHolderKilledAfterItRegisteredLosesItsLease"},

	// Creators, deleters, reschedulers.
	{"add-before-commit", "RowFirst: a creator adds before its row stands", "create.go",
		"	failpoint.Hit(\"create/commit\")\n", "	s.adds.Add(parts)\n	failpoint.Hit(\"create/commit\")\n", cells,
		"TestACreatorKilledBeforeItsCommitLeavesNothing"},
	{"create-without-add", "a creator leaves its task to the auditor", "create.go",
		"	failpoint.Hit(\"create/add\")\n	s.adds.Add(parts) // what lingers is added in the background, and an add that fails is retried there\n", "	_ = parts\n", cells, "TestACreatorKilledAfterItsAddHasCreated"},
	{"linger-without-add", "what lingers is left to the auditor", "internal/preload/linger.go",
		"	results = a.addAll(p, all)\n", "	results = make([]coalesce.Result[struct{}], len(all))\n", cells, "TestACreatorKilledAfterALingeringAddHasCreated"},
	{"remove-before-row", "RowFirst: a deleter removes the member before its row is gone", "delete.go",
		"	failpoint.Hit(\"delete/row\")\n", "	gone, _ := d.s.store.Get(ctx, ids)\n	for _, r := range gone {\n		_, _ = d.s.set.Remove(ctx, task.Partition(r.ID, d.s.parts), \"\", []task.Ref{r.Ref})\n	}\n	failpoint.Hit(\"delete/row\")\n",
		cells, "TestADeleterKilledBeforeItsRowHasDeletedNothing"},
	{"gone-is-delivered", "a member whose row is gone is handed out though its row was asked for", "consumer/accept.go",
		"			gone = append(gone, u.d.own)\n			c.leaveBatch(u.d)\n", "			gone = append(gone, u.d.own)\n			whole = append(whole, u.d)\n", cells,
		"TestADeleterKilledBetweenRowAndRemoveLeavesAtMostOneDelivery"},
	{"retry-unread", "what is offered again needs no row", "consumer/accept.go",
		"		case cl.Attempt > 0:\n", "		case false:\n", cells,
		"TestADeleterKilledBetweenRowAndRemoveLeavesNothingToRetry"},
	{"gone-is-kept", "a confirm that finds no row leaves the member", "consumer/confirm.go",
		"		s.removeMembers(ds, refs, deleted) // what fails is retried in the background\n", "		for i := range ds {\n			if deleted[i] {\n				s.removeMembers(ds[i:i+1], refs[i:i+1], deleted[i:i+1])\n			}\n		}\n", cells,
		"TestADeleterKilledBetweenRowAndRemoveLeavesAtMostOneDelivery|TestADeleterKilledBetweenTwoPartitionsLeavesOne"},
	{"delete-without-remove", "a deleter leaves the member", "delete.go",
		"removed, err := s.set.Remove(ctx, p, \"\", refs)", "removed := task.RemoveResult{Outcomes: make([]task.RemoveOutcome, len(refs))}", cells,
		"TestADeleterKilledAfterItsRemoveLeavesNothing"},
	{"delete-one-version", "promise 4: a deleter removes the row's version alone", "delete.go",
		"	refs := task.Versions(rows)\n", "	refs := make([]task.Ref, len(rows))\n	for i, r := range rows {\n		refs[i] = r.Ref\n	}\n", cells,
		"TestWhatADeadReschedulerLeftIsDeleted|TestWhatADeadReschedulerLeftIsDeletedAfterItDiedTwice|" +
			"TestWhatADeadPostponementLeftIsDeleted|TestAPostponementKilledBeforeItSweepsLosesItsLease"},
	{"move-unswept", "promise 4: a rescheduler moves the row on while its previous version may be a member", "reschedule.go",
		"if prev, is := old.Prev(); is {", "if prev, is := old.Prev(); is && false {", cells, "TestAReschedulerSweepsBeforeItMovesOn"},
	{"postponed-unswept", "promise 4: a rollback beyond the horizon moves the row on while its previous version may be a member", "consumer/postpone.go",
		"	if !is {\n		return nil\n	}\n	_, err = p.c.set.Remove", "	if !is || true {\n		return nil\n	}\n	_, err = p.c.set.Remove", cells,
		"TestAPostponementSweepsBeforeItMovesOn"},
	{"remove-before-move", "RowFirst: a rescheduler removes the member before its row is moved", "reschedule.go",
		"	failpoint.Hit(\"reschedule/move\")\n", "	_ = s.removeRefs(ctx, []task.Ref{old.Ref})\n	failpoint.Hit(\"reschedule/move\")\n", cells,
		"TestAReschedulerKilledBeforeItsMoveHasMovedNothing"},
	{"where-moves-before-its-point", "RescheduleWhere moves rows before its point", "where.go",
		"	failpoint.Hit(\"reschedule/many\")\n", "	_, _ = s.store.MoveMany(ctx, moves)\n	failpoint.Hit(\"reschedule/many\")\n", cells, "TestAMoverOfManyKilledBeforeItsMoveHasMovedNothing"},
	{"move-without-add", "a rescheduler leaves the new version to the auditor", "reschedule.go",
		"	s.adds.Add(parts)\n", "	_ = parts\n", cells, "TestAReschedulerKilledAfterItsAddHasRescheduled"},

	// Claims and answers.
	{"claim-counts", "a claim counts as an attempt", "consumer/delivery.go",
		"failedAttempts+1, payload", "failedAttempts+2, payload", cells, "TestAClaimerKilledBeforeItClaimsHasTakenNothing"},
	{"forget-before-row", "RowFirst: a confirm removes the member before its row is gone", "consumer/confirm.go",
		"	failpoint.Hit(\"confirm/row\")\n", "	s.removeMembers(ds, refs, make([]bool, len(refs)))\n	failpoint.Hit(\"confirm/row\")\n", cells,
		"TestAConfirmKilledBeforeItsRowIsRedelivered"},
	{"confirm-without-forget", "a confirm leaves the member", "consumer/confirm.go",
		"s.c.set.RemoveHeld(ctx, p, held)", "s.c.set.RemoveHeld(ctx, p, held[:0])", cells,
		"TestAConfirmKilledAfterItsForgetLeavesNothing"},
	{"claim-drops-nothing", "what has no row stays in its batch until the lease is over", "consumer/accept.go",
		"_, err := c.set.Remove(ctx, b.p, b.token, gone)", "_, err := c.set.Clock(ctx, b.p)", cells,
		"TestAClaimerKilledAfterItDroppedAMemberWithoutARowLeavesNothing"},
	{"rollback-uncounted", "a rollback counts no attempt", "consumer/rollback.go",
		"sharedRelease{d.batch.token, back.delay, back.counted}", "sharedRelease{d.batch.token, back.delay, false}", cells, "TestARollbackKilledAfterItsReleaseKeepsDelayAndAttempt"},
	{"rollback-undelayed", "a rollback forgets its delay", "consumer/rollback.go",
		"sharedRelease{d.batch.token, back.delay, back.counted}", "sharedRelease{d.batch.token, 0, back.counted}", cells, "TestARollbackKilledAfterItsReleaseKeepsDelayAndAttempt"},
	{"postponed-uncounted", "a rollback beyond the horizon counts no attempt", "consumer/postpone.go",
		"Attempt: back.attempts(d)}}", "Attempt: d.failedAttempts}}", cells,
		"TestAPostponementKilledBetweenMoveAndRemoveKeepsItsDelay|TestAPostponementKilledBetweenRemoveAndAddIsFed|" +
			"TestAPostponementKilledAfterItsAddKeepsDelayAndAttempt"},

	// The reaper and the auditor.
	{"reap-uncounted", "a lost lease counts no attempt", "internal/agent/reaper.go",
		"Counted: true, Expired: true", "Expired: true", cells,
		"TestAClaimerKilledAfterItClaimedLosesItsLease|TestAReaperKilledAfterItsRequeueHasCountedOnce"},
	{"reap-drops-nothing", "what has no row stays in its batch", "internal/agent/reaper.go",
		"			if _, err := r.o.Set.Remove(ctx, p, token, gone); err != nil {", "			if _, err := r.o.Set.Clock(ctx, p); err != nil && token != \"\" {", cells,
		"TestAClaimerKilledBeforeItDropsAMemberWithoutARowLeavesItToTheReaper|TestAConfirmKilledBetweenRowAndForgetIsNotRedelivered|" +
			"TestAReaperKilledBeforeItDropsWhatHasNoRowIsReplaced"},
	{"reap-without-rows", "ReapStanding: the reaper gives back what has no row", "internal/agent/reaper.go",
		"		if exists[ref] {", "		if true {", cells, "TestAConfirmKilledBetweenRowAndForgetIsNotRedelivered"},
	{"reap-any-version", "the reaper takes any version's row for the member's", "internal/agent/reaper.go",
		"		exists[ref] = true\n", "		for _, b := range b.Refs {\n			exists[b] = exists[b] || b.ID == ref.ID\n		}\n", cells,
		"TestAPostponementKilledBetweenMoveAndRemoveKeepsItsDelay"},
	{"audit-orphans-only", "the auditor passes over what left no record", "internal/agent/auditor.go",
		"if f.Outcome == task.FindAbsent || f.Outcome == task.FindOrphan {", "if f.Outcome == task.FindOrphan {", cells,
		"TestAnAuditorKilledBetweenFindAndAddIsReplaced"},
	{"audit-adds-nothing", "the auditor does not add what it found", "internal/agent/auditor.go",
		"n, err = a.o.Adder.AddRows(ctx, p, asOf, existing)", "n, err = a.o.Adder.AddRows(ctx, p, asOf, existing[:0])", cells,
		"TestAnAuditorKilledAfterItsAddHasAdded"},

	// The queue, and the drain.
	{"return-counts", "what has waited too long counts as an attempt", "consumer/claimer.go",
		"c.giveBack(context.WithoutCancel(ctx), b, ds, task.ReleaseRequest{AtNext: true})", "c.giveBack(context.WithoutCancel(ctx), b, ds, task.ReleaseRequest{AtNext: true, Counted: true})", cells,
		"TestAQueueKilledAfterItWentBackLosesOnlyWhatIsLeft"},
	{"drain-keeps-the-queue", "a drain waits with the queue in its hands", "consumer/consumer.go",
		"c.returnClaims(ctx, func(d *Delivery) bool { return d.life == claimed && d.settlement.is(unsettled) })", "c.returnClaims(ctx, func(*Delivery) bool { return false })", cells,
		"TestADrainKilledWhileItWaitsLosesOnlyWhatIsInHand"},
	{"drain-counts", "what a drain gives back counts as an attempt", "consumer/consumer.go",
		"c.giveBack(ctx, b, ds, task.ReleaseRequest{AtNext: true})", "c.giveBack(ctx, b, ds, task.ReleaseRequest{AtNext: true, Counted: true})", cells,
		"TestADrainKilledBeforeItResignsHoldsItsRolesForATerm|TestADrainKilledAfterItResignedHoldsNothing"},
	{"drain-without-resigning", "a drain keeps its roles", "internal/agent/elector.go",
		"e.o.Set.Elect(ctx, e.o.Name, 0, roles...)", "e.o.Set.Elect(ctx, e.o.Name, term, roles...)", cells,
		"TestADrainKilledAfterItResignedHoldsNothing"},
}
