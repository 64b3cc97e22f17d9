/* SPDX-License-Identifier: Apache-2.0
 *
 * Checking an execution against other code: a run that only replays (execution_config.is_check). It
 * agrees when the code has asked for everything that its journal has, in order; it is then pinned
 * to that version if that was asked for.
 *
 * The same machinery verifies (--verify-replay): whenever an execution leaves memory, its journal
 * is replayed in another isolate and must come to the same state, or to the same end. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "flow/run_internal.h"
#include "module/deployment.h"

static void check_told(struct post *p)
{
    struct run_check *c = container_of(p, struct run_check, post);
    c->done(c);
}

static void check_tell(struct run_check *c)
{
    c->post.fn = check_told;
    director_post(c->flow->env->shared->director, &c->post);
}

/* What became of it is known; until then it is that it could not be checked. */
static struct run_check *check_decide(struct run *r)
{
    r->check->error = (struct error){0};
    return r->check;
}

void run_check_differs(struct run *r, const struct error *error)
{
    struct run_check *c = check_decide(r);
    if (error->code != ERR_DIVERGED) {
        c->error = *error;
    } else {
        c->record = r->divergence.record;
        bytes_append_cstr(&c->recorded, r->divergence.recorded);
        bytes_append_cstr(&c->did, r->divergence.did);
        bytes_append_slice(&c->stack, bytes_slice(&r->stack));
    }
}

/* ---- migrating ---- */

struct migration {
    struct activation_commit c;
    int64_t records, version;
};

static void migration_submit(struct activation *a, struct activation_commit *c)
{
    const struct migration *m = container_of(c, struct migration, c);
    store_durable_migrate(a->env->store, &c->op, slice_cstr(a->key), m->records, m->version);
}

static void migration_stored(struct activation *a, struct activation_commit *c)
{
    check_decide(run_of(a))->agrees = true;
    free(container_of(c, struct migration, c));
}

static void migration_drop(struct activation_commit *c)
{
    struct run *r = run_of(c->activation);
    r->check->error = c->op.error;
    free(container_of(c, struct migration, c));
}

static enum activation_next migrate(struct run *r)
{
    struct migration *m = calloc(1, sizeof(*m));
    CHECK(m);
    m->records = r->row.records;
    m->version = r->a.deployment->version;
    activation_push(&r->a, &m->c);
    return NEXT_LEAVE;
}

/* ---- verifying ---- */

static void verified(struct run_check *c)
{
    struct flow_shared *s = c->flow->env->shared;
    /* Else it could not be compared: it has gone on, or was deleted, the store failed, the server stops. */
    bool is_gone = c->is_gone || c->error.code == ERR_NOT_FOUND;
    bool is_known = c->agrees || (!is_gone && !error_is_retryable(c->error.code));
    if (!c->agrees && is_known)
        log_error("a replay differs from the execution", LOG_STR("execution", c->id),
                  LOG_STR("error", c->error.message), LOG_INT("record", c->record),
                  LOG_SLICE("recorded", bytes_slice(&c->recorded)),
                  LOG_SLICE("did", bytes_slice(&c->did)));
    if (is_known)
        metric_add(c->agrees ? &s->verified : &s->verify_failures, 1);
    deployment_unref(c->deployment);
    bytes_done(&c->expected);
    bytes_done(&c->recorded);
    bytes_done(&c->did);
    bytes_done(&c->stack);
    free(c);
}

void run_verify(struct run *r, int64_t records, struct slice expected)
{
    struct run_check *c = calloc(1, sizeof(*c));
    CHECK(c);
    memcpy(c->id, r->a.key, sizeof(c->id));
    c->deployment = deployment_ref(r->a.deployment);
    c->verifies = true;
    c->records = records;
    c->done = verified;
    bytes_append_slice(&c->expected, expected);
    run_check(r->a.flow, c);
}

static enum activation_next compare(struct run *r)
{
    struct run_check *c = check_decide(r);
    CLEANUP(bytes_done) struct bytes state = BYTES_INIT;
    if (r->result.len > 0) /* the code ended */
        bytes_append_slice(&state, bytes_slice(&r->result));
    else
        execution_describe(r->x, &state);
    c->agrees = slice_eq(bytes_slice(&state), bytes_slice(&c->expected));
    if (!c->agrees) {
        bytes_append_slice(&c->recorded, bytes_slice(&c->expected));
        bytes_append_slice(&c->did, bytes_slice(&state));
    }
    return NEXT_LEAVE;
}

/* ---- the kind ---- */

static enum activation_next check_stepped(struct activation *a, enum guest_status status,
                                          struct error *ret_error)
{
    struct run *r = run_of(a);
    run_charge(r);
    enum activation_next next = run_stop_replay(r, ret_error);
    if (next != NEXT_REST)
        return next;
    enum execution_state state = execution_state(r->x);
    bool is_over = status == GUEST_DEAD || status == GUEST_FINISHED;
    if (r->check->verifies && (state == EXECUTION_AGREED || is_over))
        return compare(r);
    if (state == EXECUTION_AGREED && r->check->migrates)
        return migrate(r);
    if (state == EXECUTION_AGREED)
        check_decide(r)->agrees = true;
    else if (is_over) /* in a way of its own: a limit, or it ended where the old code went on */
        error_set(&r->check->error, ERR_GUEST, "the code ended while its journal goes on");
    return state == EXECUTION_AGREED || is_over ? NEXT_LEAVE : NEXT_STAY;
}

static void check_gave_up(struct activation *a, const struct error *error)
{
    run_of(a)->check->error = *error;
}

/* It reads everything when it starts; whoever runs it after this one looks. */
static void check_woken(struct activation *a, const char *about)
{
    a->news = NEWS_UNSEEN;
}

static void check_look(struct activation *a)
{
}

static void check_gone(struct activation *a)
{
    struct run_check *c = run_of(a)->check;
    run_gone(a);
    check_tell(c);
}

static const struct activation_kind check_kind = {
    .text = "check",
    .space = RUN_SPACE,
    .is_once = true,
    .enter = run_enter,
    .read = run_read,
    .started = run_started,
    .stepped = check_stepped,
    .may_go_on = run_may_go_on,
    .has_to_stand = run_has_to_stand,
    .rest = run_rest,
    .tick = run_tick,
    .woken = check_woken,
    .look_at_all = check_look,
    .exit = run_exit,
    .submit = migration_submit,
    .stored = migration_stored,
    .drop = migration_drop,
    .went_on = check_look,
    .failed = check_gave_up,
    .gone = check_gone,
};

static void check_arrived(struct post *p)
{
    struct run_check *c = container_of(p, struct run_check, post);
    struct flow *f = c->flow;
    /* Whoever runs it has to let go first, where it is to be pinned; the director tries again. */
    error_set(&c->error, ERR_UNAVAILABLE, "the execution is busy, or the server stops");
    if (f->is_draining || (c->migrates && !activation_evict(f, RUN_SPACE, slice_cstr(c->id)))) {
        check_tell(c);
        return;
    }
    struct run *r = run_new(f, &check_kind, c->deployment, c->id, c->migrates);
    r->check = c;
    activation_begin(&r->a);
}

void run_check(struct flow *f, struct run_check *c)
{
    c->flow = f;
    c->post.fn = check_arrived;
    flow_post(f->env, &c->post);
}
