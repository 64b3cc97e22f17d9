/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of the engine instance, and the pieces its files share. One instance is one isolate:
 * one runtime, one context, one thread. Everything that every request writes lies in `eng`, next to
 * the head of the dispatch input, because each dirtied page costs the host a copy after the
 * request. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dispatch.h"
#include "guest/abi.h"
#include "pack.h"
#include "quickjs.h"

enum { ENGINE_OP_BUCKETS = 16 };

/* Functions that guest/runtime gives us (README.md). */
#define ENGINE_HOOKS(X)                                                                            \
    X(streamFromSource)                                                                            \
    X(streamFromBytes)                                                                             \
    X(streamTakeSource)                                                                            \
    X(streamReadAll)                                                                               \
    X(streamToSink)                                                                                \
    X(isStream)                                                                                    \
    X(streamState)                                                                                 \
    X(bodyFromObject)                                                                              \
    X(makeBlob)                                                                                    \
    X(parseFormData)                                                                               \
    X(platformParts)                                                                               \
    X(makeFile)                                                                                    \
    X(makeSignal)                                                                                  \
    X(followSignal)                                                                                \
    X(abortSignal)                                                                                 \
    X(isSignal)                                                                                    \
    X(workflowsOf)                                                                                 \
    X(workflowStart)                                                                               \
    X(workflowCancel)                                                                              \
    X(workflowError)                                                                               \
    X(stepOptions)                                                                                 \
    X(errorPack)                                                                                   \
    X(errorUnpack)                                                                                 \
    X(inspect)                                                                                     \
    X(errorUncaught)                                                                               \
    X(rejectionUnhandled)                                                                          \
    X(rejectionHandled)                                                                            \
    X(fetchListener)                                                                               \
    X(fetchLocal)                                                                                  \
    X(bindingOf)                                                                                   \
    X(entrypointsOf)                                                                               \
    X(entrypointFetch)                                                                             \
    X(methodCall)                                                                                  \
    X(actorFetch)                                                                                  \
    X(actorCall)                                                                                   \
    X(contextExports)                                                                              \
    X(serviceRedirect)                                                                             \
    X(socketFetched)                                                                               \
    X(socketRespond)                                                                               \
    X(duration)

enum engine_hook {
#define X(name) HOOK_##name,
    ENGINE_HOOKS(X)
#undef X
        HOOK_COUNT_
};

/* Property names used on hot paths, made once. */
#define ENGINE_ATOMS(X)                                                                            \
    X(toJSON)                                                                                      \
    X(toISOString)                                                                                 \
    X(status)                                                                                      \
    X(statusText)                                                                                  \
    X(webSocket)                                                                                   \
    X(headers)                                                                                     \
    X(body)                                                                                        \
    X(method)                                                                                      \
    X(signal)                                                                                      \
    X(redirect)                                                                                    \
    X(cache)                                                                                       \
    X(credentials)                                                                                 \
    X(mode)                                                                                        \
    X(referrerPolicy)                                                                              \
    X(referrer)                                                                                    \
    X(integrity)                                                                                   \
    X(keepalive)                                                                                   \
    X(cf)                                                                                          \
    X(code)                                                                                        \
    X(name)                                                                                        \
    X(message)                                                                                     \
    X(stack)                                                                                       \
    X(cause)                                                                                       \
    X(length)                                                                                      \
    X(prototype)                                                                                   \
    X(aborted)                                                                                     \
    X(reason)                                                                                      \
    X(url)                                                                                         \
    X(metadata)                                                                                    \
    X(tee)                                                                                         \
    X(next)                                                                                        \
    X(done)                                                                                        \
    X(value)                                                                                       \
    X(then)                                                                                        \
    X(attempt)

enum engine_atom {
#define X(name) ATOM_##name,
    ENGINE_ATOMS(X)
#undef X
        ATOM_COUNT_
};

struct request;
struct rejection;
struct op_pending;
struct module_native;

struct engine {
    JSRuntime *rt;
    JSContext *ctx;

