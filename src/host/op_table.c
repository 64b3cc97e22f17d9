/* SPDX-License-Identifier: Apache-2.0
 *
 * ops.def at work: from a number and slots in guest memory to a handler, and what the op's class
 * means in a durable execution, for all ops at one place. An op number, a pointer or a length that the
 * guest got wrong is its error, never ours: every field is checked before a handler sees it. What may
 * be large (type mem) is only shown to the handler where it lies.
 *
 * What a record is recognized by (recording_digest) is in journals and never changes: fields, their order
 * and which of them count are as they were when the op came. */
#include "host/recording.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "sandbox/isolate.h"

/* ---- decoding ---- */

struct decoder {
    struct guest *guest;
    const char *op; /* its name */
    const char *slots;
};

static uint64_t next_slot(struct decoder *d)
{
    uint64_t v;
    memcpy(&v, d->slots, sizeof(v));
    d->slots += sizeof(v);
    return v;
}

static bool decode_u32(struct decoder *d, const char *field, uint32_t *ret)
{
    *ret = (uint32_t)next_slot(d);
    return true;
}

static bool decode_f64(struct decoder *d, const char *field, double *ret)
{
    uint64_t v = next_slot(d);
    memcpy(ret, &v, sizeof(v));
    return true;
}

static bool decode_mem(struct decoder *d, const char *field, struct slice *ret)
{
    uint64_t v = next_slot(d);
    size_t len = (size_t)(v >> 32);
    char *ptr = isolate_memory(d->guest->isolate, (uint32_t)v, len);
    if (!ptr) {
        (void)op_refuse(d->guest, ERR_INVALID, "%s: %s lies outside of memory", d->op, field);
        return false;
    }
    *ret = slice_of(ptr, len);
    return true;
}

/* Apart, so that its buffer is no part of each argument's decoding. */
__attribute__((noinline, cold)) static bool refuse_large(struct decoder *d, const char *field,
                                                         size_t len)
{
    char what[64];
    snprintf(what, sizeof(what), "%s: %s", d->op, field);
    (void)op_refuse_large(d->guest, what, len, "give less in one call");
    return false;
}

static bool decode_bytes(struct decoder *d, const char *field, struct slice *ret)
{
    if (!decode_mem(d, field, ret))
        return false;
    return ret->len <= LIMIT_VALUE_BYTES || refuse_large(d, field, ret->len);
}

static bool decode_str(struct decoder *d, const char *field, struct slice *ret)
{
    if (!decode_bytes(d, field, ret))
        return false;
    if (slice_is_utf8(*ret))
        return true;
    (void)op_refuse(d->guest, ERR_INVALID, "%s: %s is not UTF-8", d->op, field);
    return false;
}

#define F(type, name) &&decode_##type(d, #name, &to->name)
#define OP(CODE, name_, number, class, reply, when, handler, shows, fields)                        \
    static bool decode_op_##name_(struct decoder *d, union op_args *a)                             \
    {                                                                                              \
        struct op_##name_##_args *to = &a->name_;                                                  \
        (void)to;                                                                                  \
        return true fields;                                                                        \
    }
#include "host/ops.def"
#undef OP
#undef F

/* ---- what records are recognized by, and called ---- */

static void digest_number(struct record_hash *h, const void *at, size_t len)
{
    record_hash_add(h, slice_of(at, len));
}

#define DIGEST_u32(h, v) digest_number(h, &(v), sizeof(v))
#define DIGEST_f64(h, v) digest_number(h, &(v), sizeof(v))
#define DIGEST_str(h, v) record_hash_add(h, v)
#define DIGEST_bytes(h, v) record_hash_add(h, v)
#define DIGEST_mem(h, v) record_hash_add(h, v)
#define F(type, name) DIGEST_##type(h, a->name);
#define H(type, name)
#define BLANK record_hash_add(h, SLICE_EMPTY);
#define OP(CODE, name, number, class, reply, when, handler, shows, fields)                         \
    static void digest_op_##name(struct record_hash *h, const void *args)                          \
    {                                                                                              \
        const struct op_##name##_args *a = args;                                                   \
        (void)a;                                                                                   \
        fields                                                                                     \
    }
#include "host/ops.def"
#undef OP
#undef BLANK
#undef H
#undef F

#define F(type, name)
#define L(type, name) label = a->name;
#define H(type, name)
#define OP(CODE, name_, number, class, reply, when, handler, shows, fields)                        \
    static struct slice label_op_##name_(const union op_args *args)                                \
    {                                                                                              \
        const struct op_##name_##_args *a = &args->name_;                                          \
        struct slice label = SLICE_EMPTY;                                                          \
        (void)a;                                                                                   \
        fields return label;                                                                       \
    }
