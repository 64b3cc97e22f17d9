-- SPDX-License-Identifier: Apache-2.0
--
-- Keys of KV namespaces. A value above STORE_KV_INLINE_BYTES is a file, named by the SHA-256 of its content.
-- What has expired is not there for any reader, and is removed later.

CREATE TABLE kv (
    id INTEGER PRIMARY KEY,
    resource_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL, -- another one for each value that it had, growing
    expires_s INTEGER,        -- since 1970, NULL: never
    bytes INTEGER NOT NULL,   -- of the value
    metadata TEXT NOT NULL,   -- JSON, '' if none
    token TEXT NOT NULL,      -- who has written it, so that a repeated write is seen as one; '' if nobody repeats
    file TEXT NOT NULL,       -- hash, '' if it is inline
    value BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX kv_key ON kv (resource_id, key);
CREATE INDEX kv_expires ON kv (expires_s) WHERE expires_s IS NOT NULL;
CREATE INDEX kv_file ON kv (file) WHERE file <> '';
