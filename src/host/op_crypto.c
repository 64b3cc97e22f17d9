/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops CIPHER, CRYPTO, CRYPTO_RANDOM: crypto/ for guests. What is short is done in the call. What may
 * take more than a few milliseconds is a job on the pool: of a cipher one piece at a time, which is
 * copied out of the guest's memory before and into it after, so that only this thread touches that;
 * of the others all of it, on copies of the arguments. Its CPU time is its context's.
 *
 * In a durable execution the guest stands still for a job outside of steps, so that it learns the
 * result at the same place each time; a result that differs each time is recorded. */
#include "host/recording.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "crypto/cipher.h"
#include "crypto/crypto.h"
#include "host/job.h"
#include "module/deployment.h"

enum { PIECE_BYTES = 512 * 1024, PIECE_MORE = 64 /* what its result may have more */ };

struct crypto_op {
    struct op op;
    struct job job;
    struct recording recording;
    size_t charged; /* to the guest, for what is copied */
    enum err err;
    struct error error;
    struct bytes out;
    struct bytes args; /* where the arguments of `call` lie */
    struct crypto_call call;
    /* CIPHER */
    struct cipher *cipher; /* NULL: it is none */
    struct slice data;     /* in the guest's memory, as is: */
    char *to;
    size_t taken, given; /* of these */
    struct bytes piece;
    bool is_last;
};

static void wipe(struct bytes *b)
{
    if (b->ptr)
        OPENSSL_cleanse(b->ptr, b->cap);
    bytes_done(b);
}

static void crypto_op_free(struct crypto_op *o)
{
    cipher_free(o->cipher);
    wipe(&o->piece);
    wipe(&o->args);
    wipe(&o->out);
    free(o);
}

static void on_cancelled(struct op *op)
{
    struct crypto_op *o = container_of(op, struct crypto_op, op);
    guest_discharge(op->guest, o->charged);
    op->guest = NULL;
    if (job_cancel(&o->job))
        crypto_op_free(o);
}

/* ---- results ---- */

static void put_len(struct bytes *out, size_t len)
{
    bytes_append_u32(out, (uint32_t)len);
}

static void complete(struct crypto_op *o)
{
    struct guest *g = o->op.guest;
    struct context *c = o->op.context;
    guest_discharge(g, o->charged);
    if (o->job.is_late)
        o->err = error_set(&o->error, ERR_LIMIT_CPU, "the computation used up the CPU time");
    if (o->recording.guest && o->err == OK) {
        recording_done_as(&o->recording, bytes_slice(&o->out));
    } else if (o->recording.guest && !o->job.is_late) {
        g->op_error = o->error;
        (void)recording_done(&o->recording, o->err);
    }
    g->pauses = g->pauses || guest_is_to_stand(g);
    if (o->err == OK)
        op_complete(&o->op, OK, bytes_slice(&o->out));
    else
        op_complete_error(&o->op, &o->error);
    if (o->job.is_late)
        context_exhaust(c);
    crypto_op_free(o);
}

/* ---- CRYPTO ---- */

static void call_run(struct job *j)
{
    struct crypto_op *o = container_of(j, struct crypto_op, job);
    o->err = crypto_run(&o->call, &o->out, &o->error);
}

static void call_done(struct job *j)
{
    struct crypto_op *o = container_of(j, struct crypto_op, job);
    if (j->is_cancelled) {
        crypto_op_free(o);
        return;
    }
    context_charge_cpu(o->op.context, j->cpu_ns);
    complete(o);
}

/* A job's arguments are copies. */
static void copy_args(struct crypto_op *o, const struct crypto_call *call)
{
    struct slice *fields[] = {&o->call.key, &o->call.salt, &o->call.info, &o->call.data};
    o->call = *call;
    size_t all = 0;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        all += fields[i]->len;
    bytes_reserve(&o->args, all);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const char *at = o->args.ptr + o->args.len;
        bytes_append_slice(&o->args, *fields[i]);
        fields[i]->ptr = at;
    }
}

