-- SPDX-License-Identifier: Apache-2.0
--
-- Schedules: what is started when. When one is next due is a row of table due (kind 0, key: its id); a run of a
-- function that has been started and has not ended is another (kind 2, key: id/time), so that it is started again
-- after a death.

CREATE TABLE schedule (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
    namespace_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    origin TEXT NOT NULL, -- module whose deploy has declared it, '' if it was made by itself
    plan TEXT NOT NULL,   -- JSON: src/schedule/plan.h
    is_paused INTEGER NOT NULL,
    anchor_us INTEGER NOT NULL, -- what intervals are counted from
    next_us INTEGER NOT NULL,   -- the first time that is not settled; 0: not known yet; 9223372036854775807: none
    last_us INTEGER NOT NULL,   -- the last time that something was started for, 0: none
    last_execution TEXT NOT NULL, -- that was started then, if it is a workflow's
    started INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    running INTEGER NOT NULL, -- runs of functions that have not ended
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX schedule_name ON schedule (namespace_id, name);
CREATE INDEX schedule_origin ON schedule (origin) WHERE origin <> '';
