package main

// houseDesign are of what docs/design.md says of the rules and counts.
var houseDesign = []mutant{
	{"feed-any-generation", "FencedScan: a page of another generation is judged by its age alone", "hotset/lua/feed.lua",
		"if tonumber(ARGV[2]) ~= gen or tonumber(ARGV[4])", "if tonumber(ARGV[4])", "./hotset", "TestSet/redis7/p1/AnOlderFeederIsRefused"},
}
