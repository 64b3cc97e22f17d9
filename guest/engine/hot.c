/* SPDX-License-Identifier: Apache-2.0
 *
 * A QuickJS arena is a header and n blocks of one size, found from a block by its index; nothing
 * says that it must fill a page. So we lay out small ones by hand and link them in front of
 * QuickJS's lists. One block of each counts as used for ever, which keeps QuickJS from giving
 * "empty" ones to free(). */
#include "hot.h"

#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "layout.h"
#include "request.h"
#include "response.h"

enum {
    CLASSES = 31,         /* size classes of QuickJS */
    RUNTIME_BYTES = 1024, /* searched for the lists */
    CONTEXT_CLASS = 25,   /* that of a JSContext */
    FREE_NIL = 0xFFFF,
};

struct hot_arena {
    struct layout_link free_link;
    struct layout_link link;
    uint8_t size_class;
    uint16_t used, count;
    uint16_t first_free;
    _Alignas(8) uint8_t blocks[];
};

static const uint16_t class_bytes[CLASSES] = {16,  24,  32,  40,  48,  56,  64,  72,  80,  88,  96,
                                              104, 112, 120, 128, 144, 160, 176, 192, 208, 224, 240,
                                              256, 288, 320, 352, 384, 416, 448, 480, 512};

/* How many blocks of each class: made before the context, before the kept objects, before the
 * module is loaded, and for requests: a first page and then some. */
static const uint8_t context_tier[CLASSES] = {4, 0, 8, 0, 12, 0, 0, 0, 16};
static const uint8_t kept_tier[CLASSES] = {0, 48, 4, 4, 48, 2, 4, 4, 60, 0, 8};
static const uint8_t module_tier[CLASSES] = {8, 64, 32, 32, 96, 16, 16, 8, 32, 8, 8, 8, 8};
static const uint8_t first_tier[CLASSES] = {6, 14, 8, 8, 16, 4, 3, 3, 3, 2, 2, 1, 2, 1, 1, 1, 1};
static const uint8_t second_tier[CLASSES] = {8, 48, 24, 20, 56, 16, 12, 8, 12, 8, 8, 6,
                                             6, 4,  4,  4,  2,  2,  2,  2, 1,  1, 1};

enum {
    CONTEXT_TIER_BYTES = 3072,
    KEPT_TIER_BYTES = 13312,
    MODULE_TIER_BYTES = 16384,
    FIRST_TIER_BYTES = 4096,
    SECOND_TIER_BYTES = 16384,
    HOT_BYTES = CONTEXT_TIER_BYTES + KEPT_TIER_BYTES + MODULE_TIER_BYTES + FIRST_TIER_BYTES +
                SECOND_TIER_BYTES,
};

static _Alignas(4096) uint8_t hot_pages[HOT_BYTES];
static uint8_t *hot_at = hot_pages;
static struct layout_link *all_lists, *free_lists; /* CLASSES each, in the runtime */

static struct hot_arena *hot_arena_of(const void *block)
{
    const struct layout_block *b = layout_block(block);
    if (b->size_class >= CLASSES || b->index >= 256)
        return NULL;
    return (struct hot_arena *)((uint8_t *)b - class_bytes[b->size_class] * b->index -
                                sizeof(struct hot_arena));
}

static bool hot_is_in_runtime(const JSRuntime *rt, const struct layout_link *link)
{
    return (uintptr_t)link - (uintptr_t)rt < RUNTIME_BYTES;
}

/* Follows a list from one of its members to its head, which is in the runtime. */
static struct layout_link *hot_head(const JSRuntime *rt, struct layout_link *member)
{
    struct layout_link *at = member->next;
    for (int i = 0; i < 10000 && at != member; i++, at = at->next)
        if (hot_is_in_runtime(rt, at))
            return at;
    return NULL;
}

static void hot_link(struct layout_link *member, struct layout_link *head)
{
    member->prev = head;
    member->next = head->next;
    head->next->prev = member;
    head->next = member;
}

