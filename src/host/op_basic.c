/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops without waiting: log, clock, random, env, URLs, digests; and the timer. */
#include "host/recording.h"

#include <endian.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/random.h"
#include "crypto/crypto.h"
#include "http/url_set.h"
#include "limpet_deps.h"
#include "loop/loop.h"
#include "module/deployment.h"

enum { RANDOM_MAX = 65536, TIMER_MS_MAX = INT32_MAX };

/* Lines outside of steps are counted: a replay prints them again, and the store has so many. */
static bool is_stored_line(struct guest *g)
{
    g->durable->lines++;
    if (g->durable->lines_stored < 0)
        return execution_state(g->durable->execution) != EXECUTION_IS_LIVE;
    return g->durable->lines <= g->durable->lines_stored;
}

/* Counts a line; false: there are too many, nothing is printed. */
static bool take_line(unsigned *lines, const char *what, struct bytes *scratch, int *level,
                      struct slice *text)
{
    if (++*lines < LIMIT_GUEST_LOG_LINES)
        return true;
    if (*lines > LIMIT_GUEST_LOG_LINES) {
        *lines = LIMIT_GUEST_LOG_LINES + 1; /* a loop never comes round */
        return false;
    }
    bytes_printf(scratch, "further lines of this %s are dropped: the limit is %d", what,
                 LIMIT_GUEST_LOG_LINES);
    *text = bytes_slice(scratch);
    *level = 2;
    return true;
}

/* The line, cut if it is too long: it then says so. */
static struct slice cut_line(struct slice text, struct bytes *scratch)
{
    enum { NOTE_BYTES = 96 };
    if (text.len <= LIMIT_GUEST_LOG_LINE_BYTES)
        return op_text_clip(text, text.len);
    bytes_append_slice(scratch, op_text_clip(text, LIMIT_GUEST_LOG_LINE_BYTES - NOTE_BYTES));
    bytes_printf(scratch, "… [cut: a line of %zu bytes, above the limit of %d KiB]", text.len,
                 LIMIT_GUEST_LOG_LINE_BYTES >> 10);
    return bytes_slice(scratch);
}

/* Lines of an execution are stored with its records; what was printed before is not printed again
 * by a replay. So those outside of steps, which a replay prints again, are counted apart, from one
 * delivery to the next: a replay drops the same. */
static enum err log_durably(struct guest *g, int level, struct slice text)
{
    CLEANUP(bytes_done) struct bytes scratch = BYTES_INIT;
    struct guest_durable *d = g->durable;
    if (!take_line(g->scope == 0 ? &d->code_lines : &d->step_lines,
                   g->scope == 0 ? "stretch between two waits" : "step", &scratch, &level, &text))
        return OK;
    struct execution_effect line = {
        .kind = EXECUTION_LOG, .level = level, .value = text, .at_us = clock_wall_us()};
    if (g->scope == 0 && is_stored_line(g))
        return OK;
    execution_effect(d->execution, &line);
    return OK;
}

enum err op_log(struct guest *g, const struct op_log_args *a)
{
    if (!g->host || !g->host->log)
        return OK;
    CLEANUP(bytes_done) struct bytes cut = BYTES_INIT;
    struct slice text = cut_line(a->text, &cut);
    int level = a->level <= 3 ? (int)a->level : 1;
    if (g->durable)
        return log_durably(g, level, text);
    if (!g->context && !g->loading)
        return OK; /* of a request that is over */
    CLEANUP(bytes_done) struct bytes scratch = BYTES_INIT;
    if (!take_line(g->context ? &g->context->log_lines : &g->loading->log_lines, "request",
                   &scratch, &level, &text))
        return OK;
    g->host->log(g->host->ctx, g->deployment, g->context ? g->context->dispatch : NULL, level,
                 text);
    return OK;
}