    uint32_t dispatch;             /* whose code is running; 0: none, or loading */
    uint32_t scope;                /* of the step whose body runs, 0: none; only scope.c sets it */
    bool is_loading;               /* top-level code */
    bool is_durable;               /* runs a workflow */
    bool is_actor;                 /* is the one instance of a class */
    bool has_turn;                 /* likewise, and has used its storage since it was at rest */
    bool has_frames;               /* promises carry frames (scope.h) */
    bool has_diverged;             /* which was not the one in the journal: nothing more may run */
    uint32_t random_dispatch;      /* for which Math.random was seeded; UINT32_MAX: never */
    uint64_t random_state[2];      /* xorshift128+ */
    struct dispatch *dispatches;   /* not finished */
    struct dispatch dispatch_slot; /* for the usual case of one at a time */
    struct request *input_request; /* still reads from the dispatch input */

    struct op_pending *op_buckets[ENGINE_OP_BUCKETS];
    struct op_pending *op_completed_first, *op_completed_last;

    struct rejection *rejections; /* promises rejected without a handler since the last look */

    /* What the module exports; JS_UNDEFINED if it does not. */
    uint32_t exports;   /* enum abi_export */
    bool is_entrypoint; /* the default one is a class of that sort */
    JSValue default_object, fetch, function;
    JSValue handler_object, handle, setup;

    JSValue env;  /* the one env object: lazy, stateless */
    JSValue kept; /* objects whose shapes shall live (hot.c) */
    JSValue hooks[HOOK_COUNT_];
    JSAtom atoms[ATOM_COUNT_];
    struct module_native *modules;
    JSValue frame; /* scope.h: of the code that runs; undefined: none */
    JSValue date_proto, date_to_json, date_to_iso; /* as they were made */
};

enum { ENGINE_RUNTIME_ROOM = 1280, ENGINE_CONTEXT_ROOM = 416 };

/* What every request writes: one page, together with the beginning of its input. */
struct engine_page {
    struct engine state;
    _Alignas(8) uint8_t runtime_room[ENGINE_RUNTIME_ROOM]; /* the JSRuntime (memory.c) */
    _Alignas(8) uint8_t context_room[ENGINE_CONTEXT_ROOM]; /* the JSContext (hot.c) */
    _Alignas(16) uint8_t head[ABI_HEAD_BYTES];
};
extern struct engine_page engine_page;
#define eng (engine_page.state)

/* Calls a hook; JS_EXCEPTION also if the runtime did not give it. */
JSValue engine_hook(JSContext *ctx, enum engine_hook hook, int argc, JSValueConst *argv);
bool engine_has_hook(enum engine_hook hook);
/* Runs jobs until none is left, and files what they threw. */
void engine_drain(JSContext *ctx);
/* Defines a class with a prototype; the constructor becomes a global of that name unless NULL. */
bool engine_class(JSContext *ctx, JSClassID *ret_id, const JSClassDef *def,
                  JSCFunction *constructor, int length, const JSCFunctionListEntry *methods,
                  int method_count);
/* Calls a hook that says yes or no; no also if the runtime did not give it, or it threw. */
bool engine_hook_says(JSContext *ctx, enum engine_hook hook, int argc, JSValueConst *argv);
/* Logs an error nobody caught. */
void engine_report(JSContext *ctx, const char *prefix, JSValueConst error);
/* The same, unless a listener for "error" prevents it. */
void engine_report_uncaught(JSContext *ctx, const char *prefix, JSValueConst error);
/* Tells the host that a dispatch (0: loading) failed with the pending exception, which is cleared.
 */
void engine_fail(JSContext *ctx, uint32_t dispatch);

/* Each file's part of the globals; false: a JS exception is pending. */
bool headers_init(JSContext *ctx);
bool request_init(JSContext *ctx);
bool response_init(JSContext *ctx);
bool fetch_init(JSContext *ctx);
bool json_init(JSContext *ctx);
bool crypto_init(JSContext *ctx);
bool textcodec_init(JSContext *ctx);
bool dispatch_init(JSContext *ctx);
bool env_init(JSContext *ctx);
bool module_init(JSContext *ctx);
bool layout_init(JSContext *ctx);

/* Objects of our classes, for hot.c to keep. */
JSValue dispatch_new_context(JSContext *ctx, uint32_t number);

/* serviceFetch(target, input, init?) of __limpet: fetch() of a service. */
JSValue fetch_service(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);

/* native.c: the object __limpet, and its removal. */
bool native_define(JSContext *ctx);
void native_remove(JSContext *ctx);
