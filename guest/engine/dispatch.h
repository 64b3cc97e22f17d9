/* SPDX-License-Identifier: Apache-2.0
 *
 * One dispatch: a request or an execution, from the host's call to the answer and the end of
 * everything that ctx.waitUntil() was given. Many may be open in one isolate (isolation =
 * "module").
 *
 * No .then() closures: after the job queue has drained, dispatch_poll() looks at the state of the
 * promises that a dispatch waits for. A handler that is async but awaits nothing costs one look. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pack.h"
#include "quickjs.h"

struct dispatch {
    struct dispatch *next;
    uint32_t number; /* 0: the slot is free */
    uint8_t kind;    /* enum abi_dispatch */
    bool is_answered;
    bool is_input;   /* the texts below lie in the dispatch input */
    uint32_t reads;  /* bodies being read or sent on its behalf, in C */
    uint32_t sink;   /* what `writing` writes to */
    JSValue request; /* the Request, for its signal; or undefined */
    JSValue promise; /* what the handler returned and has not settled; or undefined */
    JSValue writing; /* the promise of a streamed answer; or undefined */
    JSValue *waits;  /* of ctx.waitUntil() */
    uint32_t wait_count, wait_cap;
    struct text function, execution;
    struct text entrypoint; /* while the input is there */
    struct text props;      /* JSON, or empty */
    uint8_t *own;           /* the texts, when the input's memory is used again */
};

/* Starts one; the input stays valid until dispatch_keep(). */
void dispatch_start(JSContext *ctx, uint32_t number, uint32_t kind, const uint8_t *at,
                    uint32_t len);
/* Copies what open dispatches and live requests still have in the memory of the input. False:
 * exception. */
bool dispatch_keep(JSContext *ctx);
/* Looks at what dispatches wait for. True: something moved, so jobs may be pending again. */
bool dispatch_poll(JSContext *ctx);
uint32_t dispatch_count(void);
/* 0: there is no such dispatch, 1: it is open, 2: and waits for what was given to waitUntil(). */
int32_t dispatch_state(uint32_t number);
/* Nobody wants its answer any more: its promises are not looked at again. */
void dispatch_forget(JSContext *ctx, uint32_t number);
void dispatch_abort(JSContext *ctx, uint32_t number);
/* It lasts until that promise has settled, as by ctx.waitUntil(). False: exception. */
bool dispatch_wait_for(JSContext *ctx, struct dispatch *d, JSValueConst promise);
/* The dispatch of that number; NULL: finished, or never was. */
struct dispatch *dispatch_find(uint32_t number);
/* waitUntil(promise) of __limpet: for the request that runs. */
JSValue dispatch_wait(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