enum err op_clock(struct guest *g, const struct op_clock_args *a)
{
    double ms = 0;
    if (g->loading)
        ms = 0;                    /* an image must not depend on when it was made */
    else if (guest_is_recorded(g)) /* stands still while code runs */
        ms = (double)(execution_now_us(g->durable->execution) -
                      (a->which == 0 ? 0 : g->durable->started_us)) /
             1000.0;
    else if (a->which == 0)
        ms = (double)clock_wall_us() / 1000.0;
    else
        ms = (double)(clock_monotonic_ns() - g->cell.clock_base_ns) / 1e6;
    bytes_append(&g->result, &ms, sizeof(ms));
    return OK;
}

enum err op_random_check(struct guest *g, struct op_random_args *a)
{
    if (a->len <= RANDOM_MAX)
        return OK;
    return op_refuse(g, ERR_INVALID, "%u random bytes in one call are above the limit of %d",
                     a->len, RANDOM_MAX);
}

enum err op_random(struct guest *g, const struct op_random_args *a)
{
    bytes_reserve(&g->result, a->len);
    random_bytes(g->result.ptr, a->len);
    g->result.len = a->len;
    return OK;
}

/* ---- variables ----
 *
 * They may be secrets, so a record names the value that the code got by its version: u32 2, i64; of
 * a list u32 2^32 - 1, u32 count, then lstr name and i64 version of each. A replay gives what they
 * were; what is asked for later has the values of then. Records of before hold the values. */

enum {
    ENV_NONE = 0,
    ENV_VALUE = 1,
    ENV_VERSION = 2,
    /* in answers only */
    ENV_JSON = 3,
    ENV_BINDING = 4,
};
#define ENV_VERSIONS UINT32_MAX

static const struct deployment_env *env_find(const struct deployment *d, struct slice name)
{
    for (size_t k = 0; d && k < d->env_len; k++)
        if (slice_eq(d->env[k].name, name))
            return &d->env[k];
    return NULL;
}

static void env_note_secret(struct guest *g)
{
    if (g->durable)
        g->durable->has_secret = true;
}

/* Its value under that version; one that nobody has any more is what it is now. */
static bool env_append(struct guest *g, struct slice name, int64_t version, struct bytes *out)
{
    struct error ignored;
    const struct deployment_env *now = env_find(g->deployment, name);
    bool is_value = now && now->is_secret && (!now->is_bound || now->version != version);
    if (!now || is_value) /* one that is gone may have been a secret, or not bound */
        env_note_secret(g);
    if (!now || now->version != version)
        if (g->host && g->host->env_value &&
            g->host->env_value(g->host->ctx, g->deployment, name, version, out, &ignored) == OK)
            return true;
    if (now)
        bytes_append_slice(out, now->value);
    return now != NULL;
}

static uint32_t env_take_u32(struct slice *in)
{
    uint32_t v = 0;
    if (in->len >= sizeof(v))
        memcpy(&v, in->ptr, sizeof(v));
    *in = slice_skip(*in, in->len < sizeof(v) ? in->len : sizeof(v));
    return le32toh(v);
}

static int64_t env_take_i64(struct slice *in)
{
    uint64_t v = 0;
    if (in->len >= sizeof(v))
        memcpy(&v, in->ptr, sizeof(v));
    *in = slice_skip(*in, in->len < sizeof(v) ? in->len : sizeof(v));
    return (int64_t)le64toh(v);
}

static uint32_t env_kind(const struct deployment_env *env)
{
    return !env ? ENV_NONE : env->binding ? ENV_BINDING : env->is_json ? ENV_JSON : ENV_VALUE;
}

/* What the code gets for the record in g->result. */
static enum err env_get_replayed(struct guest *g, struct slice name)
{
    struct slice in = bytes_slice(&g->result);
    if (env_take_u32(&in) != ENV_VERSION)
        return OK;
    CLEANUP(bytes_done) struct bytes value = BYTES_INIT;
    const int64_t version = env_take_i64(&in);
    bool is_there = env_append(g, name, version, &value);
    if (op_is_over(g))
        return ERR_CANCELLED;
    const struct deployment_env *now = env_find(g->deployment, name);
    const bool is_now = now && (now->binding || now->version == version);
    bytes_clear(&g->result);
    bytes_append_u32(&g->result, is_now ? env_kind(now) : is_there ? ENV_VALUE : ENV_NONE);
    bytes_append_slice(&g->result, bytes_slice(&value));
    return OK;
}

