-- Deletes nothing, and reads no row: it waits only for locks of the whole table. 1205: there is one.
DELETE FROM `{ns}_task` WHERE 1 = 0
