/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow.h"

#include <math.h>

#include "abort.h"
#include "answer.h"
#include "base/error.h"
#include "engine.h"
#include "json.h"
#include "op.h"
#include "scope.h"
#include "serialize.h"
#include "stack.h"
#include "text.h"

enum { STEP_OK, STEP_FAILED, STEP_FAILED_FOR_GOOD }; /* what STEP_DONE tells */
enum { EVENT_LOG_WARN = 2 };                         /* level of OP_LOG */
enum { STEP_BODY = OP_VALUE_OWN, STEP_FRAME };       /* in values of the pending op */

void workflow_begin(JSContext *ctx)
{
    eng.is_durable = true;
    scope_begin(ctx);
}

bool workflow_is_main(void)
{
    return eng.is_durable && eng.scope == 0;
}

/* Only main code of a workflow may call `what`. False: exception. */
static bool workflow_check(JSContext *ctx, const char *what)
{
    if (workflow_is_main())
        return true;
    if (eng.scope)
        JS_ThrowTypeError(ctx,
                          "%s was called inside the body of a step. What a step does is one record "
                          "and is not recorded singly: call %s before or after the step",
                          what, what);
    else
        JS_ThrowTypeError(ctx,
                          "%s works only while a workflow runs, and this is %s: export a "
                          "workflow(async (input, run) => { … }) and upload it with "
                          "'limpet workflow upload'",
                          what, eng.is_loading ? "top-level code" : "a function");
    return false;
}

/* --- deliveries ----------------------------------------------------------------------------------
 */

static void step_run(JSContext *ctx, const struct op_pending *op, uint32_t scope, uint32_t attempt);
static void step_done(JSContext *ctx, struct op_pending *op, uint32_t status,
                      const uint8_t *payload, uint32_t len);

static void workflow_cancelled(JSContext *ctx)
{
    JSValue result = engine_hook(ctx, HOOK_workflowCancel, 0, NULL);
    if (JS_IsException(result)) {
        JSValue error = JS_GetException(ctx);
        engine_report(ctx, "Uncaught ", error);
        JS_FreeValue(ctx, error);
    }
    JS_FreeValue(ctx, result);
}

bool workflow_next(JSContext *ctx)
{
    struct op_reply reply;
    struct dispatch *d = eng.dispatches;
    if (!d || d->is_answered || eng.has_diverged)
        return false;
    eng.dispatch = d->number;
    if (!op_ask(ctx, OP_NEXT, &(struct op_next){}, &reply)) {
        if (eng.has_diverged) /* and that was told */
            JS_FreeValue(ctx, JS_GetException(ctx));
        else
            answer_fail(ctx, d);
        return false;
    }
    struct reader in = reader_of(reply.data, reply.len);
    bool is_delivery = reply.len > 0;
    uint32_t number = is_delivery ? reader_u32(&in) : 0, status = is_delivery ? reader_u32(&in) : 0;
    if (is_delivery) {
        if (number == 0) {
            workflow_cancelled(ctx);
        } else if (status == ABI_STATUS_RUN) {
            const struct op_pending *op = op_pending_find(number);
            uint32_t scope = reader_u32(&in), attempt = reader_u32(&in);
            if (op && op->done == step_done)
                step_run(ctx, op, scope, attempt);
        } else {
            op_run(ctx, number, status, in.at, (uint32_t)(in.end - in.at));
        }
    }
    op_reply_done(&reply);
    return is_delivery;
}

void workflow_diverged(void)
{
    JSContext *ctx = eng.ctx;
    if (eng.has_diverged)
        return;
    eng.has_diverged = true;
    int32_t len = op_result_len();
    char *message = js_mallocz(ctx, (size_t)len + 1);
    if (message)
        op_result(message, (uint32_t)len);
    JS_ThrowPlainError(ctx, "%s", message ? message : "the replay differs from the journal");
    JSValue error = JS_GetException(ctx); /* with the stack of now */
    JS_DefinePropertyValue(ctx, error, eng.atoms[ATOM_name],
                           JS_NewString(ctx, "NonDeterminismError"), JS_PROP_C_W_E);
    JS_Throw(ctx, error);
    engine_fail(ctx, eng.dispatch);
    js_free(ctx, message);
}

