/* SPDX-License-Identifier: Apache-2.0 */
#include "source.h"

#include <stdlib.h>

#include "abort.h"
#include "engine.h"

struct source_watch {
    struct source_watch *next;
    uint32_t source;
    bool is_aborted;
    JSValue signal, listener; /* until it aborts */
    JSValue reason;           /* then */
};

static struct source_watch *watches;

static struct source_watch **watch_find(uint32_t source)
{
    struct source_watch **at = &watches;
    while (*at && (*at)->source != source)
        at = &(*at)->next;
    return at;
}

/* data: source */
static JSValue watch_on_abort(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                              int magic, JSValueConst *data)
{
    uint32_t source = 0;
    JS_ToUint32(ctx, &source, data[0]);
    struct source_watch *w = *watch_find(source);
    if (!w || w->is_aborted)
        return JS_UNDEFINED;
    JSValue reason = JS_GetProperty(ctx, w->signal, eng.atoms[ATOM_reason]);
    if (JS_IsException(reason))
        return reason;
    JSValue signal = w->signal, listener = w->listener;
    w->signal = w->listener = JS_UNDEFINED;
    w->reason = reason;
    w->is_aborted = true;
    /* Who waits for a read is told by its completion, who pipes it by the host. */
    op_tell(OP_STREAM_CLOSE, &(struct op_stream_close){.source = source});
    JS_FreeValues(ctx, signal, listener);
    return JS_UNDEFINED;
}

bool source_watch(JSContext *ctx, uint32_t source, JSValueConst signal)
{
    struct source_watch *w = js_malloc(ctx, sizeof *w);
    JSValue data = JS_NewUint32(ctx, source);
    if (!w)
        return false;
    JSValue listener = JS_NewCFunctionData(ctx, watch_on_abort, 0, 0, 1, &data);
    if (JS_IsException(listener) || !abort_listen(ctx, signal, "addEventListener", listener)) {
        JS_FreeValue(ctx, listener);
        js_free(ctx, w);
        return false;
    }
    *w = (struct source_watch){.next = watches,
                               .source = source,
                               .signal = JS_DupValue(ctx, signal),
                               .listener = listener,
                               .reason = JS_UNDEFINED};
    watches = w;
    return true;
}

void source_over(JSContext *ctx, uint32_t source)
{
    struct source_watch **at = watch_find(source), *w = *at;
    if (!w)
        return;
    *at = w->next;
    if (!w->is_aborted && !abort_listen(ctx, w->signal, "removeEventListener", w->listener))
        JS_FreeValue(ctx, JS_GetException(ctx)); /* the listener finds nothing to abort */
    JS_FreeValues(ctx, w->signal, w->listener, w->reason);
    js_free(ctx, w);
}

struct op_pending *source_read(JSContext *ctx, uint32_t source, uint32_t len_max, op_done_fn *done)
{
    const struct source_watch *w = *watch_find(source);
    if (w && w->is_aborted) {
        JS_Throw(ctx, JS_DupValue(ctx, w->reason));
        return NULL;
    }
    struct op_stream_read args = {.source = source, .len_max = len_max};
    return op_start(ctx, OP_STREAM_READ, &args, done);
}

JSValue source_read_promise(JSContext *ctx, uint32_t source, uint32_t len_max, op_done_fn *done)
{
    const struct source_watch *w = *watch_find(source);
    if (w && w->is_aborted)
        return JS_NewSettledPromise(ctx, true, w->reason);
    struct op_pending *op = NULL;
    struct op_stream_read args = {.source = source, .len_max = len_max};
    JSValue promise = op_start_promise(ctx, OP_STREAM_READ, &args, done, &op);
    if (op)
        op->extra = source;
    return promise;
}

JSValue source_error(JSContext *ctx, uint32_t source, uint32_t status, const uint8_t *payload,
                     uint32_t len)
{
    const struct source_watch *w = *watch_find(source);
    JSValue error = w && w->is_aborted ? JS_DupValue(ctx, w->reason)
                                       : op_error(ctx, status, (const char *)payload, len);
    source_over(ctx, source);
    return error;
}
