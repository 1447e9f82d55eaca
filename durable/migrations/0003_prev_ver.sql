-- The version that a row had before it was moved, 0 if none: who moved it may have died before it removed that from the hot set.
ALTER TABLE `{ns}_task` ADD COLUMN prev_ver BIGINT NOT NULL DEFAULT 0
