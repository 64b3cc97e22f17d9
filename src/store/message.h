/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages of queues: what mutations take and queries answer. A queue is a resource, named by its number. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    STORE_MESSAGE_BYTES_MAX = 128 * 1024, /* of one body */
    STORE_SEND_MESSAGES_MAX = 100,        /* sent at once, */
    STORE_SEND_BYTES_MAX = 256 * 1024,    /* and of these together */
    STORE_MESSAGE_ROW_BYTES = 64,         /* a message counts for so much beside its body */
    STORE_MESSAGES_PAGE = 1000,
    STORE_MESSAGE_DELAY_S_MAX = 7 * 24 * 3600,
};

/* What is sent: each i32 delay in seconds (-1: none), u32 type, lstr body; little-endian, as guest/runtime/queue.ts
 * writes it. */
enum message_type { MESSAGE_JSON, MESSAGE_TEXT, MESSAGE_BYTES, MESSAGE_V8, MESSAGE_TYPES };

struct message_row {
    int64_t place; /* in all queues; grows with the sending in each */
    int64_t visible_us, sent_us, attempts;
    uint32_t type;
    struct slice body;
};

/* What a delivery has come to. Arrays of int64_t, as bytes. */
struct message_settle {
    int64_t queue;
    struct slice acked;   /* places */
    struct slice retried; /* place, visible_us: that much later, with an attempt more */
    struct slice dead;    /* places: to the queue of the dead, if there is one */
    int64_t dead_queue;   /* 0: none */
};

struct consumer_row {
    int64_t queue;
    struct slice space, name; /* of the queue */
    struct slice module;      /* "": nobody's */
    struct slice settings;    /* JSON */
    int64_t dead;
    bool is_paused;
};