#include "host/ops.def"
#undef OP
#undef H
#undef L
#undef F

/* ---- the arguments of an EXTERNAL op, which the execution keeps until it is started ---- */

static uint32_t unpack_u32(struct slice *in)
{
    uint32_t v;
    CHECK(in->len >= sizeof(v)); /* we packed it */
    memcpy(&v, in->ptr, sizeof(v));
    *in = slice_skip(*in, sizeof(v));
    return v;
}

static inline double unpack_f64(struct slice *in)
{
    double v;
    CHECK(in->len >= sizeof(v));
    memcpy(&v, in->ptr, sizeof(v));
    *in = slice_skip(*in, sizeof(v));
    return v;
}

static inline void pack_f64(struct bytes *out, double v)
{
    bytes_append(out, &v, sizeof(v));
}

static struct slice unpack_mem(struct slice *in)
{
    uint32_t len = unpack_u32(in);
    CHECK(in->len >= len);
    struct slice s = slice_of(in->ptr, len);
    *in = slice_skip(*in, len);
    return s;
}

#define PACK_u32 bytes_append_u32
#define PACK_f64 pack_f64
#define PACK_str bytes_append_lstr
#define PACK_bytes bytes_append_lstr
#define PACK_mem bytes_append_lstr
#define UNPACK_u32 unpack_u32
#define UNPACK_f64 unpack_f64
#define UNPACK_str unpack_mem
#define UNPACK_bytes unpack_mem
#define UNPACK_mem unpack_mem

/* ---- by class: a handler's functions, as far as its class has them ---- */

#define FOR_PURE(effect, call, start)
#define FOR_LOCAL(effect, call, start)
#define FOR_RECORDED(effect, call, start)
#define FOR_SQL(effect, call, start)
#define FOR_TRANSACTIONAL(effect, call, start) effect
#define FOR_SUSPENDING(effect, call, start) call
#define FOR_EXTERNAL(effect, call, start) call start

#define FOR_PLAIN(check)
#define FOR_OWN(check)
#define FOR_CHECKED(check) check

struct op_functions {
    uint8_t slots; /* how many it takes */
    bool (*decode)(struct decoder *d, union op_args *a);
    void (*digest)(struct record_hash *h, const void *args);
    struct slice (*label)(const union op_args *a);
    enum err (*run)(struct guest *g, const union op_args *a);
    /* NULL, where its row does not ask for it: */
    enum err (*check)(struct guest *g, union op_args *a);
    void (*effect)(struct guest *g, const union op_args *a);
    enum err (*call)(struct guest *g, const union op_args *a, struct op_call *c);
    void (*pack)(const union op_args *a, struct bytes *out);
    enum err (*start)(struct guest *g, uint32_t id, struct slice packed);
};

#define OP(CODE, name, number, class, reply, when, handler, shows, fields)                         \
    static enum err run_op_##name(struct guest *g, const union op_args *a)                         \
    {                                                                                              \
        return op_##name(g, &a->name);                                                             \
    }                                                                                              \
    FOR_##handler(static enum err check_op_##name(struct guest *g, union op_args *a) {             \
        return op_##name##_check(g, &a->name);                                                     \
    })                                                                                             \
        FOR_##class(                                                                               \
            static void effect_op_##name(struct guest *g, const union op_args *a) {                \
                op_##name##_effect(g, &a->name);                                                   \
            },                                                                                     \
            static enum err call_op_##name(struct guest *g, const union op_args *a,                \
                                           struct op_call *c) {                                    \
                return op_##name##_call(g, &a->name, c);                                           \
            }, )
#include "host/ops.def"
#undef OP

#define F(type, name) PACK_##type(out, a->name);
#define OP(CODE, name_, number, class, reply, when, handler, shows, fields)                        \
    FOR_##class(                                                                                   \
        , , static void pack_op_##name_(const union op_args *args, struct bytes *out) {            \
            const struct op_##name_##_args *a = &args->name_;                                      \
            (void)a;                                                                               \
            fields                                                                                 \
        })
#include "host/ops.def"
#undef OP
#undef F

#define F(type, name) a.name = UNPACK_##type(&packed);
#define OP(CODE, name_, number, class, reply, when, handler, shows, fields)                        \
    FOR_##class(                                                                                   \
        , , static enum err start_op_##name_(struct guest *g, uint32_t id, struct slice packed) {  \
            struct op_##name_##_args a;                                                            \
            fields return op_##name_##_start(g, id, &a);                                           \
        })
#include "host/ops.def"
#undef OP
#undef F