enum err op_env_get(struct guest *g, const struct op_env_get_args *a)
{
    struct recording r;
    enum err err;
    if (recording_replays(g, &r, OP_NUMBER_ENV_GET, a, a->name, &err))
        return err == OK ? env_get_replayed(g, a->name) : err;
    const struct deployment_env *env = env_find(g->deployment, a->name);
    CLEANUP(bytes_done) struct bytes payload = BYTES_INIT;
    bytes_append_u32(&g->result, env_kind(env));
    bytes_append_u32(&payload, env ? ENV_VERSION : ENV_NONE);
    if (env && env->is_secret && !env->is_bound)
        env_note_secret(g);
    if (env) {
        bytes_append_slice(&g->result, env->value);
        bytes_append_u64(&payload, (uint64_t)env->version);
    }
    recording_done_as(&r, bytes_slice(&payload));
    return OK;
}

/* How many of its variables are bindings, and their names. They are the version's, so that a record
 * need not have them. */
static uint32_t env_append_bindings(const struct deployment *d, struct bytes *out)
{
    const size_t at = out->len;
    uint32_t count = 0;
    bytes_append_u32(out, 0);
    for (size_t k = 0; d && k < d->env_len; k++) {
        if (!d->env[k].binding)
            continue;
        bytes_append_lstr(out, d->env[k].name);
        count++;
    }
    const uint32_t there = htole32(count);
    memcpy(out->ptr + at, &there, sizeof(there));
    return count;
}

static enum err env_list_replayed(struct guest *g)
{
    struct slice in = bytes_slice(&g->result);
    if (env_take_u32(&in) != ENV_VERSIONS)
        return OK;
    CLEANUP(bytes_done) struct bytes record = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes list = BYTES_INIT;
    bytes_append_slice(&record, in);
    in = bytes_slice(&record);
    uint32_t there = 0;
    bytes_append_u32(&list, 0); /* their number, below */
    for (uint32_t count = env_take_u32(&in); count > 0 && in.len > 0; count--) {
        CLEANUP(bytes_done) struct bytes value = BYTES_INIT;
        uint32_t len = env_take_u32(&in);
        struct slice name = slice_of(in.ptr, len < in.len ? len : in.len);
        in = slice_skip(in, name.len);
        bool is_there = env_append(g, name, env_take_i64(&in), &value);
        if (op_is_over(g))
            return ERR_CANCELLED;
        if (!is_there)
            continue;
        there++;
        bytes_append_lstr(&list, name);
        bytes_append_lstr(&list, bytes_slice(&value));
    }
    there = htole32(there);
    memcpy(list.ptr, &there, sizeof(there));
    bytes_clear(&g->result);
    bytes_append_slice(&g->result, bytes_slice(&list));
    env_append_bindings(g->deployment, &g->result);
    return OK;
}

enum err op_env_list(struct guest *g, const struct op_env_list_args *a)
{
    const struct deployment *d = g->deployment;
    struct recording r;
    enum err err;
    if (recording_replays(g, &r, OP_NUMBER_ENV_LIST, a, SLICE_EMPTY, &err))
        return err == OK ? env_list_replayed(g) : err;
    CLEANUP(bytes_done) struct bytes payload = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes bindings = BYTES_INIT;
    const uint32_t count = (d ? (uint32_t)d->env_len : 0) - env_append_bindings(d, &bindings);
    bytes_append_u32(&g->result, count);
    bytes_append_u32(&payload, ENV_VERSIONS);
    bytes_append_u32(&payload, count);
    for (size_t k = 0; d && k < d->env_len; k++) {
        if (d->env[k].binding)
            continue;
        if (d->env[k].is_secret && !d->env[k].is_bound)
            env_note_secret(g);
        bytes_append_lstr(&g->result, d->env[k].name);
        bytes_append_lstr(&g->result, d->env[k].value);
        bytes_append_lstr(&payload, d->env[k].name);
        bytes_append_u64(&payload, (uint64_t)d->env[k].version);
    }
    bytes_append_slice(&g->result, bytes_slice(&bindings));
    recording_done_as(&r, bytes_slice(&payload));
    return OK;
}

