-- SPDX-License-Identifier: Apache-2.0
--
-- Executions that must not be run again by themselves: those that the process ended with, three
-- times without a new record, and those that a person has to look at.

ALTER TABLE durable ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;          -- in a row
ALTER TABLE durable ADD COLUMN crashed_records INTEGER NOT NULL DEFAULT -1; -- at the last of them
ALTER TABLE durable_text ADD COLUMN parked TEXT NOT NULL DEFAULT '';        -- why, while is_paused
