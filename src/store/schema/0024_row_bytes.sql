-- SPDX-License-Identifier: Apache-2.0
--
-- function.row_bytes: what its executions and log lines take of the disk, as they are counted: their texts,
-- 256 bytes for each execution and 64 for each line.

ALTER TABLE function ADD COLUMN row_bytes INTEGER NOT NULL DEFAULT 0;

UPDATE function SET row_bytes = coalesce((SELECT sum(octet_length(input) + octet_length(output)
        + octet_length(metadata) + octet_length(error) + 256) FROM execution
        WHERE function_id = function.id), 0)
    + coalesce((SELECT sum(octet_length(text) + 64) FROM log WHERE function_id = function.id), 0);
