/* SPDX-License-Identifier: Apache-2.0
 *
 * What the guest asks of the host: one call per op of src/host/ops.def, and the table of ops that
 * are under way. The argument structs and the codes are made from that table, so a field added
 * there is a member here and nothing else changes.
 *
 * An ASYNC op returns a number; op_expect() files what shall happen at its completion. Completions
 * only queue (limpet_complete runs no guest code); limpet_run takes them one at a time, so that
 * everything a completion causes runs in the name of the dispatch that started the op. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "quickjs.h"

/* Argument slots: 8 bytes each, little-endian like wasm itself. */
struct op_bytes {
    uint32_t at; /* address in linear memory */
    uint32_t len;
} __attribute__((aligned(8)));
typedef uint64_t op_slot_u32;
typedef int64_t op_slot_i64;
typedef double op_slot_f64;
typedef struct op_bytes op_slot_str;
typedef struct op_bytes op_slot_bytes;
typedef struct op_bytes op_slot_mem;

enum op_code {
#define OP(CODE, name, number, class, reply, when, handler, shows, fields) OP_##CODE = number,
#include "host/ops.def"
#undef OP
};

#define F(type, name) op_slot_##type name;
#define OP(CODE, op_name, number, class, reply, when, handler, shows, fields)                      \
    struct op_##op_name {                                                                          \
        fields                                                                                     \
    };
#include "host/ops.def"
#undef OP
#undef F

/* The imports of guest/abi.h. Calls are made in eng.scope. A replay that differs from its journal
 * is reported here, at the call that differs. */
int32_t op_call(enum op_code code, const void *args, void *ret, uint32_t ret_cap);
int32_t op_call_wait(enum op_code code, const void *args, void *ret, uint32_t ret_cap);
/* In this scope, whatever runs. */
int32_t op_call_in(uint32_t scope, enum op_code code, const void *args, void *ret,
                   uint32_t ret_cap);
__attribute__((import_module("limpet"), import_name("result_len"))) int32_t op_result_len(void);
/* Copies the result of so many bytes, in pieces: in between the guest may be preempted. */
void op_result(void *at, uint32_t len);

static inline struct op_bytes op_bytes(const void *at, uint32_t len)
{
    return (struct op_bytes){.at = (uint32_t)(uintptr_t)at, .len = len};
}

/* The result of a SYNC op, or of an ASYNC one that was waited for; release with op_reply_done(). */
struct op_reply {
    uint8_t *data; /* inside small, or malloc'ed */
    uint32_t len;
    uint8_t small[504];
};

/* Calls, and fetches the result. False: a JS exception is pending and there is nothing to release.
 */
bool op_ask(JSContext *ctx, enum op_code code, const void *args, struct op_reply *ret_reply);
bool op_ask_wait(JSContext *ctx, enum op_code code, const void *args, struct op_reply *ret_reply);
void op_reply_done(struct op_reply *reply);
/* Calls an op without a result. Failures of such an op change nothing for the guest. */
void op_tell(enum op_code code, const void *args);
/* The same for what the engine itself has to say, outside of every scope. */
void op_tell_own(enum op_code code, const void *args);

/* The Error for an enum err and its message: TypeError or Error by code, `.code` is the code's
 * text. */
JSValue op_error(JSContext *ctx, uint32_t err, const char *message, uint32_t len);
/* Throws what the host said about a call that returned `negative`. Returns JS_EXCEPTION. */
JSValue op_throw(JSContext *ctx, int32_t negative);

/* An op that is under way. */
struct op_pending;
/* One completion. status 0: payload is the result, else the message. Values in `op` are freed
 * after. */
typedef void op_done_fn(JSContext *ctx, struct op_pending *op, uint32_t status,
                        const uint8_t *payload, uint32_t len);

enum op_value {
    OP_VALUE_RESOLVE,
    OP_VALUE_REJECT,
    OP_VALUE_OWN,                       /* and the next: the owner's */
    OP_VALUE_SIGNAL = OP_VALUE_OWN + 2, /* abort.h */
    OP_VALUE_COUNT_,
};

struct op_pending {
    uint32_t number;
    uint32_t dispatch; /* in whose name it runs */
    op_done_fn *done;
    JSValue values[OP_VALUE_COUNT_]; /* the owner's, freed after done */
    void *data;                      /* the owner's */
    uint32_t extra;                  /* the owner's */
    uint32_t scope;                  /* of the code that started it */
    bool is_wait; /* of a workflow, whose promise the code has: it can be withdrawn */
    /* private */
    struct op_pending *next_in_bucket;
    struct op_pending *next_completed;
    uint32_t status;
    uint8_t *payload;
    uint32_t len;
    bool is_completed;
};

/* Starts an ASYNC op and files it; values are JS_UNDEFINED. NULL: a JS exception is pending. */
struct op_pending *op_start(JSContext *ctx, enum op_code code, const void *args, op_done_fn *done);
/* Files an op whose number is known (fetch answers with two numbers). NULL: out of memory. */
struct op_pending *op_expect(JSContext *ctx, uint32_t number, op_done_fn *done);
/* Starts an ASYNC op that settles a promise: `done` calls op_settle(). Returns the promise. */
JSValue op_start_promise(JSContext *ctx, enum op_code code, const void *args, op_done_fn *done,
                         struct op_pending **ret_op);
/* A promise that `done` settles, of an op whose number is known. */
JSValue op_promise(JSContext *ctx, uint32_t number, op_done_fn *done, struct op_pending **ret_op);
/* Resolves or rejects the promise of op with value, which is consumed. */
void op_settle(JSContext *ctx, struct op_pending *op, bool is_rejected, JSValue value);
/* A done function for results without a payload. */
void op_done_void(JSContext *ctx, struct op_pending *op, uint32_t status, const uint8_t *payload,
                  uint32_t len);
/* Forgets op: its completion will be ignored. */
void op_forget(JSContext *ctx, uint32_t number);
/* The host knows nothing more of what this dispatch has started. */
void op_forget_all(JSContext *ctx, uint32_t dispatch);
/* Cancels an op that is under way; forgets it first, unless its completion is wanted. */
void op_cancel(JSContext *ctx, uint32_t number);
/* Runs the oldest queued completion; false if there is none. */
bool op_run_completed(JSContext *ctx);
/* Runs this completion now; the payload is borrowed. Unknown numbers are ignored. */
void op_run(JSContext *ctx, uint32_t number, uint32_t status, const uint8_t *payload, uint32_t len);
/* The pending op of that number; NULL: there is none. */
struct op_pending *op_pending_find(uint32_t number);
/* The pending op that settles a promise, found quickly if it is one of the newest; NULL: there is none. */
struct op_pending *op_pending_of(JSValueConst promise);
/* Queues a completion; takes the payload, which is from limpet_alloc. */
void op_complete(uint32_t number, uint32_t status, uint8_t *payload, uint32_t len);
