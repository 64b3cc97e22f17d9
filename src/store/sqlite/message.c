/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages of queues: sending, settling and reading them, and who consumes which queue. A row is inserted once
 * and removed once; only a retry changes it. */
#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "base/module_name.h"
#include "store/sqlite/apply.h"
#include "store/sqlite/reader.h"
#include "store/sqlite/stored.h"

enum { PLACE_BITS = 36 };
#define ONCE_KEEP_US (INT64_C(7) * 24 * 3600 * 1000000)

static int64_t place_of(int64_t queue, int64_t number)
{
    return (queue << PLACE_BITS) + number;
}

static void message_count(struct writer *w, int64_t queue, int64_t items, int64_t bytes)
{
    writer_add_count(w, writer_resource(queue), WRITER_COUNTED_ITEMS, items);
    writer_add_count(w, writer_resource(queue), WRITER_COUNTED_STORED, bytes);
}

/* ---- sending ---- */

static bool take_u32(struct slice *in, uint32_t *ret)
{
    if (in->len < sizeof(*ret))
        return false;
    memcpy(ret, in->ptr, sizeof(*ret));
    *in = slice_skip(*in, sizeof(*ret));
    return true;
}

struct message_sent {
    int32_t delay_s;
    uint32_t type;
    struct slice body;
};

static bool take_message(struct slice *in, struct message_sent *ret)
{
    uint32_t delay, len;
    if (!take_u32(in, &delay) || !take_u32(in, &ret->type) || !take_u32(in, &len) || len > in->len)
        return false;
    ret->delay_s = (int32_t)delay;
    ret->body = slice_of(in->ptr, len);
    *in = slice_skip(*in, len);
    return ret->type < MESSAGE_TYPES && ret->delay_s <= STORE_MESSAGE_DELAY_S_MAX;
}

static enum err count_messages(struct slice all, int64_t *ret_len, int64_t *ret_bytes,
                               struct error *ret_error)
{
    struct message_sent m;
    *ret_len = *ret_bytes = 0;
    while (all.len > 0) {
        if (!take_message(&all, &m))
            return error_set(ret_error, ERR_INVALID, "malformed messages");
        if (m.body.len > STORE_MESSAGE_BYTES_MAX)
            return error_set(ret_error, ERR_TOO_LARGE, "a message has %zu bytes, more than %d",
                             m.body.len, STORE_MESSAGE_BYTES_MAX);
        *ret_bytes += (int64_t)m.body.len + STORE_MESSAGE_ROW_BYTES;
        ++*ret_len;
    }
    if (*ret_len <= STORE_SEND_MESSAGES_MAX &&
        *ret_bytes - *ret_len * STORE_MESSAGE_ROW_BYTES <= STORE_SEND_BYTES_MAX)
        return OK;
    error_set(ret_error, ERR_TOO_LARGE, "%lld messages of %lld bytes are sent at once",
              (long long)*ret_len, (long long)*ret_bytes);
    error_hint(ret_error, "at most %d messages and %d bytes: send the rest in another batch",
               STORE_SEND_MESSAGES_MAX, STORE_SEND_BYTES_MAX);
    return ERR_TOO_LARGE;
}

/* Numbers for so many: the last one. */
static enum err message_numbers(struct writer *w, int64_t queue, int64_t len, int64_t *ret_last,
                                struct error *ret_error)
{
    return apply_one(w, WRITER_MESSAGE_NUMBERS, PARAMS(P_INT(queue), P_INT(len)), ret_last, NULL,
                     ret_error);
}

static enum err message_later(struct writer *w, int64_t queue, int64_t visible_us,
                              struct error *ret_error)
{
    char key[24];
    snprintf(key, sizeof(key), "%lld", (long long)queue);
    return db_run(&w->db, WRITER_DUE_EARLIER,
                  PARAMS(P_INT(DUE_QUEUE), P_TEXT(slice_cstr(key)), P_INT(visible_us)), ret_error);
}

static enum err message_is_repeated(struct writer *w, int64_t queue, struct slice once,
                                    bool *ret_is_repeated, struct error *ret_error)
{
    *ret_is_repeated = false;
    if (once.len == 0)
        return OK;
    const int64_t now = clock_wall_us();
    enum err code =
        db_run(&w->db, WRITER_MESSAGE_ONCE_OLD, PARAMS(P_INT(now - ONCE_KEEP_US)), ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_MESSAGE_ONCE, PARAMS(P_INT(queue), P_TEXT(once), P_INT(now)),
                      ret_error);
    *ret_is_repeated = code == OK && db_changes(&w->db) == 0;
    return code;
}

