-- Inserts tasks, and gives new headers and payloads to those whose ids exist. Index: id, by which the server finds a duplicate.
-- The server sets from left to right. A row is changed if it has others, which no row has that an earlier try has stored, and if its previous
-- version is one of {vers}; then prev_ver is ver for a moment, and afterwards ver is the new one, which the other columns go by.
INSERT INTO `{ns}_task` (next_ms, id, due_ms, ver, attempt, created_ms, headers, payload, expires_ms) VALUES {rows}
ON DUPLICATE KEY UPDATE prev_ver = IF(prev_ver IN ({vers}) AND NOT (headers <=> VALUES(headers) AND payload <=> VALUES(payload)), ver, prev_ver), ver = IF(prev_ver = ver, VALUES(ver), ver),
  headers = IF(ver = VALUES(ver), VALUES(headers), headers), payload = IF(ver = VALUES(ver), VALUES(payload), payload)
