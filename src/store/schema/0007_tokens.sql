-- SPDX-License-Identifier: Apache-2.0
--
-- Tokens of the control API. A token is shown once, when it is made; here is only the SHA-256 of its
-- secret part, which is 256 random bits.

CREATE TABLE token (
    id TEXT PRIMARY KEY, -- its public part
    namespace_id INTEGER NOT NULL,
    role INTEGER NOT NULL, -- enum token_role
    hash BLOB NOT NULL,
    created_us INTEGER NOT NULL,
    used_us INTEGER NOT NULL -- about; 0: never
) STRICT, WITHOUT ROWID;
CREATE INDEX token_of_namespace ON token (namespace_id, created_us);