/* May the op that runs become a job? Of a durable execution, only where the guest stands still. */
static enum err check_wait(struct guest *g)
{
    if (g->may_stand && guest_is_in_transaction(g))
        return op_refuse(
            g, ERR_INVALID,
            "what computes for long may not wait inside a transaction; do it before or "
            "after");
    if (guest_is_recorded(g) && !g->may_stand)
        return op_refuse(g, ERR_INVALID, "that is an op to wait for");
    return OK;
}

/* Begins a job that holds so many bytes. */
static enum err begin(struct guest *g, size_t bytes, struct crypto_op **ret_op)
{
    enum err err = guest_charge(g, bytes);
    if (err != OK)
        return err;
    struct crypto_op *o = calloc(1, sizeof(*o));
    CHECK(o);
    o->charged = bytes;
    bytes_clear(&g->result);
    err = op_begin(g, &o->op, on_cancelled);
    if (err != OK) {
        guest_discharge(g, bytes);
        free(o);
        return err;
    }
    *ret_op = o;
    return OK;
}

static void start(struct crypto_op *o)
{
    struct guest *g = o->op.guest;
    o->job.cpu_ns_max = context_cpu_left(o->op.context);
    job_start(g->host->jobs, &o->job, g->deployment->account, g);
}

static enum err call_begin(struct guest *g, const struct crypto_call *call,
                           const struct recording *r)
{
    struct crypto_op *o;
    size_t bytes = call->key.len + call->salt.len + call->info.len + call->data.len +
                   crypto_memory_bytes(call);
    enum err err = begin(g, bytes, &o);
    if (err != OK)
        return err;
    if (r)
        o->recording = *r;
    copy_args(o, call);
    o->call.stops = job_stops;
    o->call.stops_arg = &o->job;
    o->job.run = call_run;
    o->job.done = call_done;
    start(o);
    return OK;
}

static bool stops_at(void *arg)
{
    return clock_thread_cpu_ns() > *(const uint64_t *)arg;
}

/* Here and now; while a module is loaded also what takes long, for there is no loop then, and the
 * thread is the build's. */
static enum err call_now(struct guest *g, struct crypto_call *call, struct recording *r)
{
    CLEANUP(wipe) struct bytes out = BYTES_INIT;
    uint64_t until = clock_thread_cpu_ns() + LIMIT_BUILD_CPU_MS * UINT64_C(1000000);
    call->stops = stops_at;
    call->stops_arg = &until;
    enum err err = crypto_run(call, &out, &g->op_error);
    if (err == ERR_CANCELLED)
        err = op_refuse(g, ERR_LIMIT_CPU, "the computation used more CPU time than a build may");
    if (err != OK)
        return r ? recording_done(r, err) : err;
    bytes_clear(&g->result);
    bytes_append_u32(&g->result, 0);
    bytes_append_slice(&g->result, bytes_slice(&out));
    if (r)
        recording_done_as(r, bytes_slice(&out));
    return OK;
}

static bool is_job(const struct guest *g, const struct crypto_call *call)
{
    return g->host && g->host->jobs && !g->loading && crypto_is_long(call);
}

/* CRYPTO and CRYPTO_RANDOM have the same fields. */
#define CALL_OF(args)                                                                              \
    {.function = (enum abi_crypto)(args)->function,                                                \
     .hash = (args)->hash,                                                                         \
     .a = (args)->a,                                                                               \
     .b = (args)->b,                                                                               \
     .key = (args)->key,                                                                           \
     .salt = (args)->salt,                                                                         \
     .info = (args)->info,                                                                         \
     .data = (args)->data}

enum err op_crypto(struct guest *g, const struct op_crypto_args *a)
{
    struct crypto_call call = CALL_OF(a);
    if (crypto_is_random(call.function))
        return op_refuse(g, ERR_INVALID, "that function belongs to CRYPTO_RANDOM");
    if (!is_job(g, &call))
        return call_now(g, &call, NULL);
    enum err err = check_wait(g);
    return err == OK ? call_begin(g, &call, NULL) : err;
}