static void give_url(struct guest *g, struct deps_url *u)
{
    struct bytes *out = &g->result;
    const uint32_t offsets[] = {u->scheme_end,     u->username_start, u->username_end,
                                u->password_start, u->password_end,   u->host_start,
                                u->host_end,       u->path_start,     u->path_end};
    const int32_t optional[] = {u->port, u->query_start, u->fragment_start};
    bytes_append(out, offsets, sizeof(offsets));
    bytes_append(out, optional, sizeof(optional));
    bytes_append_lstr(out, slice_of(u->origin, u->origin_len));
    bytes_append_lstr(out, slice_of(u->href, u->href_len));
    deps_url_done(u);
}

enum err op_builtin(struct guest *g, const struct op_builtin_args *a)
{
    struct slice code;
    if (!g->runtime->type->builtin || !g->runtime->type->builtin(a->name, &code))
        return op_refuse(g, ERR_NOT_FOUND, "there is no such module here");
    bytes_append(&g->result, code.ptr, code.len + 1);
    return OK;
}

enum err op_url_parse(struct guest *g, const struct op_url_parse_args *a)
{
    struct deps_url url;
    if (!deps_url_parse(a->input.ptr, a->input.len, a->base.ptr, a->base.len, &url))
        return op_refuse(g, ERR_INVALID, "Invalid URL: '%.*s'",
                         a->input.len > 200 ? 200 : (int)a->input.len,
                         a->input.ptr ? a->input.ptr : "");
    give_url(g, &url);
    return OK;
}

enum err op_url_set(struct guest *g, const struct op_url_set_args *a)
{
    struct deps_url url;
    if (a->part > DEPS_URL_HASH || !url_set(a->href, (enum deps_url_part)a->part, a->value, &url))
        return op_refuse(g, ERR_INVALID, "the URL cannot take this value");
    give_url(g, &url);
    return OK;
}

/* One piece. Nothing of the guest runs between the calls that belong together, so one state is
 * enough; what is left half done ends with the next one. */
enum err op_url_pattern(struct guest *g, const struct op_url_pattern_args *a)
{
    char *texts = NULL;
    size_t len = 0;
    if (a->what > DEPS_PATTERN_MATCHED)
        return op_refuse(g, ERR_INVALID, "%u asks nothing about patterns", a->what);
    size_t max = a->what == DEPS_PATTERN_MATCHED ? DEPS_PATTERN_INPUT_MAX : DEPS_PATTERN_BYTES_MAX;
    if (a->texts.len > max)
        return op_refuse(g, ERR_TOO_LARGE, "a text of %zu bytes is above the limit of %zu KiB",
                         a->texts.len, max >> 10);
    bool is_ok =
        deps_pattern((enum deps_pattern_what)a->what, a->texts.ptr, a->texts.len, &texts, &len);
    if (is_ok)
        bytes_append(&g->result, texts, len);
    enum err err = is_ok ? OK : op_refuse(g, ERR_INVALID, "%.*s", (int)len, texts);
    deps_pattern_done(texts, len);
    return err;
}

enum err op_digest(struct guest *g, const struct op_digest_args *a)
{
    const EVP_MD *md = crypto_md(a->algorithm);
    if (!md)
        return op_refuse(g, ERR_INVALID,
                         "there is no digest %u; use SHA-1, SHA-256, SHA-384 or SHA-512",
                         a->algorithm);
    if (a->data.len > ABI_PIECE_BYTES)
        return op_refuse(g, ERR_INVALID, "a piece for a digest has %zu bytes, more than %d",
                         a->data.len, ABI_PIECE_BYTES);
    EVP_MD_CTX *digest = TAKE(g->digest);
    if (digest && EVP_MD_CTX_get0_md(digest) != md) {
        EVP_MD_CTX_free(digest);
        digest = NULL;
    }
    bool is_ok = true;
    if (!digest) {
        digest = EVP_MD_CTX_new();
        is_ok = digest && EVP_DigestInit_ex(digest, md, NULL);
    }
    is_ok = is_ok && EVP_DigestUpdate(digest, a->data.ptr ? a->data.ptr : "", a->data.len);
    if (is_ok && a->is_more) {
        g->digest = digest;
        return OK;
    }
    unsigned len = 0;
    bytes_reserve(&g->result, EVP_MAX_MD_SIZE);
    is_ok = is_ok && EVP_DigestFinal_ex(digest, (unsigned char *)g->result.ptr, &len);
    EVP_MD_CTX_free(digest);
    if (!is_ok)
        return op_refuse(g, ERR_INTERNAL, "the digest failed");
    g->result.len = len;
    return OK;
}

