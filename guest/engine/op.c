/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine.h"
#include "scope.h"
#include "stack.h"
#include "workflow.h"

__attribute__((import_module("limpet"), import_name("op"))) int32_t op_import(uint32_t code,
                                                                              const void *args,
                                                                              void *ret,
                                                                              uint32_t ret_cap);
__attribute__((import_module("limpet"), import_name("op_wait"))) int32_t
op_import_wait(uint32_t code, const void *args, void *ret, uint32_t ret_cap);
__attribute__((import_module("limpet"), import_name("result"))) void
op_import_result(void *at, uint32_t offset, uint32_t len);

/* --- calls ---------------------------------------------------------------------------------------
 */

static int32_t op_checked(int32_t len)
{
    if (len == -ERR_DIVERGED)
        workflow_diverged();
    return len;
}

/* What the host is told about who calls. */
static uint32_t op_whose(void)
{
    return eng.is_durable ? eng.scope : eng.dispatch & 0xffff;
}

int32_t op_call(enum op_code code, const void *args, void *ret, uint32_t ret_cap)
{
    return op_call_in(op_whose(), code, args, ret, ret_cap);
}

/* It ends in its call, but the guest may stand still in it. What is recorded has to be read only
 * where there is a journal. */
static bool op_may_stand(enum op_code code)
{
    enum { SYNC, ASYNC, STANDS };
    enum { PURE, LOCAL, RECORDED, SQL, TRANSACTIONAL, SUSPENDING, EXTERNAL };
    static const bool stands[] = {
#define OP(CODE, name, number, class, reply, when, handler, shows, fields)                         \
    [number] = (reply) == STANDS,
#include "host/ops.def"
#undef OP
    };
    static const bool is_recorded[] = {
#define OP(CODE, name, number, class, reply, when, handler, shows, fields)                         \
    [number] = (class) == RECORDED,
#include "host/ops.def"
#undef OP
    };
    if (!stands[code] || (!eng.is_durable && is_recorded[code]))
        return false;
    eng.has_turn = eng.is_actor; /* it may be one of its storage */
    return true;
}

int32_t op_call_in(uint32_t scope, enum op_code code, const void *args, void *ret, uint32_t ret_cap)
{
    uint32_t full = scope << ABI_CODE_SCOPE_SHIFT | code;
    if (op_may_stand(code))
        return op_checked(op_import_wait(full, args, ret, ret_cap));
    return op_checked(op_import(full, args, ret, ret_cap));
}

int32_t op_call_wait(enum op_code code, const void *args, void *ret, uint32_t ret_cap)
{
    return op_checked(
        op_import_wait(op_whose() << ABI_CODE_SCOPE_SHIFT | code, args, ret, ret_cap));
}

void op_result(void *at, uint32_t len)
{
    for (uint32_t offset = 0; offset < len; offset += ABI_PIECE_BYTES) {
        uint32_t left = len - offset;
        op_import_result((char *)at + offset, offset,
                         left < ABI_PIECE_BYTES ? left : ABI_PIECE_BYTES);
    }
}

/* --- errors --------------------------------------------------------------------------------------
 */

static const char *op_error_code(uint32_t err)
{
    static const char *const codes[] = {[OK] = "ok",
#define X(CODE, text, status, retryable) [ERR_##CODE] = text,
                                        ERROR_TABLE(X)
#undef X
    };
    return err < sizeof codes / sizeof *codes ? codes[err] : "internal";
}