/* Lays out an arena at *at and puts it in front. False: it does not fit before end. */
static bool hot_arena_add(uint8_t **at, const uint8_t *end, int size_class, uint32_t count)
{
    uint32_t bytes = class_bytes[size_class];
    if (count == 0)
        return true;
    if (sizeof(struct hot_arena) + bytes * count > (uintptr_t)end - (uintptr_t)*at)
        return false;
    struct hot_arena *arena = (struct hot_arena *)*at;
    *arena = (struct hot_arena){
        .size_class = (uint8_t)size_class, .used = 1, .count = (uint16_t)(count + 1)};
    for (uint32_t i = 0; i < count; i++) {
        struct layout_block *block = (struct layout_block *)(arena->blocks + bytes * i);
        block->index = i + 1 < count ? (uint16_t)(i + 1) : FREE_NIL; /* the next free one */
        block->size_class = (uint8_t)size_class;
    }
    hot_link(&arena->link, &all_lists[size_class]);
    hot_link(&arena->free_link, &free_lists[size_class]);
    *at += sizeof(struct hot_arena) + bytes * count;
    return true;
}

/* Puts a tier in front, in the next `bytes` of the hot pages. */
static void hot_tier(const uint8_t *counts, uint32_t bytes)
{
    uint8_t *at = hot_at;
    hot_at += bytes;
    for (int c = 0; c < CLASSES; c++)
        if (!hot_arena_add(&at, hot_at, c, counts[c]))
            return;
}

bool hot_init(JSRuntime *rt)
{
    for (int c = 1; c < CLASSES; c++) {
        void *block = js_malloc_rt(rt, class_bytes[c] - sizeof(struct layout_block));
        struct hot_arena *arena = block ? hot_arena_of(block) : NULL;
        if (!arena || arena->size_class != c || arena->used == 0 || arena->used >= arena->count)
            return false;
        struct layout_link *all = hot_head(rt, &arena->link);
        struct layout_link *free_list = hot_head(rt, &arena->free_link);
        js_free_rt(rt, block);
        if (!all || !free_list || free_list != all + CLASSES)
            return false;
        if (c == 1)
            all_lists = all - 1;
        else if (all != all_lists + c)
            return false;
    }
    free_lists = all_lists + CLASSES;
    uint8_t *at = engine_page.context_room; /* for the next block of that class: the context */
    hot_tier(context_tier, CONTEXT_TIER_BYTES);
    return hot_arena_add(&at, at + sizeof engine_page.context_room, CONTEXT_CLASS, 1);
}

void hot_begin_module(void)
{
    hot_tier(module_tier, MODULE_TIER_BYTES);
}

void hot_end_module(JSContext *ctx)
{
    uint8_t *first = hot_at;
    hot_at += FIRST_TIER_BYTES;
    hot_tier(second_tier, SECOND_TIER_BYTES);
    hot_at = first; /* what is laid out later lies in front */
    hot_tier(first_tier, FIRST_TIER_BYTES);
    /* New objects are linked behind the last one, which is written: let that be a near one. */
    JSValue last = JS_NewObject(ctx);
    if (JS_IsException(last) || JS_SetPropertyStr(ctx, eng.kept, "last", last) < 0)
        JS_FreeValue(ctx, JS_GetException(ctx)); /* only a page more */
}

/* --- prebuilding ---------------------------------------------------------------------------------
 */

enum { VISIT_MAX = 1024 };

struct hot_visit {
    JSContext *ctx;
    const void *seen[VISIT_MAX];
    uint32_t count;
};

static void hot_touch(struct hot_visit *v, JSValueConst object, int depth);

/* Looking at a property makes it, if it is lazy. */
static void hot_touch_property(struct hot_visit *v, JSValueConst object, JSAtom atom, int depth)
{
    JSPropertyDescriptor desc;
    int found = JS_GetOwnProperty(v->ctx, &desc, object, atom);
    if (found < 0)
        JS_FreeValue(v->ctx, JS_GetException(v->ctx));
    if (found <= 0)
        return;
    if (desc.flags & JS_PROP_GETSET) {
        JS_FreeValues(v->ctx, desc.getter, desc.setter);
    } else {
        hot_touch(v, desc.value, depth + 1);
        JS_FreeValue(v->ctx, desc.value);
    }
}

