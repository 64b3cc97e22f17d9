-- SPDX-License-Identifier: Apache-2.0
--
-- A part of the requests is answered by another version than the one that serves.

ALTER TABLE function ADD COLUMN split_version INTEGER NOT NULL DEFAULT 0;   -- 0: none
ALTER TABLE function ADD COLUMN split_permyriad INTEGER NOT NULL DEFAULT 0; -- of 10,000 requests
