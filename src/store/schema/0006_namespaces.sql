-- SPDX-License-Identifier: Apache-2.0
--
-- Namespaces. The name of a function in another namespace than the default one is
-- "namespace/name"; rows that are listed by namespace have its number, which is not used again, so
-- what is left of a deleted namespace is never taken for that of a new one with its name.

CREATE TABLE namespace (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    created_us INTEGER NOT NULL
) STRICT;
INSERT INTO namespace (id, name, created_us) VALUES (1, 'default', 0);

ALTER TABLE function ADD COLUMN namespace_id INTEGER NOT NULL DEFAULT 1;
CREATE INDEX function_of_namespace ON function (namespace_id, kind, name);
-- Each also has seq at its end, which is the order in which rows are listed.
ALTER TABLE execution ADD COLUMN namespace_id INTEGER NOT NULL DEFAULT 1;
CREATE INDEX execution_of_namespace ON execution (namespace_id);
ALTER TABLE durable ADD COLUMN namespace_id INTEGER NOT NULL DEFAULT 1;
DROP INDEX durable_of_status;
CREATE INDEX durable_of_namespace ON durable (namespace_id, status);

CREATE TABLE namespace_quota (
    namespace_id INTEGER NOT NULL,
    resource TEXT NOT NULL, -- as RESOURCE_TABLE names it
    max INTEGER NOT NULL,
    PRIMARY KEY (namespace_id, resource)
) STRICT, WITHOUT ROWID;