#define MEMBER(...) __VA_ARGS__,
#define F(type, name) +1
static const struct op_functions functions[] = {
#define OP(CODE, name, number, class, reply, when, handler, shows, fields)                         \
    [number] = {.slots = 0 fields,                                                                 \
                .decode = decode_op_##name,                                                        \
                .digest = digest_op_##name,                                                        \
                .label = label_op_##name,                                                          \
                .run = run_op_##name,                                                              \
                FOR_##handler(MEMBER(.check = check_op_##name)) FOR_##class(                       \
                    MEMBER(.effect = effect_op_##name), MEMBER(.call = call_op_##name),            \
                    MEMBER(.pack = pack_op_##name, .start = start_op_##name))},
#include "host/ops.def"
#undef OP
};
#undef F
#undef MEMBER

const char *op_name(uint32_t number)
{
    return op_row(number)->name;
}

uint64_t recording_digest(enum op_number number, const void *args)
{
    struct record_hash h;
    record_hash_init(&h, number);
    functions[number].digest(&h, args);
    return record_hash_end(&h);
}

/* ---- what the class says ---- */

/* The journal is asked before, and told after. In a replay of a record whose effects may not have been
 * stored they are stored again. */
static enum err do_recorded(struct guest *g, const struct op_row *row, const union op_args *a)
{
    const struct op_functions *f = &functions[row->number];
    struct recording r;
    enum err err;
    if (g->durable)
        g->durable->place = execution_end(g->durable->execution);
    if (recording_replays(g, &r, row->number, a, f->label(a), &err)) {
        if (err == OK && r.is_tail && f->effect)
            f->effect(g, a);
        return err;
    }
    err = f->run(g, a);
    if (g->stand.is_working && op_is_over(g))
        return ERR_CANCELLED;
    if (err == OK && f->effect)
        f->effect(g, a);
    return recording_done(&r, err);
}

static enum err do_call(struct guest *g, const struct op_row *row, const union op_args *a)
{
    const struct op_functions *f = &functions[row->number];
    CLEANUP(bytes_done) struct bytes packed = BYTES_INIT;
    struct op_call c = {
        .call = {.op = row->number, .label = f->label(a), .delay_us = EXECUTION_NEVER}};
    enum err err = f->call(g, a, &c);
    if (c.label.len > 0)
        c.call.label = bytes_slice(&c.label);
    if (err == OK && f->pack)
        f->pack(a, &packed);
    c.call.args = bytes_slice(&packed);
    if (err == OK)
        err = recording_call(g, &c, a);
    bytes_done(&c.label);
    bytes_done(&c.more);
    return err;
}

static enum err do_op(struct guest *g, const struct op_row *row, const union op_args *a)
{
    bool is_own = row->handler == OP_HANDLER_OWN;
    switch (row->class) {
    case OP_RECORDED:
    case OP_SQL:
    case OP_TRANSACTIONAL:
        if (!is_own)
            return do_recorded(g, row, a);
        break;
    case OP_EXTERNAL:
    case OP_SUSPENDING:
        if (!is_own && guest_is_recorded(g))
            return do_call(g, row, a);
        break;
    case OP_PURE:
    case OP_LOCAL:
        break;
    }
    return functions[row->number].run(g, a);
}

static enum err do_standing(struct guest *g)
{
    return do_op(g, op_row(g->op_number), &g->stand.args);
}

/* What is recorded has to be read for a replay; elsewhere it is at hand. */
static bool may_take_long(const struct guest *g, const struct op_row *row)
{
    return row->reply == OP_REPLY_STANDS && (row->class != OP_RECORDED || guest_is_recorded(g));
}

enum err op_run(struct guest *g, const struct op_row *row, uint32_t args_at)
{
    const struct op_functions *f = &functions[row->number];
    const char *slots = isolate_memory(g->isolate, args_at, (size_t)f->slots * 8);
    if (!slots)
        return op_refuse(g, ERR_INVALID, "the arguments lie outside of memory");
    struct decoder d = {g, row->name, slots};
    union op_args a;
    if (!f->decode(&d, &a))
        return g->op_error.code;
    enum err err = f->check ? f->check(g, &a) : OK;
    if (err != OK)
        return err;
    if (!may_take_long(g, row))
        return do_op(g, row, &a);
    g->stand.args = a;
    return op_stand(g, do_standing);
}

/* ---- external calls, when the execution says so ---- */

void guest_start_call(struct guest *g, uint32_t id, uint32_t op, struct slice args)
{
    CHECK(op < ARRAY_LEN(functions) && functions[op].start);
    enum err err = functions[op].start(g, id, args);
    if (err != OK)
        execution_arrive(g->durable->execution, id, err, slice_cstr(g->op_error.message));
}

void guest_stop_call(struct guest *g, uint32_t id)
{
    struct op *op = op_find(g, id);
    if (op)
        op_give_up(op);
}
