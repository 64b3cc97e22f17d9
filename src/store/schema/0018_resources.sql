-- SPDX-License-Identifier: Apache-2.0
--
-- Resources of namespaces (base/resource_kind.h). What one holds hangs on its number, which is not used
-- again: what is left of a deleted one can be removed later, in small steps, and is never taken for that
-- of a new one with its name. items, bytes: what it holds, as of the last commit.

CREATE TABLE resource (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace_id INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    owner INTEGER NOT NULL DEFAULT 0, -- function whose own it is and with which it goes, 0: none
    settings TEXT NOT NULL, -- JSON object, '' if none
    items INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    created_us INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX resource_name ON resource (namespace_id, kind, name);
CREATE INDEX resource_of_kind ON resource (kind);
CREATE INDEX resource_owner ON resource (owner) WHERE owner > 0;

-- What versions are bound to. A version stays bound to what it was bound to when it was deployed, also
-- when that has been deleted and there is another of its name.
CREATE TABLE resource_use (
    function_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    resource_id INTEGER NOT NULL,
    PRIMARY KEY (function_id, version, kind, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX resource_use_of ON resource_use (resource_id);

-- Work left for the writer's idle moments: what these held is to be removed.
CREATE TABLE resource_deleted (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL
) STRICT;
