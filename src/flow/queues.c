/* SPDX-License-Identifier: Apache-2.0
 *
 * See queues.h.
 *
 * Messages that were never tried are read in the order of their places, up to a mark that only grows; those for
 * later by their time, up to another such mark. So none is read twice, and nothing is looked for. A retry gets a
 * time behind that mark.
 *
 *     note -> page -> batch -> call of queue() -> commit: settled, or later again */
#include "flow/queues.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "flow/director_internal.h"
#include "flow/event.h"

enum {
    WINDOW = 1000, /* messages read and not given out */
    WINDOW_BYTES = 4 * 1024 * 1024,
    REFUSED_MS = 1000, /* until a consumer that could not be called is called again */
};

struct message {
    struct list link; /* queue->ready */
    int64_t place, attempts, sent_us;
    uint32_t type;
    size_t len;
    char body[];
};

struct live {
    struct queues *queues;
    int64_t id, dead;
    char *name, *module; /* module NULL: it has no consumer */
    bool is_paused;
    unsigned batch_size, retries, concurrency;
    uint64_t batch_ms;
    int64_t retry_us;
    struct list ready;
    size_t ready_len;
    unsigned running;
    struct chore *reading;
    bool may_have_more, may_have_later; /* in the store, beyond the marks */
    int64_t mark_place;                 /* all never tried up to here have been read */
    int64_t later_us, later_place;      /* likewise, of those for later */
    struct due fill;                    /* until a batch that is not full is given out */
    bool is_filling, is_over;           /* is_over: its time has come */
    struct due refused;
    bool is_refused;
};

struct queues {
    struct director *director;
    struct flow_env *env;
    struct queues_metrics *metrics;
    struct map lives; /* number -> struct live */
};

static struct slice number(int64_t id, char buffer[24])
{
    int len = snprintf(buffer, 24, "%" PRId64, id);
    return slice_of(buffer, (size_t)len);
}

static void pump(struct live *q);

/* ---- batches ---- */

struct batch {
    struct live *queue;
    struct message *messages[QUEUE_BATCH_MAX];
    size_t len;
    struct event_call call;
    struct bytes input, acked, retried, dead;
    char *module;
    struct store_op op;
    struct due due; /* another try to store it */
};

static void batch_free(struct batch *b)
{
    for (size_t k = 0; k < b->len; k++)
        free(b->messages[k]);
    bytes_done(&b->input);
    bytes_done(&b->acked);
    bytes_done(&b->retried);
    bytes_done(&b->dead);
    bytes_done(&b->call.answer);
    free(b->module);
    free(b);
}

static void batch_store(struct batch *b);

static void batch_again(struct due *t)
{
    batch_store(container_of(t, struct batch, due));
}

static void batch_stored(struct store_op *op)
{
    struct batch *b = container_of(op, struct batch, op);
    struct live *q = b->queue;
    struct queues *s = q->queues;
    bool is_stopping = s->director->is_stopping;
    if (op->error.code != OK && op->error.code != ERR_FENCED && !is_stopping) {
        if (due_again(s->env, &b->due, RETRY_MS, batch_again))
            log_warn("what became of messages could not be stored, trying again",
                     LOG_STR("queue", q->name), LOG_STR("error", op->error.message));
        return;
    }
    int64_t due_us = DUE_NEVER;
    for (size_t k = 0; k < b->retried.len / 16; k++) {
        int64_t at;
        memcpy(&at, b->retried.ptr + k * 16 + 8, sizeof(at));
        due_us = at < due_us ? at : due_us;
    }
    char buffer[24];
    const struct due_row row = {.kind = DUE_QUEUE, .key = number(q->id, buffer), .due_us = due_us};
    const int64_t dead = b->dead.len > 0 ? q->dead : 0;
    batch_free(b);
    director_due_note(s->director, &row);
    if (dead)
        queues_look(s, dead);
}

static void batch_store(struct batch *b)
{
    struct live *q = b->queue;
    const struct message_settle settle = {.queue = q->id,
                                          .acked = bytes_slice(&b->acked),
                                          .retried = bytes_slice(&b->retried),
                                          .dead = bytes_slice(&b->dead),
                                          .dead_queue = q->dead};
    b->op = (struct store_op){.loop = q->queues->env->loop, .done = batch_stored};
    store_message_settle(q->queues->env->store, &b->op, &settle);
}

