/* SPDX-License-Identifier: Apache-2.0
 *
 * Signals and the ends of children: things from outside that calls wait for by name.
 *
 * A channel is the queue of signals with one name and the queue of calls that wait for it; while
 * both hold something it stands in execution.ready. Which signal goes to which call is decided only
 * when it is delivered: a call that is given up before takes nothing along. A signal is consumed by
 * the DONE record that delivers it, whose payload starts with its seq, so that a replay of records
 * that the store does not have yet (the tail) can consume it again.
 *
 * A wait that has timed out while the execution was not in memory still gets a signal that was sent
 * in time; and so does one whose time-out was not delivered yet when older waits, which the signal
 * would have gone to, were withdrawn.
 *
 * Before the execution is live everything is just kept in order. */
#include <stdlib.h>

#include "durable/internal.h"

static struct slice signal_name(const struct signal *s)
{
    return slice_of(s->text, s->name_len);
}

static struct slice channel_name(const struct channel *ch)
{
    return slice_of(ch->name, ch->name_len);
}

static struct channel *channel_get(struct map *map, struct slice name)
{
    struct channel *ch = map_get(map, name);
    if (ch)
        return ch;
    ch = calloc(1, sizeof(*ch) + name.len);
    if (!ch)
        check_out_of_memory(sizeof(*ch) + name.len);
    ch->item.kind = ITEM_SIGNAL;
    list_init(&ch->waiting);
    list_init(&ch->signals);
    ch->map = map;
    ch->name_len = name.len;
    if (name.len)
        memcpy(ch->name, name.ptr, name.len);
    (void)map_put(map, name, ch); /* there was none */
    return ch;
}

/* To be called after each change; may free the channel. */
static void channel_settle(struct execution *x, struct channel *ch)
{
    const bool is_waiting = !list_is_empty(&ch->waiting);
    const bool has_signal = !list_is_empty(&ch->signals);
    if (!is_waiting || !has_signal)
        list_remove(&ch->item.link);
    else if (!list_is_linked(&ch->item.link))
        list_push_back(&x->ready, &ch->item.link);
    if (is_waiting || has_signal)
        return;
    (void)map_remove(ch->map, channel_name(ch)); /* it is ch */
    free(ch);
}

void event_listen(struct execution *x, struct call *c)
{
    struct map *map = c->kind == EXECUTION_EVENT ? &x->events : &x->children;
    c->channel = channel_get(map, call_name(c));
    list_push_back(&c->channel->waiting, &c->waiting);
    x->listening++;
    channel_settle(x, c->channel);
}

void event_unlisten(struct execution *x, struct call *c)
{
    struct channel *ch = TAKE(c->channel);
    list_remove(&c->waiting);
    x->listening--;
    channel_settle(x, ch);
}

/* ---- signals ---- */

static void signal_free(struct execution *x, struct signal *s)
{
    (void)id_table_remove(&x->signals, s->by_seq.key); /* it is s */
    list_remove(&s->link);
    free(s);
}

static void signal_post(struct execution *x, struct signal *s)
{
    struct channel *ch = channel_get(&x->events, signal_name(s));
    list_remove(&s->link);
    list_push_back(&ch->signals, &s->link);
    channel_settle(x, ch);
}

/* Was it consumed by a record of the tail, so that the store still had it? Asked once a seq. */
static bool signal_is_gone(struct execution *x, int64_t seq)
{
    struct table_node *n = id_table_remove(&x->gone, (uint64_t)seq);
    free(n);
    return n != NULL;
}

void execution_signal(struct execution *x, int64_t seq, int64_t at_us, struct slice name,
                      struct slice data)
{
    if (seq <= x->signal_last || !execution_is_running(x))
        return;
    x->signal_last = seq;
    if (signal_is_gone(x, seq))
        return;
    struct signal *s = calloc(1, sizeof(*s) + name.len + data.len);
    if (!s)
        check_out_of_memory(sizeof(*s) + name.len + data.len);
    s->seq = seq;
    s->at_us = at_us;
    s->name_len = name.len;
    s->data_len = data.len;
    if (name.len)
        memcpy(s->text, name.ptr, name.len);
    if (data.len)
        memcpy(s->text + name.len, data.ptr, data.len);
    id_table_add(&x->signals, &s->by_seq, (uint64_t)seq);
    list_push_back(&x->early_signals, &s->link);
    if (!execution_is_live(x))
        return;
    signal_post(x, s);
    if (!list_is_empty(&x->ready))
        x->port->runnable(x->port->ctx);
}

void event_consume(struct execution *x, int64_t seq)
{
    struct table_node *n = id_table_find(&x->signals, (uint64_t)seq);
    if (journal_is_tail(x))
        batch_consumed(x, seq);
    if (n) {
        signal_free(x, container_of(n, struct signal, by_seq));
        return;
    }
    if (!journal_is_tail(x) || seq <= x->signal_last || id_table_find(&x->gone, (uint64_t)seq))
        return;
    n = calloc(1, sizeof(*n));
    if (!n)
        check_out_of_memory(sizeof(*n));
    id_table_add(&x->gone, n, (uint64_t)seq);
}

/* Consumes the channel's next signal; its payload, as recorded, is in x->scratch. */
static void signal_take(struct execution *x, struct channel *ch)
{
    struct signal *s = container_of(ch->signals.next, struct signal, link);
    const double at_ms = (double)s->at_us / 1000;
    uint64_t at_bits;
    memcpy(&at_bits, &at_ms, sizeof(at_bits));
    bytes_clear(&x->scratch);
    bytes_append_u64(&x->scratch, (uint64_t)s->seq);
    bytes_append_u64(&x->scratch, at_bits);
    bytes_append_lstr(&x->scratch, slice_of(s->text + s->name_len, s->data_len));
    batch_consumed(x, s->seq);
    signal_free(x, s);
    list_remove(&ch->item.link); /* other names have their turn first */
}

