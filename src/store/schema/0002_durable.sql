-- SPDX-License-Identifier: Apache-2.0
--
-- Durable executions. Everything that hangs on one hangs on durable.seq, which is not used again as
-- long as anything of the old one is left. What changes with each commit is in one short row; texts,
-- journals, snapshots and signals, which may be large, have tables of their own.

CREATE TABLE durable (
    seq INTEGER PRIMARY KEY, -- order of start; what a page's cursor holds
    function_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    status INTEGER NOT NULL,
    is_paused INTEGER NOT NULL,
    is_cancel_requested INTEGER NOT NULL,
    has_waiters INTEGER NOT NULL, -- rows in durable_waiter
    records INTEGER NOT NULL,     -- in its journal
    events INTEGER NOT NULL,
    signals_last INTEGER NOT NULL,    -- counts up
    signals_waiting INTEGER NOT NULL, -- rows in signal
    wake_us INTEGER NOT NULL,         -- 9223372036854775807: only an event makes it due
    due_us INTEGER, -- wake_us, or NULL when nothing but a mutation makes it run: finished, paused, no deadline
    attempt INTEGER NOT NULL,
    lines INTEGER NOT NULL DEFAULT 0, -- of its log that are not a step's; -1: not known
    created_us INTEGER NOT NULL,
    started_us INTEGER NOT NULL,
    finished_us INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    parent TEXT NOT NULL, -- id, '' if none
    export_name TEXT NOT NULL,
    key TEXT NOT NULL
) STRICT;
-- Each also has seq at its end, which is the order in which rows are listed.
CREATE INDEX durable_of_status ON durable (status);
CREATE INDEX durable_of_function ON durable (function_id, status);
CREATE INDEX durable_of_parent ON durable (parent) WHERE parent <> '';
CREATE INDEX durable_due ON durable (due_us) WHERE due_us IS NOT NULL;
CREATE INDEX durable_finished ON durable (finished_us) WHERE finished_us > 0;

CREATE TABLE durable_text (
    execution INTEGER PRIMARY KEY,
    input TEXT NOT NULL,
    metadata TEXT NOT NULL,
    progress TEXT NOT NULL DEFAULT '',
    output TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT ''
) STRICT;

-- Chunks of records, in the order in which they came: those of one commit, of however many
-- executions, fill pages one after the other. Ordered by place instead, each execution's would be on
-- a page of its own, and a group of 64 commits would take twice the time and more.
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    place INTEGER NOT NULL, -- execution * 2^24 + number of the first record: a journal is one range
    count INTEGER NOT NULL,
    records BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX journal_place ON journal (place);

CREATE TABLE snapshot (
    execution INTEGER PRIMARY KEY,
    records INTEGER NOT NULL, -- the state is that after so many
    data BLOB NOT NULL
) STRICT;

CREATE TABLE signal (
    execution INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    name TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (execution, seq)
) STRICT, WITHOUT ROWID;
-- Kept until the execution has completed, also when the signal has been consumed.
CREATE TABLE signal_once (
    execution INTEGER NOT NULL,
    once TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (execution, once)
) STRICT, WITHOUT ROWID;

-- Executions other than its parent that wait for the end of one.
CREATE TABLE durable_waiter (
    execution INTEGER NOT NULL,
    waiter TEXT NOT NULL, -- id
    PRIMARY KEY (execution, waiter)
) STRICT, WITHOUT ROWID;

-- How many there are, so that nobody has to count them.
CREATE TABLE durable_count (
    function_id INTEGER PRIMARY KEY,
    queued INTEGER NOT NULL,
    running INTEGER NOT NULL,
    suspended INTEGER NOT NULL,
    completed INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    paused INTEGER NOT NULL
) STRICT;

-- Work left for the writer's idle moments: what hangs on these is to be removed.
CREATE TABLE durable_purge (
    execution INTEGER PRIMARY KEY,
    is_all INTEGER NOT NULL -- 0: only its signals, it has completed
) STRICT;

-- Who may write. Each opening takes the next epoch; each transaction checks that it is still its own.
CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL, -- for people
    epoch INTEGER NOT NULL,
    taken_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
