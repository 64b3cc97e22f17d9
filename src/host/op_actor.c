/* SPDX-License-Identifier: Apache-2.0
 *
 * Actors: ids of those that code may reach, and what an actor asks for itself: its storage, whose ops run in
 * its turn (op_sql.c), and what of its requests may go on. Calls of actors are those of services
 * (op_service.c). */
#include "host/recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "host/actor_id.h"
#include "host/sql_store.h"
#include "module/binding.h"
#include "module/deployment.h"
#include "sandbox/isolate.h"

/* ---- ids ---- */

struct slice guest_actor_origin(struct guest *g, struct slice module, struct slice class)
{
    const struct deployment *d = g->deployment;
    if (!slice_eq(module, d->name))
        d = g->host->deployment ? g->host->deployment(g->host->ctx, module) : NULL;
    return d ? deployment_actor_origin(d, class) : class;
}

static enum err actor_class(struct guest *g, struct slice binding, struct slice export,
                            struct slice *ret_module, struct slice *ret_class)
{
    const struct deployment *d = g->deployment;
    *ret_module = d->name;
    *ret_class = export;
    if (binding.len == 0)
        return OK;
    const struct binding *b = deployment_binding(d, BINDING_ACTOR, binding);
    if (!b)
        return op_refuse(g, ERR_FORBIDDEN, "this code has no binding '%.*s' to actors",
                         SLICE_ARG(slice_utf8_clip(binding, 128)));
    *ret_module = b->part;
    *ret_class = b->target;
    return OK;
}

enum err op_actor_id(struct guest *g, const struct op_actor_id_args *a)
{
    enum { OF_NAME, NEW, CHECK_TEXT };
    struct slice module, class;
    char id[ACTOR_ID_LEN];
    enum err err = actor_class(g, a->binding, a->export, &module, &class);
    if (err != OK)
        return err;
    class = guest_actor_origin(g, module, class);
    if (a->what == OF_NAME) {
        actor_id_of_name(module, class, a->text, id);
    } else if (a->what == NEW) {
        actor_id_new(module, class, id);
    } else if (a->text.len != ACTOR_ID_LEN) {
        return op_refuse(g, ERR_INVALID, "Invalid Durable Object ID: must be %d hexadecimal digits",
                         ACTOR_ID_LEN);
    } else {
        for (size_t k = 0; k < sizeof(id); k++) {
            char c = a->text.ptr[k];
            id[k] = c >= 'A' && c <= 'F' ? (char)(c + 32) : c;
        }
        if (!actor_id_is_of(module, class, slice_of(id, sizeof(id))))
            return op_refuse(g, ERR_INVALID,
                             "Invalid Durable Object ID. The ID does not match this "
                             "Durable Object class");
    }
    bytes_append_slice(&g->result, slice_of(id, sizeof(id)));
    return OK;
}

/* ---- itself ---- */

static enum err check_actor(struct guest *g)
{
    return g->actor ? OK : op_refuse(g, ERR_FORBIDDEN, "this code is no actor");
}

enum err op_actor_self(struct guest *g, const struct op_actor_self_args *a)
{
    enum err err = check_actor(g);
    if (err != OK)
        return err;
    struct json_writer w = json_writer(&g->result);
    json_open(&w, '{');
    json_key(&w, "class");
    json_slice(&w, g->actor->class);
    json_key(&w, "id");
    json_slice(&w, g->actor->id);
    json_key(&w, "name");
    json_slice(&w, g->actor->name);
    json_close(&w, '}');
    return OK;
}

enum err op_actor_control(struct guest *g, const struct op_actor_control_args *a)
{
    enum err err = check_actor(g);
    if (err != OK)
        return err;
    switch (a->what) {
    case ABI_ACTOR_UNBLOCK:
        g->actor->blocker = NULL;
        return OK;
    case ABI_ACTOR_BLOCK:
        g->actor->blocker = g->context;
        return OK;
    case ABI_ACTOR_OVER:
        g->actor->is_over = true;
        return OK;
    case ABI_ACTOR_ALARM_NEXT: {
        uint64_t ms = 0;
        g->actor->alarm_next_us =
            slice_to_u64(a->message, &ms) && ms < INT64_MAX / 1000 ? (int64_t)ms * 1000 : INT64_MAX;
        return OK;
    }
    case ABI_ACTOR_ABORT:
        isolate_trap(g->isolate, ERR_GUEST, "%.*s", SLICE_ARG(op_text_clip(a->message, 1024)));
        return op_refuse(g, ERR_GUEST, "the actor was aborted");
    default:
        return op_refuse(g, ERR_INVALID, "there is no control %u of an actor", a->what);
    }
}