enum err message_send(struct writer *w, int64_t queue, struct slice messages, struct slice once,
                      int64_t *ret_due_us, struct error *ret_error)
{
    struct message_sent m;
    int64_t len, bytes, last = 0, due_us = DUE_NEVER, exists = 0;
    const int64_t now = clock_wall_us();
    bool is_repeated, has_row = false;
    enum err code = count_messages(messages, &len, &bytes, ret_error);
    if (code == OK)
        code =
            apply_one(w, WRITER_MESSAGE_QUEUE, PARAMS(P_INT(queue)), &exists, &has_row, ret_error);
    if (code == OK && !has_row)
        return error_set(ret_error, ERR_NOT_FOUND, "the queue has been deleted");
    if (code == OK)
        code = stored_check(w, writer_resource(queue), bytes, ret_error);
    if (code == OK)
        code = message_is_repeated(w, queue, once, &is_repeated, ret_error);
    if (code != OK || is_repeated || len == 0)
        return code;
    code = message_numbers(w, queue, len, &last, ret_error);
    for (int64_t n = last - len + 1; code == OK && take_message(&messages, &m); n++) {
        const int64_t visible_us = m.delay_s > 0 ? now + (int64_t)m.delay_s * 1000000 : 0;
        code = db_run(&w->db, WRITER_MESSAGE_ADD,
                      PARAMS(P_INT(place_of(queue, n)), P_INT(queue), P_INT(visible_us), P_INT(now),
                             P_INT(m.type), P_BLOB(m.body)),
                      ret_error);
        if (visible_us && visible_us < due_us)
            due_us = visible_us;
    }
    if (code == OK && due_us != DUE_NEVER)
        code = message_later(w, queue, due_us, ret_error);
    if (code == OK)
        message_count(w, queue, len, bytes);
    *ret_due_us = due_us == DUE_NEVER ? 0 : due_us;
    return code;
}

enum err apply_message_send(struct writer *w, const struct mutation *m, int64_t *ret_number,
                            struct error *ret_error)
{
    return message_send(w, m->message_send.queue, m->message_send.messages, m->message_send.once,
                        ret_number, ret_error);
}

/* ---- settling ---- */

static int64_t number_at(struct slice numbers, size_t k)
{
    int64_t n;
    memcpy(&n, numbers.ptr + k * sizeof(n), sizeof(n));
    return n;
}

/* What is not there any more was settled before. */
static enum err message_remove(struct writer *w, int64_t queue, int64_t place, int64_t *ret_bytes,
                               int64_t *ret_items, struct error *ret_error)
{
    int64_t bytes = 0;
    bool has_row = false;
    enum err code = apply_one(w, WRITER_MESSAGE_REMOVE, PARAMS(P_INT(place), P_INT(queue)), &bytes,
                              &has_row, ret_error);
    if (code == OK && has_row) {
        *ret_bytes += bytes + STORE_MESSAGE_ROW_BYTES;
        ++*ret_items;
    }
    return code;
}

/* Moves one to the queue of the dead, as a new message. */
static enum err message_bury(struct writer *w, int64_t to, int64_t place, struct error *ret_error)
{
    int64_t last = 0, bytes = 0;
    bool has_row = false;
    enum err code = message_numbers(w, to, 1, &last, ret_error);
    if (code == OK)
        code = apply_one(w, WRITER_MESSAGE_BURY,
                         PARAMS(P_INT(place_of(to, last)), P_INT(to), P_INT(place)), &bytes,
                         &has_row, ret_error);
    if (code == OK && has_row)
        message_count(w, to, 1, bytes + STORE_MESSAGE_ROW_BYTES);
    return code;
}

