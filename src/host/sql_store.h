/* SPDX-License-Identifier: Apache-2.0
 *
 * The storage of an actor in its own database: keys with values, in table _cf_KV, and what the server
 * knows of the actor, in table _cf_METADATA. Both are made by the first write and have the names that they
 * have on other platforms, where code that lists its tables leaves out what begins with "_cf_"; guests can
 * see that they are there, and neither read nor touch them (sql_guard.c). All of it inside the transaction
 * that is open on the connection. Thread of the connection. */
#pragma once

#include "host/sql.h"

enum {
    SQL_STORE_KEY_BYTES_MAX = 2048,
    SQL_STORE_PAIR_BYTES_MAX = 2 * 1024 * 1024, /* a key and its value */
};

/* Appends u8 1 and lstr value, or u8 0: there is none. */
NODISCARD enum err sql_store_get(struct sql_conn *c, struct slice key, struct bytes *out,
                                 struct error *ret_error);
/* ERR_TOO_LARGE: see above. */
NODISCARD enum err sql_store_put(struct sql_conn *c, struct slice key, struct slice value,
                                 struct error *ret_error);
NODISCARD enum err sql_store_delete(struct sql_conn *c, struct slice key, bool *ret_was_there,
                                    struct error *ret_error);

struct sql_store_range {
    struct slice start,
        end; /* from start on, up to before end, by their bytes; end "": to the last */
    bool is_reverse;
    uint32_t limit; /* 0: none */
};
/* Appends lstr key and lstr value, each, as many as have room (sql_conn_set_room()): ERR_LIMIT. */
NODISCARD enum err sql_store_list(struct sql_conn *c, const struct sql_store_range *range,
                                  struct bytes *out, struct error *ret_error);
/* All that the database has goes, the guest's own tables among it; keeps_meta: but for METADATA. */
NODISCARD enum err sql_store_clear(struct sql_conn *c, bool keeps_meta, struct error *ret_error);
/* Of the whole database, with what the open transaction has changed. */
NODISCARD enum err sql_store_size(struct sql_conn *c, uint64_t *ret_bytes, struct error *ret_error);

/* Texts by name; what is not there is "". */
NODISCARD enum err sql_store_meta_get(struct sql_conn *c, struct slice name, struct bytes *out,
                                      struct error *ret_error);
NODISCARD enum err sql_store_meta_put(struct sql_conn *c, struct slice name, struct slice value,
                                      struct error *ret_error);

/* Calls that came with an id and were answered, in the transaction of what they have done: a call that
 * comes again, since its caller has crashed, is not done again. Kept for so long: */
#define SQL_STORE_CALLS_KEEP_US (INT64_C(30) * 24 * 3600 * 1000 * 1000)
/* Appends u8 1 and lstr answer, or u8 0. */
NODISCARD enum err sql_store_call_get(struct sql_conn *c, struct slice id, struct bytes *out,
                                      struct error *ret_error);
NODISCARD enum err sql_store_call_put(struct sql_conn *c, struct slice id, struct slice answer,
                                      int64_t now_us, struct error *ret_error);
