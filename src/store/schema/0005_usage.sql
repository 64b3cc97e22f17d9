-- SPDX-License-Identifier: Apache-2.0
--
-- What modules used, by the hour, and what they may hold. Usage hangs on the name: it outlives the
-- module, until it is too old. Quotas hang on the function and go with it.

CREATE TABLE usage (
    hour INTEGER NOT NULL, -- since 1970
    name TEXT NOT NULL,
    requests INTEGER NOT NULL,
    cpu_us INTEGER NOT NULL,
    memory_byte_s INTEGER NOT NULL,
    egress_bytes INTEGER NOT NULL,
    PRIMARY KEY (hour, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_of_name ON usage (name, hour);

CREATE TABLE quota (
    function_id INTEGER NOT NULL,
    resource TEXT NOT NULL, -- as RESOURCE_TABLE names it
    max INTEGER NOT NULL,
    PRIMARY KEY (function_id, resource)
) STRICT, WITHOUT ROWID;