static void hot_touch(struct hot_visit *v, JSValueConst object, int depth)
{
    JSPropertyEnum *names;
    uint32_t count;
    if (!JS_IsObject(object) || depth > 4 || v->count == VISIT_MAX)
        return;
    for (uint32_t i = 0; i < v->count; i++)
        if (v->seen[i] == JS_VALUE_GET_PTR(object))
            return;
    v->seen[v->count++] = JS_VALUE_GET_PTR(object);
    if (JS_GetOwnPropertyNames(v->ctx, &names, &count, object,
                               JS_GPN_STRING_MASK | JS_GPN_SYMBOL_MASK) < 0) {
        JS_FreeValue(v->ctx, JS_GetException(v->ctx));
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        hot_touch_property(v, object, names[i].atom, depth);
    JS_FreePropertyEnum(v->ctx, names, count);
}

/* Objects whose shapes are worth keeping: what the language makes, and literals found in most
 * handlers. Functions get their properties one by one, and each await makes two without any, so the
 * shapes on the way are kept too: an object of each, the emptiest first. */
static const char kept_source[] =
    "[...[() => {}, async () => {}, function* () {}, async function* () {}].flatMap((f) => {"
    "const proto = Object.getPrototypeOf(f), make = () => Object.create(proto);"
    "return [make(), Object.defineProperty(make(), 'length', {value: 0, configurable: true}), f]"
    "}), Object.create(Promise.prototype), {}, [], new Map, new Set, new Date(0), /x/, "
    "/x/.exec('x'), new Error('x'), new "
    "TypeError('x'),"
    "new Uint8Array(1), new ArrayBuffer(1), new Promise(() => {}), (async () => {})(),"
    "(function* () { yield 1 })(), [][Symbol.iterator](), ''[Symbol.iterator](), new "
    "Map().entries(),"
    "() => {}, async () => {}, function () {}, class {}, (() => {}).bind(),"
    "{value: 0, done: false}, {status: 0}, {headers: 0}, {status: 0, headers: 0}, {headers: 0, "
    "status: 0},"
    "{'content-type': 0}, {'Content-Type': 0}, {method: 0}, {method: 0, headers: 0, body: 0},"
    "{method: 0, body: 0}, {error: 0}, {message: 0}, {ok: 0}, {id: 0}, {id: 0, name: 0}, {name: 0},"
    "{data: 0}, {result: 0}, {body: 0, metadata: 0}, {method: 0, url: 0, headers: 0},"
    "{columns: 0, rows: 0, changes: 0, lastRowId: 0}, new TextEncoder, new TextDecoder]";

bool hot_prebuild(JSContext *ctx)
{
    struct hot_visit *v = calloc(1, sizeof *v);
    if (!v)
        return false;
    v->ctx = ctx;
    JSValue global = JS_GetGlobalObject(ctx);
    hot_touch(v, global, 0);
    JS_FreeValue(ctx, global);
    free(v);
    hot_tier(kept_tier, KEPT_TIER_BYTES);
    struct request *request;
    struct response *response;
    struct header_list *list = header_list_new(ctx);
    JSValue own[] = {
        JS_NewObject(ctx),
        request_new(ctx, &request),
        dispatch_new_context(ctx, 0),
        response_new(ctx, &response),
        list ? headers_object(ctx, list) : JS_EXCEPTION,
        JS_Eval(ctx, kept_source, sizeof kept_source - 1, "kept", JS_EVAL_TYPE_GLOBAL)};
    header_list_unref(eng.rt, list);
    engine_drain(ctx);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (JS_IsException(own[i]))
            return false;
    eng.kept = JS_NewArrayFrom(ctx, sizeof own / sizeof *own, own);
    return !JS_IsException(eng.kept);
}