enum err apply_message_settle(struct writer *w, const struct mutation *m, int64_t *ret_number,
                              struct error *ret_error)
{
    const struct message_settle *s = &m->message_settle.settle;
    int64_t bytes = 0, items = 0, due_us = DUE_NEVER, exists = 0;
    bool has_dead = false;
    enum err code = OK;
    for (size_t k = 0; code == OK && k < s->acked.len / 8; k++)
        code = message_remove(w, s->queue, number_at(s->acked, k), &bytes, &items, ret_error);
    for (size_t k = 0; code == OK && k < s->retried.len / 16; k++) {
        const int64_t visible_us = number_at(s->retried, 2 * k + 1);
        code =
            db_run(&w->db, WRITER_MESSAGE_RETRY,
                   PARAMS(P_INT(number_at(s->retried, 2 * k)), P_INT(s->queue), P_INT(visible_us)),
                   ret_error);
        due_us = visible_us < due_us ? visible_us : due_us;
    }
    if (code == OK && s->dead_queue && s->dead.len > 0)
        code = apply_one(w, WRITER_MESSAGE_QUEUE, PARAMS(P_INT(s->dead_queue)), &exists, &has_dead,
                         ret_error);
    for (size_t k = 0; code == OK && k < s->dead.len / 8; k++) {
        if (has_dead)
            code = message_bury(w, s->dead_queue, number_at(s->dead, k), ret_error);
        if (code == OK)
            code = message_remove(w, s->queue, number_at(s->dead, k), &bytes, &items, ret_error);
    }
    if (code == OK && due_us != DUE_NEVER)
        code = message_later(w, s->queue, due_us, ret_error);
    if (code == OK && items > 0)
        message_count(w, s->queue, -items, -bytes);
    return code;
}

/* ---- of a queue ---- */

static enum err messages_remove_some(struct writer *w, int64_t queue, int64_t *rows,
                                     struct error *ret_error)
{
    enum err code = OK;
    for (bool has_row = true; code == OK && has_row && *rows > 0; --*rows) {
        int64_t place = 0, bytes = 0, items = 0;
        code = apply_one(w, WRITER_MESSAGE_FIRST,
                         PARAMS(P_INT(place_of(queue, 0)), P_INT(place_of(queue + 1, 0))), &place,
                         &has_row, ret_error);
        if (code == OK && has_row)
            code = message_remove(w, queue, place, &bytes, &items, ret_error);
        if (code == OK && items)
            message_count(w, queue, -items, -bytes);
        if (!has_row)
            break;
    }
    return code;
}

enum err apply_queue_later(struct writer *w, const struct mutation *m, int64_t *ret_number,
                           struct error *ret_error)
{
    char key[24];
    bool has_row = false;
    int64_t next_us = 0;
    enum err code = apply_one(w, WRITER_MESSAGE_LATER,
                              PARAMS(P_INT(m->queue_later.queue), P_INT(m->queue_later.after_us)),
                              &next_us, &has_row, ret_error);
    if (code != OK)
        return code;
    *ret_number = has_row ? next_us : 0;
    snprintf(key, sizeof(key), "%lld", (long long)m->queue_later.queue);
    return due_put(w,
                   &(struct due_row){.kind = DUE_QUEUE,
                                     .key = slice_cstr(key),
                                     .due_us = has_row ? next_us : DUE_NEVER},
                   ret_error);
}

/* In slices, between which others have their turn. */
enum err apply_queue_purge(struct writer *w, const struct mutation *m, int64_t *ret_number,
                           struct error *ret_error)
{
    int64_t rows = STORE_PURGE_ROWS;
    enum err code = messages_remove_some(w, m->queue_purge.queue, &rows, ret_error);
    m->progress->goes_on = code == OK && rows == 0;
    return code;
}

enum err apply_queue_pause(struct writer *w, const struct mutation *m, int64_t *ret_number,
                           struct error *ret_error)
{
    return db_run(&w->db, WRITER_QUEUE_PAUSE,
                  PARAMS(P_INT(m->queue_pause.queue), P_INT(m->queue_pause.is_paused)), ret_error);
}

/* What is left of a deleted one. */
enum err tidy_queue(struct writer *w, int64_t id, int64_t *rows, struct error *ret_error)
{
    char key[24];
    enum err code = messages_remove_some(w, id, rows, ret_error);
    if (code != OK || *rows == 0)
        return code;
    snprintf(key, sizeof(key), "%lld", (long long)id);
    code = db_run(&w->db, WRITER_QUEUE_STATE_DELETE, PARAMS(P_INT(id)), ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_QUEUE_CONSUMER_DELETE, PARAMS(P_INT(id)), ret_error);
    if (code == OK)
        code = due_put(
            w, &(struct due_row){.kind = DUE_QUEUE, .key = slice_cstr(key), .due_us = DUE_NEVER},
            ret_error);
    return code;
}

/* ---- consumers ---- */