/* ---- storage ---- */

static bool take_lstr(struct slice *in, struct slice *ret)
{
    uint32_t len;
    if (in->len < sizeof(len))
        return false;
    memcpy(&len, in->ptr, sizeof(len));
    *in = slice_skip(*in, sizeof(len));
    if (len > in->len)
        return false;
    *ret = slice_of(in->ptr, len);
    *in = slice_skip(*in, len);
    return true;
}

static enum err malformed(struct error *ret_error)
{
    return error_set(ret_error, ERR_INVALID, "malformed keys or values of a storage");
}

static enum err get_run(struct sql_conn *c, const void *arg, struct bytes *out,
                        struct error *ret_error)
{
    struct slice keys = *(const struct slice *)arg, key;
    enum err err = OK;
    while (err == OK && keys.len > 0)
        err = take_lstr(&keys, &key) ? sql_store_get(c, key, out, ret_error) : malformed(ret_error);
    return err;
}

enum err op_store_get(struct guest *g, const struct op_store_get_args *a)
{
    return guest_store(g, get_run, &a->keys);
}

/* One statement a pair: what came before one that fails is taken back by a savepoint. */
static enum err put_run(struct sql_conn *c, const void *arg, struct bytes *out,
                        struct error *ret_error)
{
    struct slice pairs = *(const struct slice *)arg, key, value;
    enum err err = sql_transaction(c, SQL_BEGIN, ret_error);
    if (err != OK)
        return err;
    while (err == OK && pairs.len > 0)
        err = take_lstr(&pairs, &key) && take_lstr(&pairs, &value)
                  ? sql_store_put(c, key, value, ret_error)
                  : malformed(ret_error);
    if (err == OK)
        return sql_transaction(c, SQL_COMMIT, ret_error);
    enum err undone = sql_transaction(c, SQL_ROLLBACK, NULL);
    return undone == OK ? err : undone;
}

static enum err put_one_run(struct sql_conn *c, const void *arg, struct bytes *out,
                            struct error *ret_error)
{
    const struct slice *pair = arg;
    return sql_store_put(c, pair[0], pair[1], ret_error);
}

enum err op_store_put(struct guest *g, const struct op_store_put_args *a)
{
    struct slice rest = a->pairs, pair[2];
    if (take_lstr(&rest, &pair[0]) && take_lstr(&rest, &pair[1]) && rest.len == 0)
        return guest_store(g, put_one_run, pair);
    return guest_store(g, put_run, &a->pairs);
}

static enum err delete_run(struct sql_conn *c, const void *arg, struct bytes *out,
                           struct error *ret_error)
{
    struct slice keys = *(const struct slice *)arg, key;
    double count = 0;
    enum err err = OK;
    while (err == OK && keys.len > 0) {
        bool was_there = false;
        err = take_lstr(&keys, &key) ? sql_store_delete(c, key, &was_there, ret_error)
                                     : malformed(ret_error);
        count += was_there;
    }
    bytes_append(out, &count, sizeof(count));
    return err;
}

enum err op_store_delete(struct guest *g, const struct op_store_delete_args *a)
{
    return guest_store(g, delete_run, &a->keys);
}

static enum err list_run(struct sql_conn *c, const void *arg, struct bytes *out,
                         struct error *ret_error)
{
    const struct op_store_list_args *a = arg;
    const struct sql_store_range range = {a->start, a->end, a->is_reverse != 0, a->limit};
    return sql_store_list(c, &range, out, ret_error);
}

enum err op_store_list(struct guest *g, const struct op_store_list_args *a)
{
    return guest_store(g, list_run, a);
}