struct call *event_take(struct execution *x, struct channel *ch)
{
    struct call *c = container_of(ch->waiting.next, struct call, waiting);
    signal_take(x, ch);
    event_unlisten(x, c);
    deadline_drop(x, c);
    return c;
}

/* Is there a signal for this call, sent in time, when those that wait longer have got theirs? */
static bool event_is_served(const struct call *c)
{
    const struct channel *ch = c->channel;
    const struct list *n = ch->signals.next;
    LIST_FOREACH (w, &ch->waiting) {
        if (n == &ch->signals)
            return false;
        if (w == &c->waiting)
            return container_of(n, const struct signal, link)->at_us <= c->due_us;
        n = n->next;
    }
    return false;
}

void event_due(struct execution *x, struct call *c)
{
    if (event_is_served(c)) {
        c->due_us = EXECUTION_NEVER;
        return;
    }
    const struct slice name = slice_utf8_clip(call_name(c), RECORD_LABEL_BYTES_MAX);
    char text[RECORD_LABEL_BYTES_MAX + 32];
    (void)snprintf(text, sizeof(text), "no signal \"%.*s\" came in time", SLICE_ARG(name));
    const int64_t due_us = c->due_us;
    event_unlisten(x, c);
    call_arrive(x, c, ERR_TIMEOUT, slice_cstr(text));
    c->due_us = due_us; /* for event_take_late() */
}

bool event_take_late(struct execution *x, const struct call *c)
{
    struct channel *ch = c->kind == EXECUTION_EVENT && c->status == ERR_TIMEOUT && !c->is_given_up
                             ? map_get(&x->events, call_name(c))
                             : NULL;
    if (!ch || !list_is_empty(&ch->waiting) ||
        container_of(ch->signals.next, const struct signal, link)->at_us > c->due_us)
        return false;
    signal_take(x, ch);
    channel_settle(x, ch);
    return true;
}

/* ---- children ---- */

static void child_ended(struct execution *x, struct slice child, uint32_t status,
                        struct slice payload)
{
    struct channel *ch = map_get(&x->children, child);
    if (!ch)
        return;
    bool is_last = false;
    while (!is_last) { /* the last one to leave frees the channel */
        struct call *c = container_of(ch->waiting.next, struct call, waiting);
        is_last = ch->waiting.next == ch->waiting.prev;
        event_unlisten(x, c);
        call_arrive(x, c, status, payload);
    }
}

static void child_keep(struct execution *x, struct slice child, uint32_t status,
                       struct slice payload)
{
    struct early_child *e = calloc(1, sizeof(*e) + child.len + payload.len);
    if (!e)
        check_out_of_memory(sizeof(*e) + child.len + payload.len);
    e->status = status;
    e->name_len = child.len;
    e->payload_len = payload.len;
    if (child.len)
        memcpy(e->text, child.ptr, child.len);
    if (payload.len)
        memcpy(e->text + child.len, payload.ptr, payload.len);
    list_push_back(&x->early_children, &e->link);
}

void execution_child_done(struct execution *x, struct slice child, uint32_t status,
                          struct slice payload)
{
    if (x->state == EXECUTION_REPLAYING)
        child_keep(x, child, status, payload);
    if (!execution_is_live(x))
        return;
    child_ended(x, child, status, payload);
    if (!list_is_empty(&x->ready))
        x->port->runnable(x->port->ctx);
}

bool execution_awaited_child(const struct execution *x, uint32_t *cursor, struct slice *ret_child)
{
    if (x->listening == 0)
        return false;
    const struct call *last = *cursor ? call_find(x, *cursor) : NULL;
    for (const struct list *n = last ? last->link.next : x->calls.next; n != &x->calls;
         n = n->next) {
        const struct call *c = container_of(n, const struct call, link);
        if (c->by_id.key <= *cursor || c->kind != EXECUTION_CHILD_RESULT || !c->channel)
            continue;
        *cursor = (uint32_t)c->by_id.key;
        *ret_child = call_name(c);
        return true;
    }
    return false;
}

bool execution_waits_for_events(const struct execution *x)
{
    return x->listening > 0;
}

/* ---- going live, ending ---- */

void events_go_live(struct execution *x)
{
    while (!list_is_empty(&x->early_signals))
        signal_post(x, container_of(x->early_signals.next, struct signal, link));
    struct list *n;
    while ((n = list_pop_front(&x->early_children))) {
        struct early_child *e = container_of(n, struct early_child, link);
        child_ended(x, slice_of(e->text, e->name_len), e->status,
                    slice_of(e->text + e->name_len, e->payload_len));
        free(e);
    }
}

static void channels_free(struct map *map)
{
    size_t cursor = 0;
    void *ch;
    while (map_next(map, &cursor, NULL, &ch))
        free(ch);
    map_done(map);
}

void events_done(struct execution *x)
{
    for (size_t i = 0; x->signals.buckets && i < (size_t)1 << x->signals.bits; i++)
        for (struct table_node *s = x->signals.buckets[i], *next; s; s = next) {
            next = s->next;
            free(container_of(s, struct signal, by_seq));
        }
    id_table_done(&x->signals);
    id_table_free_nodes(&x->gone);
    channels_free(&x->events);
    channels_free(&x->children);
    LIST_FOREACH (n, &x->early_children)
        free(container_of(n, struct early_child, link));
    bytes_done(&x->scratch);
}
