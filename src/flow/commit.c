/* SPDX-License-Identifier: Apache-2.0
 *
 * Commits of an activation on their way. They go to the store in order, several at a time; one whose
 * records tell of a commit in the module's database waits until that is on disk (a record that
 * survives must not outlive its effect), and those behind it wait, too. */
#include "flow/activation.h"

bool activation_is_settled(const struct activation *a)
{
    return a->in_flight == 0 && list_is_empty(&a->outbox) && !a->is_gated;
}

void commit_drop_all(struct activation *a)
{
    struct list *n;
    while ((n = list_pop_front(&a->outbox)))
        a->kind->drop(container_of(n, struct activation_commit, link));
}

bool flow_hears_soon(const struct flow *f)
{
    enum { FEW = 2 };
    return f->in_flight > 0 && f->in_flight <= FEW &&
           f->env->clock->monotonic_ns() - f->asked_ns < store_answer_ns(f->env->store);
}

static void answered(struct store_op *op)
{
    struct activation_commit *c = container_of(op, struct activation_commit, op);
    struct activation *a = c->activation;
    struct error e = op->error;
    a->in_flight--;
    a->flow->in_flight--;
    if (e.code != OK) {
        a->kind->drop(c);
        activation_refused(a, &e);
        return;
    }
    a->kind->stored(a, c);
    activation_stored(a);
}

static void pump(struct activation *a);

static void gate_open(struct sql_gate_wait *w, const struct error *error)
{
    struct activation *a = container_of(w, struct activation, gate);
    struct error e = error->code != OK ? *error : a->failure;
    a->is_gated = false;
    if (e.code != OK)
        activation_refused(a, &e);
    else
        pump(a);
}

static void pump(struct activation *a)
{
    while (!a->is_gated && !list_is_empty(&a->outbox)) {
        struct activation_commit *c = container_of(a->outbox.next, struct activation_commit, link);
        if (c->gate_seq > 0 && !a->env->place->gate_is_open(a->slot, c->gate_seq)) {
            a->is_gated = true;
            a->gate = (struct sql_gate_wait){.done = gate_open, .seq = (uint64_t)c->gate_seq};
            a->env->place->gate_wait(a->slot, &a->gate);
            return;
        }
        list_remove(&c->link);
        a->in_flight++;
        a->flow->in_flight++;
        a->flow->asked_ns = a->env->clock->monotonic_ns();
        c->op.loop = a->env->loop;
        c->op.done = answered;
        a->kind->submit(a, c);
    }
}

void activation_push(struct activation *a, struct activation_commit *c)
{
    c->activation = a;
    list_push_back(&a->outbox, &c->link);
    pump(a);
}