static enum err clear_run(struct sql_conn *c, const void *arg, struct bytes *out,
                          struct error *ret_error)
{
    return sql_store_clear(c, true, ret_error);
}

enum err op_store_clear(struct guest *g, const struct op_store_clear_args *a)
{
    return guest_store(g, clear_run, a);
}

static enum err size_run(struct sql_conn *c, const void *arg, struct bytes *out,
                         struct error *ret_error)
{
    uint64_t bytes = 0;
    enum err err = sql_store_size(c, &bytes, ret_error);
    double number = (double)bytes;
    bytes_append(out, &number, sizeof(number));
    return err;
}

enum err op_store_size(struct guest *g, const struct op_store_size_args *a)
{
    return guest_store(g, size_run, a);
}

static enum err call_run(struct sql_conn *c, const void *arg, struct bytes *out,
                         struct error *ret_error)
{
    const struct op_store_call_args *a = arg;
    return a->is_answered ? sql_store_call_put(c, a->id, a->answer, clock_wall_us(), ret_error)
                          : sql_store_call_get(c, a->id, out, ret_error);
}

enum err op_store_call(struct guest *g, const struct op_store_call_args *a)
{
    return guest_store(g, call_run, a);
}

/* ---- its alarm: when, and how often that has been tried, in milliseconds since 1970 ---- */

#define ALARM_NAME SLICE_LIT("alarm")

static enum err alarm_get_run(struct sql_conn *c, const void *arg, struct bytes *out,
                              struct error *ret_error)
{
    return sql_store_meta_get(c, ALARM_NAME, out, ret_error);
}

enum err op_alarm_get(struct guest *g, const struct op_alarm_get_args *a)
{
    return guest_store(g, alarm_get_run, a);
}

static enum err alarm_set_run(struct sql_conn *c, const void *arg, struct bytes *out,
                              struct error *ret_error)
{
    const struct op_alarm_set_args *a = arg;
    char text[64] = "";
    if (a->due_ms >= 0)
        snprintf(text, sizeof(text), "%lld %u", (long long)a->due_ms, a->attempts);
    return sql_store_meta_put(c, ALARM_NAME, slice_cstr(text), ret_error);
}

enum err op_alarm_set(struct guest *g, const struct op_alarm_set_args *a)
{
    enum { DUE_MS_MAX_BITS = 53 };
    if (!(a->due_ms < (double)(INT64_C(1) << DUE_MS_MAX_BITS)))
        return op_refuse(g, ERR_INVALID,
                         "setAlarm() needs a time: a Date, or milliseconds since 1970");
    enum err err = guest_store(g, alarm_set_run, a);
    if (err == OK && a->tells && a->due_ms >= 0) {
        int64_t due_us = (int64_t)a->due_ms * 1000;
        if (due_us < g->actor->alarm_us)
            g->actor->alarm_us = due_us;
    }
    return err;
}

/* ---- until it is on disk ---- */

struct store_sync {
    struct op op;
    struct held held;
    bool is_held;
};

static void sync_cancelled(struct op *op)
{
    struct store_sync *s = container_of(op, struct store_sync, op);
    if (s->is_held)
        list_remove(&s->held.link);
    free(s);
}

static void sync_over(struct held *h, const struct error *error)
{
    struct store_sync *s = container_of(h, struct store_sync, held);
    if (error)
        op_complete_error(&s->op, error);
    else
        op_complete(&s->op, OK, SLICE_EMPTY);
    free(s);
}

enum err op_store_sync(struct guest *g, const struct op_store_sync_args *a)
{
    enum err err = check_actor(g);
    if (err != OK)
        return err;
    struct store_sync *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->held.release = sync_over;
    err = op_begin(g, &s->op, sync_cancelled);
    if (err != OK) {
        free(s);
        return err;
    }
    if (guest_gate_pass(g, &s->held))
        sync_over(&s->held, NULL);
    else
        s->is_held = true;
    return OK;
}

enum err op_store_sync_call(struct guest *g, const struct op_store_sync_args *a, struct op_call *c)
{
    return check_actor(g); /* an execution is none */
}

enum err op_store_sync_start(struct guest *g, uint32_t id, struct op_store_sync_args *a)
{
    return check_actor(g);
}
