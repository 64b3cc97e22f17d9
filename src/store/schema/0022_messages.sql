-- SPDX-License-Identifier: Apache-2.0
--
-- Messages of queues, which are resources. Those that were never tried are delivered in the order of their places; one
-- that is to be delivered later, or again, by its time.

CREATE TABLE message (
    place INTEGER PRIMARY KEY, -- queue * 2^36 + number: those of a queue are one range
    queue INTEGER NOT NULL,
    visible_us INTEGER NOT NULL, -- not before; 0: at once
    attempts INTEGER NOT NULL,   -- deliveries that have failed
    sent_us INTEGER NOT NULL,
    type INTEGER NOT NULL, -- 0 json, 1 text, 2 bytes, 3 v8
    body BLOB NOT NULL
) STRICT;
CREATE INDEX message_later ON message (queue, visible_us) WHERE visible_us > 0;

CREATE TABLE queue_state (
    queue INTEGER PRIMARY KEY,
    last INTEGER NOT NULL, -- number of the last message
    is_paused INTEGER NOT NULL
) STRICT;

-- Who is given its messages. Declared by deploys.
CREATE TABLE queue_consumer (
    queue INTEGER PRIMARY KEY,
    module TEXT NOT NULL,
    dead INTEGER NOT NULL, -- queue of those that fail too often; 0: they go
    settings TEXT NOT NULL -- JSON: flow/queues.h
) STRICT;
CREATE INDEX queue_consumer_of ON queue_consumer (module);

-- Sends that may be repeated, by the names that they have; for some days.
CREATE TABLE message_once (
    queue INTEGER NOT NULL,
    once TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    PRIMARY KEY (queue, once)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_once_at ON message_once (at_us);