JSValue workflow_error(JSContext *ctx, enum workflow_error kind, const char *text, uint32_t len)
{
    JSValue args[2] = {JS_NewInt32(ctx, kind), text_decode(ctx, (const uint8_t *)text, len, true)};
    JSValue error = engine_hook(ctx, HOOK_workflowError, 2, args);
    JS_FreeValue(ctx, args[1]);
    return JS_IsException(error) ? JS_GetException(ctx) : error;
}

/* --- steps ---------------------------------------------------------------------------------------
 */

static void step_tell(uint32_t scope, uint32_t failed, const struct buffer *value,
                      struct text message)
{
    op_tell_own(OP_STEP_DONE, &(struct op_step_done){
                                  .scope = scope,
                                  .failed = failed,
                                  .value = op_bytes(value->data, value->len),
                                  .message = op_bytes(message.at ? message.at : "", message.len)});
}

/* What errorPack() made of an error: [plain value, text, is it final]. False: exception. */
static bool step_pack_error(JSContext *ctx, JSValueConst error, bool is_short, struct buffer *out,
                            struct text *ret_message, uint32_t *ret_failed)
{
    JSValue args[2] = {error, JS_NewBool(ctx, is_short)};
    JSValue packed = engine_hook(ctx, HOOK_errorPack, 2, args);
    if (JS_IsException(packed))
        return false;
    JSValue value = JS_GetPropertyUint32(ctx, packed, 0);
    JSValue message = JS_GetPropertyUint32(ctx, packed, 1);
    JSValue is_final = JS_GetPropertyUint32(ctx, packed, 2);
    *ret_failed = JS_ToBool(ctx, is_final) > 0 ? STEP_FAILED_FOR_GOOD : STEP_FAILED;
    bool is_ok = serialize(ctx, value, out);
    if (is_ok)
        *ret_message = text_of(ctx, message);
    JS_FreeValues(ctx, packed, value, message, is_final);
    return is_ok && ret_message->at;
}

/* The error is consumed. */
static void step_failed(JSContext *ctx, uint32_t scope, JSValue error, bool is_final)
{
    uint8_t small[1024];
    struct buffer out = {.data = small, .cap = sizeof small, .is_lent = true};
    struct text message = {0};
    uint32_t failed = STEP_FAILED;
    bool is_ok = step_pack_error(ctx, error, false, &out, &message, &failed);
    if (!is_ok) { /* something in it cannot be cloned */
        JS_FreeValue(ctx, JS_GetException(ctx));
        out.len = 0;
        is_ok = step_pack_error(ctx, error, true, &out, &message, &failed);
    }
    if (!is_ok) {
        JS_FreeValue(ctx, JS_GetException(ctx));
        out.len = 0; /* nothing of the error can be told; the host's words must do */
    }
    step_tell(scope, is_final ? STEP_FAILED_FOR_GOOD : failed, &out, message);
    if (message.at)
        text_done(ctx, message);
    buffer_done(&out);
    JS_FreeValue(ctx, error);
}

/* The value is consumed. */
static void step_succeeded(JSContext *ctx, uint32_t scope, JSValue value)
{
    uint8_t small[1024];
    struct buffer out = {.data = small, .cap = sizeof small, .is_lent = true};
    if (serialize(ctx, value, &out))
        step_tell(scope, STEP_OK, &out, (struct text){0});
    else /* the same value would fail again */
        step_failed(ctx, scope, JS_GetException(ctx), true);
    buffer_done(&out);
    JS_FreeValue(ctx, value);
}

static JSValue step_settled(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                            int is_rejected, JSValueConst *data)
{
    uint32_t scope = (uint32_t)JS_VALUE_GET_INT(data[0]);
    JSValue value = JS_DupValue(ctx, argc > 0 ? argv[0] : JS_UNDEFINED);
    if (is_rejected)
        step_failed(ctx, scope, value, false);
    else
        step_succeeded(ctx, scope, value);
    return JS_UNDEFINED;
}

/* Waits for the promise, which is consumed. */
static void step_await(JSContext *ctx, uint32_t scope, JSValue promise)
{
    JSValue number = JS_NewInt32(ctx, (int32_t)scope);
    JSValue on_ok = JS_NewCFunctionData(ctx, step_settled, 1, 0, 1, &number);
    JSValue on_error = JS_NewCFunctionData(ctx, step_settled, 1, 1, 1, &number);
    JSValue then = JS_IsException(on_ok) || JS_IsException(on_error)
                       ? JS_EXCEPTION
                       : JS_PromiseThen(ctx, promise, on_ok, on_error);
    if (JS_IsException(then))
        step_failed(ctx, scope, JS_GetException(ctx), false);
    JS_FreeValues(ctx, promise, on_ok, on_error, then);
}

