-- SPDX-License-Identifier: Apache-2.0
--
-- What modules take of the disk here. durable.bytes: of an execution as of its row; what the journal of a
-- running one has gained since is added when it is read (durable_columns.h). durable_count.bytes: of all
-- executions of a function, as of their rows. function.artifact_bytes: of its versions' files; those of
-- versions that were there before are not known.

ALTER TABLE durable ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE durable_count ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE function ADD COLUMN artifact_bytes INTEGER NOT NULL DEFAULT 0;

-- 256 a row and 32 a chunk or signal: see DURABLE_ROW_BYTES, DURABLE_PART_BYTES.
UPDATE durable SET bytes = 256
    + coalesce((SELECT octet_length(input) + octet_length(metadata) + octet_length(progress)
        + octet_length(output) + octet_length(error) FROM durable_text WHERE execution = seq), 0)
    + coalesce((SELECT sum(octet_length(j.records) + 32) FROM journal j
        WHERE j.place >= seq << 24 AND j.place < (seq << 24) + durable.records), 0)
    + coalesce((SELECT octet_length(data) FROM snapshot WHERE execution = seq), 0)
    + coalesce((SELECT sum(octet_length(s.name) + octet_length(s.data) + 32) FROM signal s
        WHERE s.execution = durable.seq), 0);
UPDATE durable_count SET bytes = coalesce(
    (SELECT sum(d.bytes) FROM durable d WHERE d.function_id = durable_count.function_id), 0);
