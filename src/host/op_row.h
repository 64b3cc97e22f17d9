/* SPDX-License-Identifier: Apache-2.0
 *
 * What the rows of ops.def say, as data: for whoever dispatches ops, shows a journal or cuts it. No
 * file but the table knows what belongs to which number. Header only: the admin API links no host. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum op_number {
    OP_NUMBER_NONE = 0,
#define OP(CODE, name, number, class, reply, when, handler, shows, fields)                         \
    OP_NUMBER_##CODE = number,
#include "host/ops.def"
#undef OP
};

enum op_class {
    OP_PURE,
    OP_RECORDED,
    OP_EXTERNAL,
    OP_TRANSACTIONAL,
    OP_SQL,
    OP_SUSPENDING,
    OP_LOCAL
};

enum op_reply { OP_REPLY_SYNC, OP_REPLY_STANDS, OP_REPLY_ASYNC };
enum op_when { OP_WHEN_RUNNING, OP_WHEN_ALWAYS };
enum op_handler { OP_HANDLER_PLAIN, OP_HANDLER_CHECKED, OP_HANDLER_OWN };

enum op_shows {
    OP_SHOWS_NOTHING,
    OP_SHOWS_BYTES,
    OP_SHOWS_TEXT,
    OP_SHOWS_NUMBER,
    OP_SHOWS_JSON,
    OP_SHOWS_RESPONSE,
    OP_SHOWS_ROWS,
    OP_SHOWS_VARIABLE,
    OP_SHOWS_VARIABLES,
    OP_SHOWS_STEP,
    OP_SHOWS_SIGNAL,
};

struct op_row {
    const char *name; /* "fetch"; NULL: there is no such op */
    uint32_t number;  /* enum op_number; 0: none */
    enum op_class class;
    enum op_reply reply;
    enum op_when when;
    enum op_handler handler;
    enum op_shows shows;
};

/* OP_NUMBER_NONE, without a name, for a number that is none of an op. */
static inline const struct op_row *op_row(uint32_t number)
{
    static const struct op_row rows[] = {
#define OP(CODE, name_, number_, class_, reply_, when_, handler_, shows_, fields)                  \
    [number_] = {.name = #name_,                                                                   \
                 .number = OP_NUMBER_##CODE,                                                       \
                 .class = OP_##class_,                                                             \
                 .reply = OP_REPLY_##reply_,                                                       \
                 .when = OP_WHEN_##when_,                                                          \
                 .handler = OP_HANDLER_##handler_,                                                 \
                 .shows = OP_SHOWS_##shows_},
#include "host/ops.def"
#undef OP
    };
    return &rows[number < sizeof(rows) / sizeof(rows[0]) ? number : 0];
}
