-- SPDX-License-Identifier: Apache-2.0
--
-- When something other than an execution must be looked at: schedules, alarms, messages that are to be delivered later.
-- One row a key; what has no row is due at no time of its own. The truth may lie elsewhere (an actor's alarm, in its own
-- database): due here is never later than due there.

CREATE TABLE due (
    seq INTEGER PRIMARY KEY, -- among those due at one time
    kind INTEGER NOT NULL,   -- enum due_kind
    key TEXT NOT NULL,
    module TEXT NOT NULL, -- whose it is, '' if that does not matter
    due_us INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX due_key ON due (kind, key);
-- Each also has seq at its end.
CREATE INDEX due_at ON due (due_us);
