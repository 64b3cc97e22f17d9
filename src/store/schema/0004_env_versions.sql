-- SPDX-License-Identifier: Apache-2.0
--
-- Journals name the value of a variable by its version and do not hold it. Values that were replaced
-- or deleted are kept as long as a journal of the workflow may name them.

ALTER TABLE function ADD COLUMN env_last INTEGER NOT NULL DEFAULT 0; -- counts up: versions of its variables
ALTER TABLE env ADD COLUMN version INTEGER NOT NULL DEFAULT 0;

CREATE TABLE env_former (
    function_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    value TEXT NOT NULL,
    until_us INTEGER NOT NULL, -- executions that began before it may name it
    PRIMARY KEY (function_id, name, version)
) STRICT, WITHOUT ROWID;
