-- SPDX-License-Identifier: Apache-2.0
--
-- Functions and what hangs on them. Times are microseconds since 1970; status, kind and level are the
-- numbers of the enums in store.h, which therefore never change their values.
--
-- Rows hang on function.id, never on the name: the number is not used again after a delete, so the
-- executions and log lines of a deleted function can be removed later, in small steps, without ever
-- being taken for those of a new function with the old name.

CREATE TABLE function (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    kind INTEGER NOT NULL,
    version INTEGER NOT NULL DEFAULT 0,             -- serving, 0: none yet
    version_last INTEGER NOT NULL DEFAULT 0,        -- counts up
    build_last INTEGER NOT NULL DEFAULT 0,          -- counts up
    executions_finished INTEGER NOT NULL DEFAULT 0, -- rows in execution that may be trimmed
    log_lines INTEGER NOT NULL DEFAULT 0,           -- rows in log
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL
) STRICT;

CREATE TABLE version (
    function_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hash TEXT NOT NULL,
    source_map_hash TEXT NOT NULL,
    exports INTEGER NOT NULL,
    is_setup_done INTEGER NOT NULL DEFAULT 0,
    options TEXT NOT NULL, -- JSON, only what differs from the defaults
    created_us INTEGER NOT NULL,
    PRIMARY KEY (function_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX version_hash ON version (hash);
CREATE INDEX version_source_map_hash ON version (source_map_hash);

CREATE TABLE build (
    function_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    status INTEGER NOT NULL,
    version INTEGER NOT NULL DEFAULT 0,
    created_us INTEGER NOT NULL,
    started_us INTEGER NOT NULL DEFAULT 0,
    finished_us INTEGER NOT NULL DEFAULT 0,
    error_message TEXT NOT NULL DEFAULT '',
    error_file TEXT NOT NULL DEFAULT '',
    error_frame TEXT NOT NULL DEFAULT '',
    error_line INTEGER NOT NULL DEFAULT 0,
    error_column INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (function_id, number)
) STRICT, WITHOUT ROWID;
-- What a stopped server left unfinished is found without reading the table.
CREATE INDEX build_unfinished ON build (function_id, number) WHERE status < 3;

CREATE TABLE env (
    function_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    PRIMARY KEY (function_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE execution (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, -- order of start; what a page's cursor holds
    id TEXT NOT NULL UNIQUE,
    function_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    status INTEGER NOT NULL,
    input TEXT NOT NULL,
    output TEXT NOT NULL,
    metadata TEXT NOT NULL,
    error TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    finished_us INTEGER NOT NULL
) STRICT;
CREATE INDEX execution_of_function ON execution (function_id, seq);
CREATE INDEX execution_running ON execution (function_id, seq) WHERE status = 0;

CREATE TABLE log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    function_id INTEGER NOT NULL,
    execution TEXT NOT NULL, -- '' for public requests
    level INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX log_of_function ON log (function_id, id);
CREATE INDEX log_of_execution ON log (execution, id) WHERE execution <> '';

-- Work left for the writer's idle moments.
CREATE TABLE function_deleted (
    function_id INTEGER PRIMARY KEY -- its executions and log lines are to be removed
) STRICT;
CREATE TABLE artifact_unused (
    hash TEXT PRIMARY KEY -- no version used it when this row was written; to be checked and removed
) STRICT, WITHOUT ROWID;
-- Written after a failure, to learn whether the disk takes writes again.
-- filler: room for one row says little, so more is asked for.
CREATE TABLE probe (at_us INTEGER NOT NULL, filler BLOB) STRICT;
INSERT INTO probe (at_us) VALUES (0);