static void put_i64(struct bytes *out, int64_t n)
{
    bytes_append(out, &n, sizeof(n));
}

/* delay_s: -1: the queue's own. */
static void settle_failed(struct batch *b, size_t k, int64_t delay_s)
{
    struct live *q = b->queue;
    const struct message *m = b->messages[k];
    struct queues_metrics *metrics = q->queues->metrics;
    if (m->attempts + 1 > (int64_t)q->retries) {
        put_i64(&b->dead, m->place);
        atomic_fetch_add(&metrics->dead, 1);
        return;
    }
    int64_t at = flow_now_us(q->queues->env) + (delay_s < 0 ? q->retry_us : delay_s * 1000000);
    if (at <= q->later_us)
        at = q->later_us + 1;
    put_i64(&b->retried, m->place);
    put_i64(&b->retried, at);
    atomic_fetch_add(&metrics->retried, 1);
}

/* {"retries": [[index, seconds], …]}: the others are acknowledged. */
static void settle_all(struct batch *b, const json_t *answer)
{
    bool failed[QUEUE_BATCH_MAX] = {false};
    const json_t *retries = json_object_get(answer, "retries"), *one;
    size_t i;
    json_array_foreach(retries, i, one)
    {
        const json_int_t k = json_integer_value(json_array_get(one, 0));
        if (k < 0 || (size_t)k >= b->len || failed[k])
            continue;
        failed[k] = true;
        settle_failed(b, (size_t)k, json_integer_value(json_array_get(one, 1)));
    }
    for (size_t k = 0; k < b->len; k++)
        if (!failed[k]) {
            put_i64(&b->acked, b->messages[k]->place);
            atomic_fetch_add(&b->queue->queues->metrics->acked, 1);
        }
}

static void refused_over(struct due *t)
{
    struct live *q = container_of(t, struct live, refused);
    q->is_refused = false;
    pump(q);
}

/* They were not tried: they go back in front. */
static void batch_refused(struct batch *b)
{
    struct live *q = b->queue;
    for (size_t k = b->len; k > 0; k--)
        list_push_front(&q->ready, &b->messages[k - 1]->link);
    q->ready_len += b->len;
    b->len = 0;
    batch_free(b);
    if (!q->is_refused && !q->queues->director->is_stopping) {
        q->is_refused = true;
        due_in(q->queues->env, &q->refused, REFUSED_MS, refused_over);
    }
}

static bool is_refusal(enum err code)
{
    return code == ERR_UNAVAILABLE || code == ERR_OVERLOAD || code == ERR_NOT_FOUND ||
           code == ERR_NOT_READY;
}

static void batch_called(struct event_call *e)
{
    struct batch *b = container_of(e, struct batch, call);
    struct live *q = b->queue;
    q->running--;
    if (e->error.code != OK && is_refusal(e->error.code)) {
        batch_refused(b);
        return;
    }
    if (e->error.code != OK) { /* out of time, out of memory: as if it had thrown */
        log_warn("a consumer of a queue failed", LOG_STR("queue", q->name),
                 LOG_STR("error", e->error.message));
        for (size_t k = 0; k < b->len; k++)
            settle_failed(b, k, -1);
    } else {
        json_t *answer = json_loadb(e->answer.len ? e->answer.ptr : "", e->answer.len, 0, NULL);
        settle_all(b, answer);
        json_decref(answer);
    }
    batch_store(b);
    pump(q);
}

static void put_lstr(struct bytes *out, struct slice text)
{
    const uint32_t len = (uint32_t)text.len;
    bytes_append(out, &len, sizeof(len));
    bytes_append_slice(out, text);
}

