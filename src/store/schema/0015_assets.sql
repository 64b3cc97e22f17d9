-- SPDX-License-Identifier: Apache-2.0
--
-- Static files of versions. A set is a manifest (asset/assets.h), named by its SHA-256 and shared by the
-- versions that have the same files; what it uses are artifacts.

ALTER TABLE version ADD COLUMN assets_hash TEXT NOT NULL DEFAULT ''; -- of its set, '' if none
CREATE INDEX version_assets_hash ON version (assets_hash) WHERE assets_hash <> '';

CREATE TABLE asset_set (
    hash TEXT PRIMARY KEY,
    manifest TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE asset_use (
    set_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (set_hash, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX asset_use_hash ON asset_use (hash);
-- What a namespace has uploaded: to know the hash of what another one has is not to have it.
CREATE TABLE asset_known (
    hash TEXT NOT NULL,
    space TEXT NOT NULL,
    PRIMARY KEY (hash, space)
) STRICT, WITHOUT ROWID;