/* 1: value is an object with a then(), 0: it is not, -1: exception. */
static int step_is_thenable(JSContext *ctx, JSValueConst value)
{
    if (!JS_IsObject(value))
        return 0;
    JSValue then = JS_GetProperty(ctx, value, eng.atoms[ATOM_then]);
    int is_function = JS_IsException(then) ? -1 : JS_IsFunction(ctx, then);
    JS_FreeValue(ctx, then);
    return is_function;
}

/* What the body returned; consumed. */
static void step_returned(JSContext *ctx, uint32_t scope, JSValue result)
{
    if (JS_IsException(result)) {
        step_failed(ctx, scope, JS_GetException(ctx), false);
        return;
    }
    if (JS_PromiseState(ctx, result) == JS_PROMISE_FULFILLED) {
        JSValue value = JS_PromiseResult(ctx, result);
        JS_FreeValue(ctx, result);
        step_succeeded(ctx, scope, value);
        return;
    }
    int is_thenable = step_is_thenable(ctx, result);
    if (is_thenable == 0) {
        step_succeeded(ctx, scope, result);
        return;
    }
    JSValue promise = is_thenable > 0
                          ? JS_NewSettledPromise(ctx, false, result) /* Promise.resolve() */
                          : JS_EXCEPTION;
    JS_FreeValue(ctx, result);
    if (JS_IsException(promise))
        step_failed(ctx, scope, JS_GetException(ctx), false);
    else
        step_await(ctx, scope, promise);
}

/* Runs the body of a step, in the async context of who asked for it. */
static void step_run(JSContext *ctx, const struct op_pending *op, uint32_t scope, uint32_t attempt)
{
    uint32_t outer = eng.scope;
    JSValue body = JS_DupValue(ctx, op->values[STEP_BODY]), argument = JS_NewObject(ctx);
    JSValue outer_frame = JS_DupValue(ctx, eng.frame);
    scope_set(scope);
    scope_set_frame(ctx, JS_DupValue(ctx, op->values[STEP_FRAME]));
    if (!JS_IsException(argument))
        JS_DefinePropertyValue(ctx, argument, eng.atoms[ATOM_attempt], JS_NewUint32(ctx, attempt),
                               JS_PROP_C_W_E);
    JSValue result =
        JS_IsException(argument) ? JS_EXCEPTION : JS_Call(ctx, body, JS_UNDEFINED, 1, &argument);
    step_returned(ctx, scope, result);
    JS_FreeValues(ctx, body, argument);
    scope_set_frame(ctx, outer_frame);
    scope_set(outer);
}

/* The error of the last attempt, as the runtime packed it. */
static JSValue step_error(JSContext *ctx, const uint8_t *payload, uint32_t len)
{
    JSValue packed = len > 0 ? deserialize(ctx, payload, len) : JS_UNDEFINED;
    if (JS_IsException(packed))
        return JS_GetException(ctx);
    JSValue error = engine_hook(ctx, HOOK_errorUnpack, 1, &packed);
    JS_FreeValue(ctx, packed);
    return JS_IsException(error) ? JS_GetException(ctx) : error;
}

static void step_done(JSContext *ctx, struct op_pending *op, uint32_t status,
                      const uint8_t *payload, uint32_t len)
{
    if (status == 0)
        op_settle(ctx, op, false, len > 0 ? deserialize(ctx, payload, len) : JS_UNDEFINED);
    else if (status == ERR_GUEST)
        op_settle(ctx, op, true, step_error(ctx, payload, len));
    else if (status == ERR_TIMEOUT)
        op_settle(ctx, op, true, workflow_error(ctx, WORKFLOW_TIMEOUT, (const char *)payload, len));
    else
        op_settle(ctx, op, true, op_error(ctx, status, (const char *)payload, len));
}