enum err op_crypto_random(struct guest *g, const struct op_crypto_random_args *a)
{
    struct crypto_call call = CALL_OF(a);
    struct recording r;
    enum err err = OK;
    if (!crypto_is_random(call.function))
        return op_refuse(g, ERR_INVALID, "that function belongs to CRYPTO");
    bool is_long = is_job(g, &call);
    if (is_long)
        err = check_wait(g);
    if (err != OK)
        return err;
    bytes_append_u32(&g->result, 0);
    if (recording_replays(g, &r, OP_NUMBER_CRYPTO_RANDOM, a, SLICE_EMPTY, &err))
        return err;
    if (!is_long)
        return call_now(g, &call, &r);
    err = call_begin(g, &call, &r);
    return err == OK ? OK : recording_done(&r, err);
}

/* ---- CIPHER ---- */

static void cipher_run(struct job *j)
{
    struct crypto_op *o = container_of(j, struct crypto_op, job);
    bytes_clear(&o->out);
    bytes_reserve(&o->out, o->piece.len + PIECE_MORE);
    o->err = cipher_piece(o->cipher, bytes_slice(&o->piece), o->is_last, o->out.ptr, &o->out.len,
                          &o->error);
}

/* The rest goes in one, if it is hardly more than a piece: the last one has all of a tag. */
static void cipher_take(struct crypto_op *o)
{
    size_t left = o->data.len - o->taken;
    o->is_last = left <= PIECE_BYTES + PIECE_MORE;
    struct slice piece = slice_of(o->data.ptr + o->taken, o->is_last ? left : PIECE_BYTES);
    bytes_clear(&o->piece);
    bytes_append_slice(&o->piece, piece);
    o->taken += piece.len;
}

/* What has come out is never more than what was taken, but at the end. */
static void cipher_give(struct crypto_op *o)
{
    if (o->err != OK)
        return;
    memcpy(o->to + o->given, o->out.ptr, o->out.len);
    o->given += o->out.len;
}

static void cipher_done(struct job *j)
{
    struct crypto_op *o = container_of(j, struct crypto_op, job);
    if (j->is_cancelled) {
        crypto_op_free(o);
        return;
    }
    context_charge_cpu(o->op.context, j->cpu_ns);
    cipher_give(o);
    j->is_late = j->cpu_ns > j->cpu_ns_max;
    if (o->err == OK && !o->is_last && !j->is_late) {
        cipher_take(o);
        start(o);
        return;
    }
    bytes_clear(&o->out);
    put_len(&o->out, o->given);
    complete(o);
}

static enum err cipher_begin(struct guest *g, const struct op_cipher_args *a, struct cipher *cipher)
{
    struct crypto_op *o;
    enum err err = begin(g, (size_t)2 * (PIECE_BYTES + PIECE_MORE), &o);
    if (err != OK) {
        cipher_free(cipher);
        return err;
    }
    o->cipher = cipher;
    o->data = a->data;
    o->to = (char *)a->out.ptr;
    o->job.run = cipher_run;
    o->job.done = cipher_done;
    cipher_take(o);
    start(o);
    return OK;
}

/* All of it in this call. */
static enum err cipher_now(struct guest *g, const struct op_cipher_args *a, struct cipher *cipher)
{
    size_t len = 0;
    enum err err = cipher_piece(cipher, a->data, true, (char *)a->out.ptr, &len, &g->op_error);
    cipher_free(cipher);
    bytes_append_u32(&g->result, 0);
    put_len(&g->result, len);
    return err;
}

enum err op_cipher(struct guest *g, const struct op_cipher_args *a)
{
    struct cipher_start how = {.mode = (enum abi_cipher)a->mode,
                               .is_decryption = a->is_decryption != 0,
                               .bits = a->bits,
                               .key = a->key,
                               .iv = a->iv,
                               .aad = a->aad,
                               .data_bytes = a->data.len};
    struct cipher *cipher;
    bool is_long = a->data.len > ABI_CIPHER_INLINE_BYTES;
    if (a->out.len < cipher_out_bytes(&how) || (is_long && a->data.ptr != a->out.ptr))
        return op_refuse(g, ERR_INVALID, "there is no room for the result");
    enum err err = is_long && !g->loading ? check_wait(g) : OK;
    if (err == OK)
        err = cipher_new(&how, &cipher, &g->op_error);
    if (err != OK)
        return err;
    return is_long && !g->loading && g->host && g->host->jobs ? cipher_begin(g, a, cipher)
                                                              : cipher_now(g, a, cipher);
}