/* As guest/runtime/events.ts reads it. */
static void batch_write(struct batch *b)
{
    const uint32_t count = (uint32_t)b->len;
    bytes_append(&b->input, &count, sizeof(count));
    put_lstr(&b->input, slice_cstr(b->queue->name));
    for (size_t k = 0; k < b->len; k++) {
        const struct message *m = b->messages[k];
        const double sent_ms = (double)(m->sent_us / 1000);
        const uint32_t attempts = (uint32_t)m->attempts + 1;
        char id[40];
        int len = snprintf(id, sizeof(id), "%016" PRIx64 "%016" PRIx64, (uint64_t)m->sent_us,
                           (uint64_t)m->place);
        put_lstr(&b->input, slice_of(id, (size_t)len));
        bytes_append(&b->input, &sent_ms, sizeof(sent_ms));
        bytes_append(&b->input, &attempts, sizeof(attempts));
        bytes_append(&b->input, &m->type, sizeof(m->type));
        put_lstr(&b->input, slice_of(m->body, m->len));
    }
}

static void batch_start(struct live *q)
{
    struct queues *s = q->queues;
    struct batch *b = calloc(1, sizeof(*b));
    struct list *n;
    CHECK(b);
    b->queue = q;
    while (b->len < q->batch_size && (n = list_pop_front(&q->ready)))
        b->messages[b->len++] = container_of(n, struct message, link);
    q->ready_len -= b->len;
    batch_write(b);
    b->module = strdup(q->module);
    CHECK(b->module);
    b->call = (struct event_call){.done = batch_called,
                                  .module = slice_cstr(b->module),
                                  .handler = "queue",
                                  .input = bytes_slice(&b->input)};
    q->running++;
    atomic_fetch_add(&s->metrics->batches, 1);
    atomic_fetch_add(&s->metrics->delivered, b->len);
    s->env->code->event(s->env->ctx, &b->call);
}

/* ---- reading ---- */

struct page {
    struct chore chore;
    struct live *queue;
    bool is_later;
};

static void page_fill(struct chore *c, struct store_query *q, struct arena *a)
{
    const struct page *p = container_of(c, struct page, chore);
    const struct live *live = p->queue;
    q->messages.queue = live->id;
    q->messages.is_later = p->is_later;
    q->messages.after_us = live->later_us;
    q->messages.after_place = p->is_later ? live->later_place : live->mark_place;
    q->messages.until_us = flow_now_us(c->director->env);
    q->messages.limit = STORE_MESSAGES_PAGE;
    q->messages.bytes_max = WINDOW_BYTES;
}

static enum chore_next page_take(struct chore *c, const struct store_query *q)
{
    struct page *p = container_of(c, struct page, chore);
    struct live *live = p->queue;
    const bool is_full =
        q->error.code == OK && (q->messages.has_more || q->messages.len == STORE_MESSAGES_PAGE);
    live->reading = NULL;
    for (size_t k = 0; q->error.code == OK && k < q->messages.len; k++) {
        const struct message_row *row = &q->messages.rows[k];
        struct message *m = malloc(sizeof(*m) + row->body.len);
        CHECK(m);
        *m = (struct message){.place = row->place,
                              .attempts = row->attempts,
                              .sent_us = row->sent_us,
                              .type = row->type,
                              .len = row->body.len};
        if (row->body.len)
            memcpy(m->body, row->body.ptr, row->body.len);
        list_push_back(&live->ready, &m->link);
        live->ready_len++;
        if (p->is_later) {
            live->later_us = row->visible_us;
            live->later_place = row->place;
        } else {
            live->mark_place = row->place;
        }
    }
    if (p->is_later)
        live->may_have_later |= is_full;
    else
        live->may_have_more |= is_full;
    pump(live);
    return CHORE_OVER;
}

static const struct chore_kind page_kind = {
    .what = "messages of a queue",
    .query = STORE_QUERY_MESSAGES,
    .fill = page_fill,
    .take = page_take,
};

static void read_page(struct live *q)
{
    struct page *p = chore_new(q->queues->director, &page_kind, sizeof(*p));
    p->queue = q;
    p->is_later = q->may_have_later;
    if (p->is_later)
        q->may_have_later = false;
    else
        q->may_have_more = false;
    q->reading = &p->chore;
    chore_ask(&p->chore);
}

static void fill_over(struct due *t)
{
    struct live *q = container_of(t, struct live, fill);
    q->is_filling = false;
    q->is_over = true;
    pump(q);
}