/* Options by way of the runtime: [attempts, delay, factor, longest delay, time-out]. */
static bool step_options(JSContext *ctx, JSValueConst options, struct op_step *args)
{
    double values[5];
    JSValue list = engine_hook(ctx, HOOK_stepOptions, 1, &options);
    if (JS_IsException(list))
        return false;
    bool is_ok = true;
    for (uint32_t i = 0; i < 5 && is_ok; i++) {
        JSValue value = JS_GetPropertyUint32(ctx, list, i);
        is_ok = JS_ToFloat64(ctx, &values[i], value) == 0;
        JS_FreeValue(ctx, value);
    }
    JS_FreeValue(ctx, list);
    if (!is_ok)
        return false;
    args->attempts_max = (uint32_t)values[0];
    args->delay_ms = values[1];
    args->factor = values[2];
    args->delay_max_ms = values[3];
    args->timeout_ms = values[4];
    return true;
}

static JSValue step_start(JSContext *ctx, const struct op_step *args, JSValueConst body)
{
    uint32_t ret[2] = {0}; /* op, scope */
    JSValue settle[2];
    int32_t len = op_call(OP_STEP, args, ret, sizeof ret);
    if (len < 0)
        return op_throw(ctx, len);
    JSValue promise = JS_NewPromiseCapability(ctx, settle);
    struct op_pending *op = JS_IsException(promise) ? NULL : op_expect(ctx, ret[0], step_done);
    if (!op) {
        if (!JS_IsException(promise))
            JS_FreeValues(ctx, promise, settle[0], settle[1]);
        return JS_EXCEPTION;
    }
    op->values[OP_VALUE_RESOLVE] = settle[0];
    op->values[OP_VALUE_REJECT] = settle[1];
    op->values[STEP_BODY] = JS_DupValue(ctx, body);
    op->values[STEP_FRAME] = JS_DupValue(ctx, eng.frame);
    if (ret[1] != 0)
        step_run(ctx, op, ret[1], 1);
    return promise;
}

JSValue workflow_step(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct op_step args = {
        .attempts_max = 6, .delay_ms = 200, .factor = 2, .delay_max_ms = 60 * 1000};
    if (!workflow_check(ctx, "step()"))
        return JS_EXCEPTION;
    bool has_options = argc > 2 && !JS_IsFunction(ctx, argv[1]);
    JSValueConst body = argc < 2 ? JS_UNDEFINED : has_options ? argv[2] : argv[1];
    if (argc < 1 || !JS_IsString(argv[0]) || !JS_IsFunction(ctx, body))
        return JS_ThrowTypeError(ctx,
                                 "step() needs a name and a function: step(\"charge\", async "
                                 "() => …) or step(\"charge\", { retries: 3 }, async () => …)");
    if (has_options && !JS_IsUndefined(argv[1]) && !step_options(ctx, argv[1], &args))
        return JS_EXCEPTION;
    struct text name = text_of(ctx, argv[0]);
    if (!name.at)
        return JS_EXCEPTION;
    args.name = op_bytes(name.at, name.len);
    JSValue promise = name.len > 0 ? step_start(ctx, &args, body)
                                   : JS_ThrowTypeError(ctx, "step(): the name is empty");
    text_done(ctx, name);
    return promise;
}

/* --- waiting -------------------------------------------------------------------------------------
 */

/* Starts what code waits for, and may withdraw by the signal or workflow_withdraw(). */
static JSValue wait_start(JSContext *ctx, enum op_code code, const void *args, op_done_fn *done,
                          JSValueConst signal, struct op_pending **ret_op)
{
    struct op_pending *op = NULL;
    *ret_op = NULL;
    if (!abort_check(ctx, signal)) {
        JSValue reason = JS_GetException(ctx);
        JSValue rejected = JS_NewSettledPromise(ctx, true, reason);
        JS_FreeValue(ctx, reason);
        return rejected;
    }
    JSValue promise = op_start_promise(ctx, code, args, done, &op);
    if (!op)
        return promise;
    op->is_wait = true;
    *ret_op = op;
    if (abort_watch(ctx, op, 0, signal))
        return promise;
    op_cancel(ctx, op->number);
    *ret_op = NULL;
    JS_FreeValue(ctx, promise);
    return JS_EXCEPTION;
}

static void sleep_done(JSContext *ctx, struct op_pending *op, uint32_t status,
                       const uint8_t *payload, uint32_t len)
{
    abort_unwatch(ctx, op);
    op_done_void(ctx, op, status, payload, len);
}

