package main

// breadthForecast are of Forecast, and of what it asks of both stores.
var breadthForecast = []mutant{
	{"forecast-counts-twice", "rows that the hot set has loaded are counted there as well", "forecast.go",
		"s.store.CountBefore(ctx, line, times[from:]", "s.store.CountBefore(ctx, 0, times[from:]", ".", "TestForecastCountsEachTaskOnce"},
	{"forecast-trusts-a-fallen-set", "a partition that lost rows is counted as if it had them", "forecast.go",
		"if c.Loaded.NextMS < line {", "if c.Loaded.NextMS < 0 {", ".", "TestForecastIsMadeAnewWhereTheHotSetFell"},
	{"forecast-gives-up", "a partition that became cold fails the forecast", "forecast.go",
		"!errors.Is(err, errLineFell) && !errors.Is(err, task.ErrCold)", "!errors.Is(err, errLineFell)", ".", "TestForecastIsMadeAnewWhereTheHotSetFell"},
	{"forecast-unmarked", "an estimate is not marked", "forecast.go",
		"Estimated: !counts[i].Exact", "Estimated: counts[i].N < 0", ".", "TestForecastIsAnEstimateOnlyBeyondTheHotSet"},
	{"waiting-counts-the-last", "a member at the time itself is counted", "hotset/lua/waiting.lua",
		"'(' .. ARGV[i]", "ARGV[i]", "./hotset", "TestSet/redis7/p1/WaitingCountsUpToEachTime"},
	{"waiting-other-server", "members of another server are counted", "hotset/lua/waiting.lua",
		"if not gen or server() ~= origin then", "if not gen then", "./hotset", "TestWaitingOfAnotherServerIsCold"},
	{"estimate-of-half", "no range has more rows than half of the table", "durable/countbefore.go",
		"if n < c.total*nearHalf/100 {", "if n >= 0 {", "./durable", "TestEstimatesOfRanges/mysql97"},
	{"forecast-times-alike", "all times have one label", "metrics/metrics.go",
		"text = text[:len(text)-len(zero)+1]", "text = \"1m\"", "./metrics", "TestForecastHasALabelForEachTime"},
	{"estimate-by-force", "the index is forced, so MySQL does not look into it", "durable/sql/estimate_range.sql",
		"`{ns}_task` WHERE", "`{ns}_task` FORCE INDEX (PRIMARY) WHERE", "./durable", "TestEstimatesOfRanges/mysql97"},
}
