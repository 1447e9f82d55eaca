-- All that is recorded: some values, and one for each partition. Index: PRIMARY, whole.
SELECT name, value FROM `{ns}_meta`