/* The member `signal` of options; undefined if there is none. False: exception. */
static bool sleep_signal(JSContext *ctx, JSValueConst options, JSValue *ret_signal)
{
    *ret_signal = JS_UNDEFINED;
    if (JS_IsUndefined(options))
        return true;
    if (!JS_IsObject(options)) {
        JS_ThrowTypeError(ctx, "sleep(): the options must be an object such as { signal }");
        return false;
    }
    JSValue signal = JS_GetProperty(ctx, options, eng.atoms[ATOM_signal]);
    JSValue is_signal = JS_IsUndefined(signal) || JS_IsException(signal)
                            ? JS_TRUE
                            : engine_hook(ctx, HOOK_isSignal, 1, &signal);
    if (JS_IsException(signal) || JS_IsException(is_signal))
        return false;
    if (!JS_ToBool(ctx, is_signal)) {
        JS_FreeValue(ctx, signal);
        JS_ThrowTypeError(ctx, "sleep(): signal must be an AbortSignal");
        return false;
    }
    *ret_signal = signal;
    return true;
}

/* (milliseconds or text, options) */
JSValue workflow_sleep(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct op_timer args = {0};
    struct op_pending *op;
    JSValue duration = JS_DupValue(ctx, argc > 0 ? argv[0] : JS_UNDEFINED), signal;
    /* In the body of a step it is an ordinary timer. */
    if (!eng.is_durable && !workflow_check(ctx, "sleep()"))
        return JS_EXCEPTION;
    if (JS_VALUE_GET_TAG(duration) != JS_TAG_INT || JS_VALUE_GET_INT(duration) < 0)
        duration = engine_hook(ctx, HOOK_duration, argc > 0 ? 1 : 0, argv);
    if (JS_IsException(duration) || JS_ToFloat64(ctx, &args.delay_ms, duration) < 0) {
        JS_FreeValue(ctx, duration);
        return JS_EXCEPTION;
    }
    JS_FreeValue(ctx, duration);
    if (!sleep_signal(ctx, argc > 1 ? argv[1] : JS_UNDEFINED, &signal))
        return JS_EXCEPTION;
    JSValue promise = wait_start(ctx, OP_TIMER, &args, sleep_done, signal, &op);
    JS_FreeValue(ctx, signal);
    return promise;
}

