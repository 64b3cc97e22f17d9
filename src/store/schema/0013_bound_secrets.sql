-- SPDX-License-Identifier: Apache-2.0
--
-- A secret may be bound to hosts: code then reads a placeholder. And a namespace may have secrets that all
-- its modules read: rows of env and env_former whose function_id is its own number, negated.

ALTER TABLE env ADD COLUMN hosts TEXT NOT NULL DEFAULT ''; -- patterns (http/placeholder.h), a space between
ALTER TABLE env_former ADD COLUMN hosts TEXT NOT NULL DEFAULT '';
ALTER TABLE namespace ADD COLUMN env_last INTEGER NOT NULL DEFAULT 0; -- versions of its secrets
