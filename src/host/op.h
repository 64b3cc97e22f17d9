/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops on the host's side: typed arguments generated from ops.def, and how a handler answers. A
 * handler op_NAME() gets its decoded arguments (slices point into guest memory, valid until it
 * returns, or as long as the guest has lent them) and appends its result to g->result, or refuses. That
 * it is recorded, and not called in a replay, is its class's business (op_table.c). Handlers of ASYNC
 * ops make a pending op with op_begin() and complete it later with op_complete(). Loop thread of the
 * guest. */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/list.h"
#include "host/op_row.h"
#include "sandbox/code.h"

struct context;
struct guest;
struct op_call;

#define OP_FIELD_u32 uint32_t
#define OP_FIELD_i64 int64_t
#define OP_FIELD_f64 double
#define OP_FIELD_str struct slice
#define OP_FIELD_bytes struct slice
#define OP_FIELD_mem struct slice
#define F(type, name) OP_FIELD_##type name;
#define OP(CODE, name, number, class, reply, when, handler, shows, fields)                         \
    struct op_##name##_args {                                                                      \
        fields                                                                                     \
    };
#include "host/ops.def"
#undef OP
#undef F

union op_args {
#define OP(CODE, name, number, class, reply, when, handler, shows, fields)                         \
    struct op_##name##_args name;
#include "host/ops.def"
#undef OP
};

/* What the files of ops have, as far as their rows ask for it: see ops.def. */
#define OP(CODE, name, number, class, reply, when, handler, shows, fields)                         \
    NODISCARD enum err op_##name(struct guest *g, const struct op_##name##_args *a);               \
    NODISCARD enum err op_##name##_check(struct guest *g, struct op_##name##_args *a);             \
    void op_##name##_effect(struct guest *g, const struct op_##name##_args *a);                    \
    NODISCARD enum err op_##name##_call(struct guest *g, const struct op_##name##_args *a,         \
                                        struct op_call *c);                                        \
    NODISCARD enum err op_##name##_start(struct guest *g, uint32_t id, struct op_##name##_args *a);
#include "host/ops.def"
#undef OP

/* An op that has been started and not completed. Embedded in what it waits for. */
struct op {
    struct list link; /* in context->ops */
    struct guest *guest;
    struct context *context;
    uint32_t id;
    uint32_t scope;   /* of a durable execution's step, 0: none */
    bool is_recorded; /* its completion goes to the execution */
    /* Gives up what the op waits for: no op_complete() comes any more, the op's memory goes. */
    void (*cancel)(struct op *op);
};

/* Registers the op and appends its number to the result. ERR_LIMIT_OPS at the limit. */
NODISCARD enum err op_begin(struct guest *g, struct op *op, void (*cancel)(struct op *op));
/* Registers an op that the execution has numbered: its completion goes there. */
void op_adopt(struct guest *g, struct op *op, uint32_t id, void (*cancel)(struct op *op));
/* Hands the result to the guest, or the error and its message. The op is then unregistered; its
 * memory is the caller's. */
void op_complete(struct op *op, enum err status, struct slice payload);
void op_complete_error(struct op *op, const struct error *error);
void op_give_up(struct op *op); /* cancels without a completion */
struct op *op_find(struct guest *g, uint32_t id);

/* What guests import: for runtime_start. */
extern const struct sandbox_import op_imports[];
extern const size_t op_imports_len;
const char *op_name(uint32_t number); /* "fetch"; NULL: there is no such op */
