package main

// edgesE are about what Redis may refuse, how much of it an answer may hold, and how long
// it may take.
var edgesE = []mutant{
	// Rights, and clients that cannot do.
	{"right-not-tried", "a right that is missing is not told at the start", "hotset/lua/check.lua",
		"try('ZREMRANGEBYRANK', scratch, 0, 0)\n", "", "./hotset", "TestTheCheckTriesEveryCommandThatScriptsUse|TestTheCheckNamesWhatIsMissing"},
	{"check-leaves-key", "a check leaves its key behind", "hotset/lua/check.lua",
		"local may_remove = #failed == failed_before\n", "local may_remove = true\n", "./hotset", "TestTheCheckNamesWhatIsMissing"},
	{"check-refuses-full", "a full server is refused at the start", "hotset/check.go",
		"case kind == task.ErrTooLarge || ", "case ", "./hotset", "TestWhatACheckFindsIsJudged"},
	{"run-without-check", "Run works though a right is missing", "scheduler.go",
		"err = s.set.Check(ctx, p)", "_, err = s.set.State(ctx, p)", ".", "TestRunNamesWhatRedisRefuses"},
	{"deaf", "a subscription that hears nothing is good enough", "hotset/check.go",
		"if subscribed && err == nil {", "if subscribed && err == nil && false {", "./hotset", "TestACheckThatHearsNothingIsNoCheck"},
	{"info-denied-in-silence", "a server that may not be known is cold for ever, in silence", "hotset/lua/prelude.lua",
		"then redis.call('INFO', section) end", "then text = '' end", "./hotset", "TestRightsThatAreRevokedAreRefused"},
	{"watch-refused-in-silence", "a subscription that is refused is tried for ever, in silence", "hotset/watch.go",
		"(errors.Is(err, task.ErrRefused) || ", "(", "./hotset", "TestTheCheckNamesWhatIsMissing/redis7"},
	{"plain-on-cluster", "a client of one server is taken on the node of a cluster that holds the slot", "hotset/check.go",
		"if r.single && clustered", "if false && clustered", "./hotset", "TestTheSetWorksOnACluster/a_client_of_one_server_is_refused"},
	{"ring-taken", "a Ring is taken", "hotset/client.go",
		"if holds[*redis.Ring](rdb) {", "if false {", "./hotset", "TestNewRedisRefusesBadOptions"},
	{"replicas-taken", "a client that reads from replicas is taken", "hotset/client.go",
		"o.ReadOnly || o.RouteByLatency || o.RouteRandomly {", "false {", "./hotset", "TestNewRedisRefusesBadOptions"},

	// The pool's limit.
	{"pool-exhausted", "a pool that is exhausted is an error of no kind", "hotset/kinds.go",
		" || errors.Is(err, redis.ErrPoolExhausted)", "", "./hotset", "TestServerErrorsHaveTheirSentinels"},
	{"gate-open", "more calls are under way than there are connections", "hotset/gate.go",
		"	if g.free > 0 {\n", "	if true {\n", "./hotset", "TestAGateLetsNoMoreIn"},
	{"keeper-in-line", "a keeper waits behind creators", "hotset/gate.go",
		"	if urgent {\n", "	if false {\n", "./hotset", "TestAGateLetsTheUrgentGoFirst"},
	{"place-lost", "a place is lost that was given to a call as it left", "hotset/gate.go",
		"	g.next()\n}\n\n// leave", "}\n\n// leave", "./hotset", "TestATurnThatIsNotTakenIsPassedOn"},

	// The bytes of a claim.
	{"claim-unbounded", "a claim's answer is of any size", "hotset/lua/claim.lua",
		"if longest and (longest + 20) * #members <= room then", "if longest then", "./hotset", "TestAClaimLeavesOutPayloadsThatDoNotFit"},
	{"longest-forgotten", "a claim does not know how long records may be", "hotset/lua/prelude.lua",
		"  raise_longest(length)\n", "", "./hotset", "TestAClaimLeavesOutPayloadsThatDoNotFit"},
	{"repeat-as-large", "a claim whose answer was too large asks for as much again", "hotset/lua/claim.lua",
		"redis.call('SMEMBERS', batch), 0, 1", "redis.call('SMEMBERS', batch), room, 1", "./hotset", "TestAClaimLeavesOutPayloadsThatDoNotFit"},
	{"claims-as-large", "claims after a lost answer are as large", "hotset/claim.go",
		"r.ease(p)\n	}", "\n	}", "./hotset", "TestLostAnswersMakeClaimsSmaller"},

	// A partition that hangs.
	{"hang-waited-out", "calls to a partition that begins to hang wait for its client", "internal/breaker/breaker.go",
		"		c.end(errOpened)\n", "		_ = c\n", ".", "TestACallToAHungPartitionHasABound"},
	{"slow-is-dead", "a call that is slow is cut off", "internal/breaker/breaker.go",
		"	b.suspect(p)\n	b.mu.Lock()\n", "	c.end(errOpened)\n	b.mu.Lock()\n", ".", "TestASlowCallIsNotCutOff"},
	{"short-deadlines-tell-nothing", "callers with short deadlines never find out that a partition hangs", "internal/breaker/breaker.go",
		"	b.suspect(p) // the caller", "	// the caller", ".", "TestCallersWithShortDeadlinesOpenTheBreaker"},
	{"extension-fails-at-once", "an extension does not wait for its partition", "internal/breaker/set.go",
		"	if err := b.await(ctx, p); err != nil {\n		return task.ExtendResult{}, err\n	}\n", "", ".", "TestLeasesAreExtendedAsSoonAsAPartitionAnswers"},
	{"find-unguarded", "a Get asks a partition that hangs", "internal/breaker/set.go",
		"return ask(ctx, b, p, scanTimeout, func(ctx context.Context) ([]task.FindResult, error) { return b.set.Find(ctx, p, refs) })", "return b.set.Find(ctx, p, refs)",
		".", "TestACallToAHungPartitionHasABound"},
}
