-- SPDX-License-Identifier: Apache-2.0
--
-- Objects of buckets. Content of at most STORE_OBJECT_INLINE_BYTES is in the row, other is files named by the
-- SHA-256 of their content, one after the other: one of a put, one a part of a multipart upload. Texts of
-- metadata are JSON that only src/bucket looks into.

CREATE TABLE object (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- another one for each content
    resource_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    size INTEGER NOT NULL,
    uploaded_us INTEGER NOT NULL,
    etag TEXT NOT NULL,
    metadata TEXT NOT NULL,
    value BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX object_key ON object (resource_id, key);

CREATE TABLE object_file (
    object_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (object_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX object_file_hash ON object_file (hash);

CREATE TABLE upload (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    resource_id INTEGER NOT NULL,
    name TEXT NOT NULL UNIQUE, -- what callers know it by
    key TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created_us INTEGER NOT NULL
) STRICT;
CREATE INDEX upload_of ON upload (resource_id, key);
CREATE INDEX upload_created ON upload (created_us);

CREATE TABLE upload_part (
    upload_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    etag TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (upload_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX upload_part_hash ON upload_part (hash);