/* {name, data, at} */
static JSValue event_value(JSContext *ctx, JSValueConst name, const uint8_t *payload, uint32_t len)
{
    struct reader in = reader_of(payload, len);
    double at = reader_f64(&in);
    struct text json = reader_lstr(&in);
    JSValue data = json.len > 0 ? json_parse(ctx, (const uint8_t *)json.at, json.len) : JS_NULL;
    JSValue event = JS_IsException(data) ? JS_EXCEPTION : JS_NewObject(ctx);
    if (JS_IsException(event)) {
        JS_FreeValue(ctx, data);
        return event;
    }
    JS_DefinePropertyValue(ctx, event, eng.atoms[ATOM_name], JS_DupValue(ctx, name), JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(ctx, event, "data", data, JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(ctx, event, "at", JS_NewDate(ctx, floor(at)), JS_PROP_C_W_E);
    return event;
}

/* values and extra of the pending op: the name, the function that waits, and where it stands */
enum { EVENT_NAME = OP_VALUE_OWN, EVENT_CALLER };

/* The signal is consumed, but nobody sees it. */
static void event_warn(JSContext *ctx, const struct op_pending *op)
{
    static const char *const texts[] = {
        "signal \"",
        "\" went to a wait that lost a Promise.race() before it came: nothing got it. select() "
        "withdraws what loses, as waitForEvent(name, { signal }) does when the signal aborts\n"};
    struct buffer out = {0};
    struct text name = text_of(ctx, op->values[EVENT_NAME]), frames = {0};
    JSValue line = JS_IsUndefined(op->values[EVENT_CALLER])
                       ? JS_NewString(ctx, "")
                       : frames_line(ctx, op->values[EVENT_CALLER], op->extra);
    frames = text_of(ctx, line);
    if (name.at && frames.at) {
        buffer_add(&out, texts[0], (uint32_t)strlen(texts[0]));
        buffer_add(&out, name.at, name.len);
        buffer_add(&out, texts[1], (uint32_t)strlen(texts[1]));
        stack_add_mapped(frames, &out);
    }
    if (out.len > 0 && !out.is_failed)
        op_tell(OP_LOG,
                &(struct op_log){.level = EVENT_LOG_WARN, .text = op_bytes(out.data, out.len)});
    if (JS_HasException(ctx))
        JS_FreeValue(ctx, JS_GetException(ctx));
    if (name.at)
        text_done(ctx, name);
    if (frames.at)
        text_done(ctx, frames);
    JS_FreeValue(ctx, line);
    buffer_done(&out);
}

static void event_done(JSContext *ctx, struct op_pending *op, uint32_t status,
                       const uint8_t *payload, uint32_t len)
{
    abort_unwatch(ctx, op);
    if (status == 0 && frames_is_over(op->values[OP_VALUE_RESOLVE]))
        event_warn(ctx, op);
    if (status == 0)
        op_settle(ctx, op, false, event_value(ctx, op->values[EVENT_NAME], payload, len));
    else if (status == ERR_TIMEOUT)
        op_settle(ctx, op, true, workflow_error(ctx, WORKFLOW_TIMEOUT, (const char *)payload, len));
    else
        op_settle(ctx, op, true, op_error(ctx, status, (const char *)payload, len));
}

/* (name, milliseconds or -1, signal) */
JSValue workflow_event_wait(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct op_event_wait args = {.timeout_ms = -1};
    struct op_pending *op = NULL;
    if (!workflow_check(ctx, "waitForEvent()"))
        return JS_EXCEPTION;
    if (argc > 1 && JS_ToFloat64(ctx, &args.timeout_ms, argv[1]) < 0)
        return JS_EXCEPTION;
    struct text name = text_of(ctx, argc > 0 ? argv[0] : JS_UNDEFINED);
    if (!name.at)
        return JS_EXCEPTION;
    args.name = op_bytes(name.at, name.len);
    JSValue promise =
        wait_start(ctx, OP_EVENT_WAIT, &args, event_done, argc > 2 ? argv[2] : JS_UNDEFINED, &op);
    text_done(ctx, name);
    if (op) {
        op->values[EVENT_NAME] = JS_DupValue(ctx, argv[0]);
        (void)frames_caller(ctx, &op->values[EVENT_CALLER], &op->extra); /* else it is not told */
    }
    return promise;
}

/* (promise) → the number of the wait that it is, 0: it has settled, -1: it is something else */
JSValue workflow_wait_of(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    JSPromiseStateEnum state = argc > 0 ? JS_PromiseState(ctx, argv[0]) : JS_PROMISE_NOT_A_PROMISE;
    if (state != JS_PROMISE_PENDING)
        return JS_NewInt32(ctx, state == JS_PROMISE_NOT_A_PROMISE ? -1 : 0);
    const struct op_pending *op = op_pending_of(argv[0]);
    return op && op->is_wait ? JS_NewUint32(ctx, op->number) : JS_NewInt32(ctx, -1);
}

/* (number of a wait, reason) */
JSValue workflow_withdraw(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    uint32_t number = 0;
    if (argc < 2 || JS_ToUint32(ctx, &number, argv[0]) < 0)
        return JS_ThrowTypeError(ctx, "withdraw needs a wait and a reason");
    abort_op(ctx, number, argv[1]);
    return JS_UNDEFINED;
}

/* --- children ------------------------------------------------------------------------------------
 */

enum { TEXTS_MAX = 3 };

/* Texts of the arguments; false: exception. */
static bool workflow_texts(JSContext *ctx, int count, int argc, JSValueConst *argv,
                           struct text *texts)
{
    for (int i = 0; i < count; i++) {
        texts[i] = text_of(ctx, i < argc ? argv[i] : JS_UNDEFINED);
        if (texts[i].at)
            continue;
        while (i-- > 0)
            text_done(ctx, texts[i]);
        return false;
    }
    return true;
}

static void workflow_texts_done(JSContext *ctx, int count, struct text *texts)
{
    for (int i = 0; i < count; i++)
        text_done(ctx, texts[i]);
}

static struct op_bytes workflow_slot(struct text text)
{
    return op_bytes(text.at, text.len);
}

/* (workflow, input as JSON, key or "") → the execution's id */
JSValue workflow_child_start(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct op_reply reply;
    struct text t[TEXTS_MAX];
    if (!workflow_check(ctx, "startChild()") || !workflow_texts(ctx, 3, argc, argv, t))
        return JS_EXCEPTION;
    struct op_child_start args = {
        .workflow = workflow_slot(t[0]), .input = workflow_slot(t[1]), .key = workflow_slot(t[2])};
    bool is_ok = op_ask(ctx, OP_CHILD_START, &args, &reply);
    workflow_texts_done(ctx, 3, t);
    if (!is_ok)
        return JS_EXCEPTION;
    JSValue id = text_decode(ctx, reply.data, reply.len, true);
    op_reply_done(&reply);
    return id;
}

static void child_done(JSContext *ctx, struct op_pending *op, uint32_t status,
                       const uint8_t *payload, uint32_t len)
{
    bool is_told = len > 0 && payload[0] == '{'; /* else it is this execution that was cancelled */
    abort_unwatch(ctx, op);
    if (status == 0)
        op_settle(ctx, op, false, len > 0 ? json_parse(ctx, payload, len) : JS_NULL);
    else if (is_told && (status == ERR_GUEST || status == ERR_CANCELLED))
        op_settle(ctx, op, true,
                  workflow_error(
                      ctx, status == ERR_GUEST ? WORKFLOW_CHILD_FAILED : WORKFLOW_CHILD_CANCELLED,
                      (const char *)payload, len));
    else
        op_settle(ctx, op, true, op_error(ctx, status, (const char *)payload, len));
}

/* (execution, signal) */
JSValue workflow_child_result(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct text t[TEXTS_MAX];
    struct op_pending *op;
    if (!workflow_check(ctx, "result() of a child") || !workflow_texts(ctx, 1, argc, argv, t))
        return JS_EXCEPTION;
    struct op_child_result args = {.execution = workflow_slot(t[0])};
    JSValue promise =
        wait_start(ctx, OP_CHILD_RESULT, &args, child_done, argc > 1 ? argv[1] : JS_UNDEFINED, &op);
    workflow_texts_done(ctx, 1, t);
    return promise;
}

/* Calls an op without a result; consumes the texts. */
static JSValue workflow_call(JSContext *ctx, enum op_code code, const void *args, int count,
                             struct text *texts)
{
    struct op_reply reply;
    bool is_ok = op_ask(ctx, code, args, &reply);
    workflow_texts_done(ctx, count, texts);
    if (!is_ok)
        return JS_EXCEPTION;
    op_reply_done(&reply);
    return JS_UNDEFINED;
}

/* (execution, name, data as JSON) */
JSValue workflow_signal(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct text t[TEXTS_MAX];
    if (!workflow_check(ctx, "signal() of a child") || !workflow_texts(ctx, 3, argc, argv, t))
        return JS_EXCEPTION;
    struct op_signal args = {
        .execution = workflow_slot(t[0]), .name = workflow_slot(t[1]), .data = workflow_slot(t[2])};
    return workflow_call(ctx, OP_SIGNAL, &args, 3, t);
}

/* (execution) */
JSValue workflow_child_cancel(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct text t[TEXTS_MAX];
    if (!workflow_check(ctx, "cancel() of a child") || !workflow_texts(ctx, 1, argc, argv, t))
        return JS_EXCEPTION;
    struct op_child_cancel args = {.execution = workflow_slot(t[0])};
    return workflow_call(ctx, OP_CHILD_CANCEL, &args, 1, t);
}

/* (JSON) */
JSValue workflow_progress(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct text t[TEXTS_MAX];
    if (!eng.is_durable && !workflow_check(ctx, "progress()"))
        return JS_EXCEPTION;
    if (!workflow_texts(ctx, 1, argc, argv, t))
        return JS_EXCEPTION;
    struct op_progress args = {.json = workflow_slot(t[0])};
    return workflow_call(ctx, OP_PROGRESS, &args, 1, t);
}

/* --- scopes, for the runtime ---------------------------------------------------------------------
 */

JSValue workflow_scope(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    return JS_NewUint32(ctx, eng.scope);
}

JSValue workflow_in_scope(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    uint32_t scope = 0, outer = eng.scope;
    if (argc < 2 || JS_ToUint32(ctx, &scope, argv[0]) < 0)
        return JS_ThrowTypeError(ctx, "inScope needs a scope and a function");
    if (!eng.is_durable)
        return JS_Call(ctx, argv[1], JS_UNDEFINED, 0, NULL);
    scope_set(scope);
    JSValue result = JS_Call(ctx, argv[1], JS_UNDEFINED, 0, NULL);
    scope_set(outer);
    return result;
}
