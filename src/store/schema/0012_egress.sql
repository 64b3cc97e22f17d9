-- SPDX-License-Identifier: Apache-2.0
--
-- What a namespace lets its code send: rules in their order, the first that fits holds.

CREATE TABLE egress_rule (
    namespace_id INTEGER NOT NULL,
    id INTEGER NOT NULL,       -- 1, 2, 3 in the namespace, never used again
    position INTEGER NOT NULL, -- smaller ones are asked first
    is_allow INTEGER NOT NULL,
    methods TEXT NOT NULL,     -- 'GET,HEAD'; '': all
    pattern TEXT NOT NULL,     -- of URLs, as http/url_pattern.h says
    module TEXT NOT NULL,      -- bare name; '': all
    PRIMARY KEY (namespace_id, id)
) STRICT, WITHOUT ROWID;

ALTER TABLE namespace ADD COLUMN egress_denies INTEGER NOT NULL DEFAULT 0; -- what no rule is about
ALTER TABLE namespace ADD COLUMN egress_last INTEGER NOT NULL DEFAULT 0;   -- id of its newest rule
