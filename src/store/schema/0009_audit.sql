-- SPDX-License-Identifier: Apache-2.0
--
-- The audit log. Each row's hash covers the one before (sqlite/audit.c), and the head names the last
-- row, so what is changed, removed or put elsewhere is found. Rows name namespaces, which they outlive.

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY, -- without gaps
    at_us INTEGER NOT NULL,
    actor TEXT NOT NULL, -- id of a token, or 'server'
    namespace TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL, -- 'ok', or the code of an error
    hash TEXT NOT NULL     -- SHA-256, hexadecimal
) STRICT;
CREATE INDEX audit_of_namespace ON audit (namespace); -- and seq

CREATE TABLE audit_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');
