-- SPDX-License-Identifier: Apache-2.0
--
-- Where retention has trimmed the audit log: the rows up to seq are gone, hash is that of the last of them,
-- and the signature is made with the key of the secrets, so that nobody else can move it.

CREATE TABLE audit_anchor (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    signature TEXT NOT NULL
) STRICT;
INSERT INTO audit_anchor (id, seq, hash, at_us, signature) VALUES (1, 0, '', 0, '');