/* All that can go on. */
static void pump(struct live *q)
{
    struct queues *s = q->queues;
    if (!q->module || q->is_paused || q->is_refused || s->director->is_stopping)
        return;
    while (q->running < q->concurrency && q->ready_len > 0 &&
           (q->ready_len >= q->batch_size || q->is_over || q->batch_ms == 0))
        batch_start(q);
    if (q->ready_len == 0)
        q->is_over = false;
    if (!q->reading && q->ready_len < WINDOW && (q->may_have_more || q->may_have_later)) {
        read_page(q); /* its answer comes by here */
        return;
    }
    if (q->ready_len > 0 && q->ready_len < q->batch_size && !q->is_filling && !q->is_over &&
        !q->reading) {
        q->is_filling = true;
        due_in(s->env, &q->fill, q->batch_ms, fill_over);
    }
}

/* ---- who consumes what ---- */

static struct live *live_of(struct queues *s, int64_t id)
{
    char buffer[24];
    struct live *q = map_get(&s->lives, number(id, buffer));
    if (q)
        return q;
    q = calloc(1, sizeof(*q));
    CHECK(q);
    q->queues = s;
    q->id = id;
    q->may_have_more = q->may_have_later = true;
    list_init(&q->ready);
    (void)map_put(&s->lives, number(id, buffer), q);
    return q;
}

static int64_t setting(const json_t *o, const char *key, int64_t otherwise, int64_t max)
{
    const json_t *v = json_object_get(o, key);
    const double n = json_number_value(v);
    return json_is_number(v) && n >= 0 ? (n < (double)max ? (int64_t)n : max) : otherwise;
}

static void take_consumer(struct queues *s, const struct consumer_row *row)
{
    struct live *q = live_of(s, row->queue);
    json_t *o = json_loadb(row->settings.len ? row->settings.ptr : "{}",
                           row->settings.len ? row->settings.len : 2, 0, NULL);
    free(q->name);
    free(q->module);
    q->name = strndup(row->name.ptr, row->name.len);
    q->module = row->module.len > 0 ? strndup(row->module.ptr, row->module.len) : NULL;
    CHECK(q->name && (q->module || row->module.len == 0));
    q->dead = row->dead;
    q->is_paused = row->is_paused;
    q->batch_size = (unsigned)setting(o, "max_batch_size", QUEUE_BATCH, QUEUE_BATCH_MAX);
    if (q->batch_size == 0)
        q->batch_size = 1;
    const json_t *timeout = json_object_get(o, "max_batch_timeout");
    q->batch_ms = json_is_number(timeout) ? (uint64_t)(json_number_value(timeout) * 1000)
                                          : QUEUE_BATCH_S * 1000;
    q->retries = (unsigned)setting(o, "max_retries", QUEUE_RETRIES, 100);
    q->retry_us = setting(o, "retry_delay", 0, STORE_MESSAGE_DELAY_S_MAX) * 1000000;
    q->concurrency = (unsigned)setting(o, "max_concurrency", QUEUE_CONCURRENCY, 250);
    if (q->concurrency == 0)
        q->concurrency = 1;
    json_decref(o);
    pump(q);
}

struct declared {
    struct chore chore;
    struct queues *queues;
    int64_t queue; /* 0: all */
};

static void declared_fill(struct chore *c, struct store_query *q, struct arena *a)
{
    q->consumers.queue = container_of(c, struct declared, chore)->queue;
}

static enum chore_next declared_take(struct chore *c, const struct store_query *q)
{
    struct declared *d = container_of(c, struct declared, chore);
    struct queues *s = d->queues;
    size_t cursor = 0;
    void *value;
    if (q->error.code != OK)
        return CHORE_OVER;
    while (d->queue == 0 && map_next(&s->lives, &cursor, NULL, &value)) {
        free(((struct live *)value)->module); /* unless it is said again */
        ((struct live *)value)->module = NULL;
    }
    for (size_t k = 0; k < q->consumers.len; k++)
        take_consumer(s, &q->consumers.rows[k]);
    return CHORE_OVER;
}