enum err op_seed(struct guest *g, const struct op_seed_args *a)
{
    uint64_t seed = g->loading ? g->loading->random_seed : 0;
    if (g->loading)
        g->loading->has_drawn = true;
    bytes_append(&g->result, &seed, sizeof(seed));
    return OK;
}

enum err op_stack_map(struct guest *g, const struct op_stack_map_args *a)
{
    if (g->deployment)
        deployment_write_stack(g->deployment, a->stack, &g->result);
    else
        bytes_append_slice(&g->result, a->stack);
    return OK;
}

/* ---- timer ---- */

struct timer_op {
    struct op op;
    struct timer timer;
};

static void timer_fired(struct timer *t)
{
    struct timer_op *o = container_of(t, struct timer_op, timer);
    op_complete(&o->op, OK, SLICE_EMPTY);
    free(o);
}

static void timer_cancelled(struct op *op)
{
    struct timer_op *o = container_of(op, struct timer_op, op);
    timer_stop(op->guest->host->loop, &o->timer);
    free(o);
}

/* "sleep 1.5 h": a duration for people. */
static void label_sleep(double ms, char *ret_text, size_t size)
{
    static const struct {
        double ms;
        const char *name;
    } units[] = {{86400e3, "d"}, {3600e3, "h"}, {60e3, "min"}, {1e3, "s"}, {0, "ms"}};
    size_t k = 0;
    while (ms < units[k].ms)
        k++;
    snprintf(ret_text, size, "sleep %.4g %s", units[k].ms > 0 ? ms / units[k].ms : ms,
             units[k].name);
}

/* NaN and negative ones: at once. */
enum err op_timer_check(struct guest *g, struct op_timer_args *a)
{
    a->delay_ms = a->delay_ms > 0 ? a->delay_ms : 0;
    return OK;
}

enum err op_timer_call(struct guest *g, const struct op_timer_args *a, struct op_call *c)
{
    char label[64];
    label_sleep(a->delay_ms, label, sizeof(label));
    bytes_append_cstr(&c->label, label);
    c->call.kind = EXECUTION_TIMER;
    if (a->delay_ms < 9e12)
        c->call.delay_us = (int64_t)(a->delay_ms * 1000);
    return OK;
}

enum err op_timer(struct guest *g, const struct op_timer_args *a)
{
    struct timer_op *o = calloc(1, sizeof(*o));
    CHECK(o);
    enum err err = op_begin(g, &o->op, timer_cancelled);
    if (err != OK) {
        free(o);
        return err;
    }
    timer_start(g->host->loop, &o->timer, (uint64_t)fmin(ceil(a->delay_ms), TIMER_MS_MAX),
                timer_fired);
    return OK;
}

enum err op_cancel(struct guest *g, const struct op_cancel_args *a)
{
    if (g->durable && !(a->op & GUEST_OWN_OPS)) {
        if (g->scope == 0) /* a replay does not run the bodies of steps */
            execution_cancel_call(g->durable->execution, a->op);
        return OK;
    }
    struct op *op = op_find(g, a->op);
    if (!op)
        return OK;
    struct error e;
    error_set(&e, ERR_CANCELLED, "the operation was cancelled");
    op_complete_error(op, &e);
    op->cancel(op);
    return OK;
}

enum err op_loaded(struct guest *g, const struct op_loaded_args *a)
{
    if (!g->loading)
        return op_refuse(g, ERR_FORBIDDEN, "no module is being loaded");
    g->loading->exports = a->exports;
    bytes_clear(&g->loading->workflows);
    bytes_append_slice(&g->loading->workflows, a->workflows);
    return OK;
}
