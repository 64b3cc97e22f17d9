-- SPDX-License-Identifier: Apache-2.0
--
-- Secrets are variables whose value is sealed (secret.h): hexadecimal digits of nonce, ciphertext and
-- tag, bound to module, name and version.

ALTER TABLE env ADD COLUMN is_secret INTEGER NOT NULL DEFAULT 0;
ALTER TABLE env_former ADD COLUMN is_secret INTEGER NOT NULL DEFAULT 0;

-- Something sealed with the key that all of them are sealed with, to tell it from another one.
CREATE TABLE secret_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    proof TEXT NOT NULL
) STRICT;