JSValue op_error(JSContext *ctx, uint32_t err, const char *message, uint32_t len)
{
    JSValue error;
    if (err == ERR_CANCELLED && workflow_is_main())
        return workflow_error(ctx, WORKFLOW_CANCELLED, message, len);
    if (err == ERR_CANCELLED) {
        JS_ThrowDOMException(ctx, "AbortError", "%.*s", (int)len, message);
        return JS_GetException(ctx);
    }
    if (err == ERR_TIMEOUT) {
        JS_ThrowDOMException(ctx, "TimeoutError", "%.*s", (int)len, message);
        return JS_GetException(ctx);
    }
    if (err == ERR_INVALID || err == ERR_NETWORK || err == ERR_FORBIDDEN)
        error = JS_NewTypeError(ctx, "%s", "");
    else if (err == ERR_TOO_LARGE || err == ERR_LIMIT)
        error = JS_NewRangeError(ctx, "%s", "");
    else
        error = JS_NewPlainError(ctx, "%s", "");
    if (JS_IsException(error))
        return JS_GetException(ctx);
    JS_DefinePropertyValue(ctx, error, eng.atoms[ATOM_message], JS_NewStringLen(ctx, message, len),
                           JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
    JS_DefinePropertyValue(ctx, error, eng.atoms[ATOM_code], JS_NewString(ctx, op_error_code(err)),
                           JS_PROP_C_W_E);
    return error;
}

JSValue op_throw(JSContext *ctx, int32_t negative)
{
    int32_t len = op_result_len();
    char *message = len > 0 ? malloc((size_t)len) : NULL;
    if (message)
        op_result(message, (uint32_t)len);
    JSValue error = op_error(ctx, (uint32_t)-negative, message ? message : "", message ? len : 0);
    free(message);
    if (negative == -ERR_DIVERGED)
        JS_SetUncatchableError(ctx, error); /* nothing after this is worth running */
    return JS_Throw(ctx, error);
}

/* --- synchronous ops -----------------------------------------------------------------------------
 */

static bool op_take(JSContext *ctx, int32_t len, struct op_reply *reply)
{
    if (len < 0) {
        op_throw(ctx, len);
        return false;
    }
    reply->len = (uint32_t)len;
    reply->data = reply->small;
    if (reply->len > sizeof reply->small) {
        reply->data = malloc(reply->len);
        if (!reply->data) {
            JS_ThrowOutOfMemory(ctx);
            return false;
        }
        op_result(reply->data, reply->len);
    }
    return true;
}

bool op_ask(JSContext *ctx, enum op_code code, const void *args, struct op_reply *ret_reply)
{
    return op_take(ctx, op_call(code, args, ret_reply->small, sizeof ret_reply->small), ret_reply);
}

bool op_ask_wait(JSContext *ctx, enum op_code code, const void *args, struct op_reply *ret_reply)
{
    return op_take(ctx, op_call_wait(code, args, ret_reply->small, sizeof ret_reply->small),
                   ret_reply);
}

void op_reply_done(struct op_reply *reply)
{
    if (reply->data != reply->small)
        free(reply->data);
}

void op_tell(enum op_code code, const void *args)
{
    uint8_t ignored[16];
    (void)op_call(code, args, ignored, sizeof ignored); /* nothing the guest could do about it */
}

void op_tell_own(enum op_code code, const void *args)
{
    uint8_t ignored[16];
    (void)op_call_in(0, code, args, ignored, sizeof ignored);
}

/* --- pending ops ---------------------------------------------------------------------------------
 */

static struct op_pending **op_find(uint32_t number)
{
    struct op_pending **at = &eng.op_buckets[number % ENGINE_OP_BUCKETS];
    while (*at && (*at)->number != number)
        at = &(*at)->next_in_bucket;
    return at;
}

static void op_pending_free(JSContext *ctx, struct op_pending *op)
{
    for (int i = 0; i < OP_VALUE_COUNT_; i++)
        JS_FreeValue(ctx, op->values[i]);
    free(op->payload);
    js_free(ctx, op);
}

struct op_pending *op_expect(JSContext *ctx, uint32_t number, op_done_fn *done)
{
    struct op_pending *op = js_mallocz(ctx, sizeof *op);
    if (!op)
        return NULL;
    op->number = number;
    op->dispatch = eng.dispatch;
    op->scope = eng.scope;
    op->done = done;
    for (int i = 0; i < OP_VALUE_COUNT_; i++)
        op->values[i] = JS_UNDEFINED;
    struct op_pending **bucket = &eng.op_buckets[number % ENGINE_OP_BUCKETS];
    op->next_in_bucket = *bucket;
    *bucket = op;
    return op;
}

struct op_pending *op_start(JSContext *ctx, enum op_code code, const void *args, op_done_fn *done)
{
    uint32_t number = 0;
    int32_t len = op_call(code, args, &number, sizeof number);
    if (len < 0) {
        op_throw(ctx, len);
        return NULL;
    }
    return op_expect(ctx, number, done);
}

JSValue op_start_promise(JSContext *ctx, enum op_code code, const void *args, op_done_fn *done,
                         struct op_pending **ret_op)
{
    JSValue settle[2];
    JSValue promise = JS_NewPromiseCapability(ctx, settle);
    if (JS_IsException(promise))
        return promise;
    struct op_pending *op = op_start(ctx, code, args, done);
    if (!op) {
        JSValue error = JS_GetException(ctx);
        JSValue ignored = JS_Call(ctx, settle[1], JS_UNDEFINED, 1, &error);
        JS_FreeValues(ctx, ignored, error, settle[0], settle[1]);
        return promise;
    }
    op->values[OP_VALUE_RESOLVE] = settle[0];
    op->values[OP_VALUE_REJECT] = settle[1];
    if (ret_op)
        *ret_op = op;
    return promise;
}

JSValue op_promise(JSContext *ctx, uint32_t number, op_done_fn *done, struct op_pending **ret_op)
{
    JSValue settle[2];
    JSValue promise = JS_NewPromiseCapability(ctx, settle);
    if (JS_IsException(promise))
        return promise;
    struct op_pending *op = op_expect(ctx, number, done);
    if (!op) {
        JS_FreeValues(ctx, promise, settle[0], settle[1]);
        return JS_EXCEPTION;
    }
    op->values[OP_VALUE_RESOLVE] = settle[0];
    op->values[OP_VALUE_REJECT] = settle[1];
    *ret_op = op;
    return promise;
}

void op_settle(JSContext *ctx, struct op_pending *op, bool is_rejected, JSValue value)
{
    if (JS_IsException(value)) {
        value = JS_GetException(ctx);
        is_rejected = true;
    }
    JSValue result = JS_Call(ctx, op->values[is_rejected ? OP_VALUE_REJECT : OP_VALUE_RESOLVE],
                             JS_UNDEFINED, 1, &value);
    JS_FreeValue(ctx, result);
    JS_FreeValue(ctx, value);
}

void op_done_void(JSContext *ctx, struct op_pending *op, uint32_t status, const uint8_t *payload,
                  uint32_t len)
{
    if (status)
        op_settle(ctx, op, true, op_error(ctx, status, (const char *)payload, len));
    else
        op_settle(ctx, op, false, JS_UNDEFINED);
}

void op_forget(JSContext *ctx, uint32_t number)
{
    struct op_pending **at = op_find(number), *op = *at;
    if (!op)
        return;
    op->done = NULL; /* a queued completion frees it; else it goes now */
    if (!op->is_completed) {
        *at = op->next_in_bucket;
        op_pending_free(ctx, op);
    }
}

void op_forget_all(JSContext *ctx, uint32_t dispatch)
{
    for (uint32_t i = 0; i < ENGINE_OP_BUCKETS; i++) {
        for (struct op_pending **at = &eng.op_buckets[i], *op = *at; op; op = *at) {
            if (op->dispatch != dispatch || op->is_completed) {
                at = &op->next_in_bucket;
                continue;
            }
            *at = op->next_in_bucket;
            op_pending_free(ctx, op);
        }
    }
}

struct op_pending *op_pending_find(uint32_t number)
{
    return *op_find(number);
}

/* New ones are in front of their buckets. */
struct op_pending *op_pending_of(JSValueConst promise)
{
    struct op_pending *at[ENGINE_OP_BUCKETS];
    memcpy(at, eng.op_buckets, sizeof at);
    for (bool is_more = true; is_more;) {
        is_more = false;
        for (int i = 0; i < ENGINE_OP_BUCKETS; i++) {
            if (!at[i])
                continue;
            if (frames_resolves(at[i]->values[OP_VALUE_RESOLVE], promise))
                return at[i];
            at[i] = at[i]->next_in_bucket;
            is_more = true;
        }
    }
    return NULL;
}

void op_cancel(JSContext *ctx, uint32_t number)
{
    uint8_t ignored[16];
    const struct op_pending *op = *op_find(number);
    /* The number means something in the scope of the one who started it. */
    uint32_t scope = op ? op->scope : eng.scope;
    op_forget(ctx, number);
    (void)op_call_in(scope, OP_CANCEL, &(struct op_cancel){.op = number}, ignored, sizeof ignored);
}

void op_complete(uint32_t number, uint32_t status, uint8_t *payload, uint32_t len)
{
    struct op_pending *op = *op_find(number);
    if (!op || op->is_completed) {
        free(payload);
        return;
    }
    op->is_completed = true;
    op->status = status;
    op->payload = payload;
    op->len = len;
    if (eng.op_completed_last)
        eng.op_completed_last->next_completed = op;
    else
        eng.op_completed_first = op;
    eng.op_completed_last = op;
}

/* Takes op out of the table, calls its done function in its name and frees it. */
static void op_finish(JSContext *ctx, struct op_pending **at, uint32_t status,
                      const uint8_t *payload, uint32_t len)
{
    struct op_pending *op = *at;
    *at = op->next_in_bucket;
    eng.dispatch = op->dispatch;
    if (eng.is_durable)
        scope_set(op->scope);
    if (op->done) {
        frames_settle(
            op->values
                [OP_VALUE_RESOLVE]); /* an error of the host has the frames of who waits for it */
        op->done(ctx, op, status, payload ? payload : (const uint8_t *)"", len);
        frames_settle(JS_UNDEFINED);
    }
    op_pending_free(ctx, op);
    if (eng.is_durable)
        scope_set(0);
}

bool op_run_completed(JSContext *ctx)
{
    struct op_pending *op = eng.op_completed_first;
    if (!op)
        return false;
    eng.op_completed_first = op->next_completed;
    if (!eng.op_completed_first)
        eng.op_completed_last = NULL;
    op_finish(ctx, op_find(op->number), op->status, op->payload, op->len);
    return true;
}

void op_run(JSContext *ctx, uint32_t number, uint32_t status, const uint8_t *payload, uint32_t len)
{
    struct op_pending **at = op_find(number);
    if (*at && !(*at)->is_completed)
        op_finish(ctx, at, status, payload, len);
}