static enum err consume(struct writer *w, struct slice space, struct slice module,
                        const json_t *one, struct error *ret_error)
{
    const char *name = json_string_value(json_object_get(one, "queue"));
    const char *dead_name = json_string_value(json_object_get(one, "dead_letter_queue"));
    const char *settings = json_string_value(json_object_get(one, "settings"));
    int64_t queue = 0, dead = 0, mine = 0;
    bool has_row = false;
    if (!name || !settings)
        return error_set(ret_error, ERR_INVALID, "malformed consumers");
    enum err code =
        resource_ensure(w, space, RESOURCE_KIND_QUEUE, slice_cstr(name), &queue, ret_error);
    if (code == OK && dead_name && *dead_name)
        code =
            resource_ensure(w, space, RESOURCE_KIND_QUEUE, slice_cstr(dead_name), &dead, ret_error);
    if (code == OK)
        code = apply_one(w, WRITER_QUEUE_CONSUMED, PARAMS(P_INT(queue), P_TEXT(module)), &mine,
                         &has_row, ret_error);
    if (code == OK && has_row) {
        error_set(ret_error, ERR_CONFLICT, "the queue '%s' has another consumer", name);
        error_hint(ret_error, "a queue has one: deploy that one without it first");
        return ERR_CONFLICT;
    }
    return code == OK ? db_run(&w->db, WRITER_QUEUE_CONSUME,
                               PARAMS(P_INT(queue), P_TEXT(module), P_INT(dead),
                                      P_TEXT(slice_cstr(settings))),
                               ret_error)
                      : code;
}

enum err consumers_declare(struct writer *w, struct slice space, struct slice module,
                           struct slice json, struct error *ret_error)
{
    json_t *all = json.len ? json_loadb(json.ptr, json.len, 0, NULL) : NULL;
    size_t k;
    const json_t *one;
    enum err code = db_run(&w->db, WRITER_QUEUE_UNCONSUME, PARAMS(P_TEXT(module)), ret_error);
    json_array_foreach(all, k, one)
    {
        if (code == OK)
            code = consume(w, space, module, one, ret_error);
    }
    json_decref(all);
    return code;
}

/* ---- reading ---- */

enum err store_messages(struct store_reader *r, struct store_query *q, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    __auto_type a = &q->messages;
    struct message_row *rows = NULL;
    size_t len = 0, cap = 0, bytes = 0;
    bool has_row = false;
    enum err code =
        a->is_later
            ? reader_first(r, READER_MESSAGES_LATER,
                           PARAMS(P_INT(a->queue), P_INT(a->after_us), P_INT(a->after_place),
                                  P_INT(a->until_us), P_INT(a->limit)),
                           &st, &has_row, ret_error)
            : reader_first(
                  r, READER_MESSAGES,
                  PARAMS(P_INT(a->after_place > place_of(a->queue, 0) ? a->after_place
                                                                      : place_of(a->queue, 0)),
                         P_INT(place_of(a->queue + 1, 0)), P_INT(a->limit)),
                  &st, &has_row, ret_error);
    while (code == OK && has_row && bytes < a->bytes_max) {
        rows = reader_grow(q->arena, rows, len, &cap, sizeof(*rows));
        rows[len] = (struct message_row){.place = db_int(st, 0),
                                         .visible_us = db_int(st, 1),
                                         .attempts = db_int(st, 2),
                                         .sent_us = db_int(st, 3),
                                         .type = (uint32_t)db_int(st, 4),
                                         .body = arena_copy(q->arena, db_blob(st, 5))};
        bytes += rows[len++].body.len + STORE_MESSAGE_ROW_BYTES;
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    a->rows = rows;
    a->len = len;
    a->has_more = has_row;
    return OK;
}

enum err store_consumers(struct store_reader *r, struct store_query *q, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    __auto_type a = &q->consumers;
    struct consumer_row *rows = NULL;
    size_t len = 0, cap = 0;
    bool has_row = false;
    enum err code =
        reader_first(r, READER_CONSUMERS, PARAMS(P_INT(a->queue)), &st, &has_row, ret_error);
    while (code == OK && has_row) {
        rows = reader_grow(q->arena, rows, len, &cap, sizeof(*rows));
        rows[len++] = (struct consumer_row){.queue = db_int(st, 0),
                                            .space = db_text_copy(st, 1, q->arena),
                                            .name = db_text_copy(st, 2, q->arena),
                                            .module = db_text_copy(st, 3, q->arena),
                                            .settings = db_text_copy(st, 4, q->arena),
                                            .dead = db_int(st, 5),
                                            .is_paused = db_int(st, 6) != 0};
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    a->rows = rows;
    a->len = len;
    return OK;
}