static const struct chore_kind declared_kind = {
    .what = "consumers of queues",
    .query = STORE_QUERY_CONSUMERS,
    .fill = declared_fill,
    .take = declared_take,
};

static void read_consumers(struct queues *s, int64_t queue)
{
    if (s->director->is_stopping)
        return;
    struct declared *d = chore_new(s->director, &declared_kind, sizeof(*d));
    d->queues = s;
    d->queue = queue;
    chore_ask(&d->chore);
}

void queues_declared(struct queues *s)
{
    read_consumers(s, 0);
}

void queues_look(struct queues *s, int64_t queue)
{
    struct live *q = live_of(s, queue);
    q->may_have_more = q->may_have_later = true;
    read_consumers(s, queue);
}

/* ---- notes ---- */

static void sent(struct queues *s, int64_t queue, int64_t due_us)
{
    char buffer[24];
    struct live *q = live_of(s, queue);
    q->may_have_more = true;
    if (due_us > 0)
        director_due_note(
            s->director,
            &(struct due_row){.kind = DUE_QUEUE, .key = number(queue, buffer), .due_us = due_us});
    pump(q);
}

struct note {
    struct post post;
    struct queues *queues;
    int64_t queue, due_us;
};

static void note_arrived(struct post *p)
{
    struct note *n = container_of(p, struct note, post);
    sent(n->queues, n->queue, n->due_us);
    free(n);
}

void queues_post(struct queues *s, int64_t queue, int64_t due_us)
{
    struct note *n = calloc(1, sizeof(*n));
    CHECK(n);
    n->post.fn = note_arrived;
    n->queues = s;
    n->queue = queue;
    n->due_us = due_us;
    flow_post(s->env, &n->post);
}

/* Messages for later are due: they are read, and the row gets the time of the next ones, or goes. */
struct later {
    struct store_op op;
    struct due due; /* another try */
    struct live *queue;
    int64_t after_us;
};

static void later_store(struct later *l);

static void later_again(struct due *t)
{
    later_store(container_of(t, struct later, due));
}

static void later_stored(struct store_op *op)
{
    struct later *l = container_of(op, struct later, op);
    struct queues *s = l->queue->queues;
    char buffer[24];
    const struct due_row row = {
        .kind = DUE_QUEUE, .key = number(l->queue->id, buffer), .due_us = op->number};
    if (op->error.code != OK && op->error.code != ERR_FENCED && !s->director->is_stopping) {
        (void)due_again(s->env, &l->due, RETRY_MS, later_again);
        return;
    }
    const bool is_set = op->error.code == OK && op->number > 0;
    free(l);
    if (is_set)
        director_due_note(s->director, &row);
}

static void later_store(struct later *l)
{
    struct queues *s = l->queue->queues;
    l->op = (struct store_op){.loop = s->env->loop, .done = later_stored};
    store_queue_later(s->env->store, &l->op, l->queue->id, l->after_us);
}

static void is_due(void *ctx, const struct due_row *row)
{
    struct queues *s = ctx;
    uint64_t id;
    if (s->director->is_stopping || !slice_to_u64(row->key, &id))
        return;
    struct later *l = calloc(1, sizeof(*l));
    CHECK(l);
    l->queue = live_of(s, (int64_t)id);
    l->after_us = flow_now_us(s->env);
    l->queue->may_have_later = true;
    later_store(l);
    pump(l->queue);
}

/* ---- start and end ---- */

struct queues *queues_new(struct director *d, struct flow_env *env, struct queues_metrics *metrics)
{
    struct queues *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->director = d;
    s->env = env;
    s->metrics = metrics;
    director_due_kind(d, DUE_QUEUE, is_due, s);
    queues_declared(s);
    return s;
}

void queues_free(struct queues *s)
{
    size_t cursor = 0;
    void *value;
    if (!s)
        return;
    while (map_next(&s->lives, &cursor, NULL, &value)) {
        struct live *q = value;
        struct list *n;
        while ((n = list_pop_front(&q->ready)))
            free(container_of(n, struct message, link));
        due_stop(s->env, &q->fill);
        due_stop(s->env, &q->refused);
        free(q->name);
        free(q->module);
        free(q);
    }
    map_done(&s->lives);
    free(s);
}
