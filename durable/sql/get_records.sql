-- All records: a few, and one for each partition. Index: PRIMARY, whole.
SELECT name, value FROM `{ns}_meta`
