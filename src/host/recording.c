/* SPDX-License-Identifier: Apache-2.0
 *
 * See recording.h. */
#include "host/recording.h"

#include "sandbox/isolate.h"

enum err recording_diverged(struct guest *g)
{
    const struct execution_divergence *d = execution_divergence(g->durable->execution);
    if (execution_state(g->durable->execution) == EXECUTION_BROKEN) {
        g->op_error = *execution_error(g->durable->execution);
        isolate_trap(g->isolate, g->op_error.code, "%s", g->op_error.message);
        return g->op_error.code;
    }
    if (execution_state(g->durable->execution) !=
        EXECUTION_HAS_DIVERGED) /* break_id: it is known how */
        return op_refuse(g, ERR_DIVERGED, "here the code differs from its journal");
    op_refuse(g, ERR_DIVERGED, "the journal says at record %lld: %s; the code did: %s",
              (long long)d->record, d->recorded, d->did);
    error_hint(&g->op_error, "code that runs again must do the same in the same order: deploy it "
                             "under another name, or move what changed into a step");
    return ERR_DIVERGED;
}

static enum err give_replayed(struct guest *g, const struct execution_result *result)
{
    if (result->status != OK)
        return op_refuse(g, (enum err)result->status, "%.*s", SLICE_ARG(result->payload));
    bytes_append_slice(&g->result, result->payload);
    return OK;
}

bool recording_replays_always(struct guest *g, struct recording *r, enum op_number op,
                              const void *args, struct slice label, enum err *ret_err)
{
    *r = (struct recording){.op = op, .label = label};
    if (!guest_is_recorded(g))
        return false;
    struct execution_result result = {0};
    r->guest = g;
    r->digest = recording_digest(op, args);
    switch (execution_sync(g->durable->execution, op, r->digest, label, &result)) {
    case EXECUTION_LIVE:
        return false;
    case EXECUTION_REPLAYED:
        r->is_tail = execution_is_tail(g->durable->execution);
        *ret_err = give_replayed(g, &result);
        return true;
    case EXECUTION_DIVERGED:
        break;
    }
    *ret_err = recording_diverged(g);
    return true;
}

bool recording_replays(struct guest *g, struct recording *r, enum op_number op, const void *args,
                       struct slice label, enum err *ret_err)
{
    if (recording_replays_always(g, r, op, args, label, ret_err))
        return true;
    if (!r->guest || !execution_is_overfull(g->durable->execution))
        return false;
    op_refuse(g, ERR_LIMIT, "more than %d MiB of results and effects in one transaction",
              EXECUTION_UNSTORED_BYTES_LIMIT >> 20);
    error_hint(&g->op_error, "read less in it, or do what is independent in several");
    *ret_err = recording_done(r, ERR_LIMIT);
    return true;
}

enum err recording_done(struct recording *r, enum err err)
{
    struct guest *g = r->guest;
    if (!g)
        return err;
    if (err == OK) {
        execution_sync_done(g->durable->execution, r->op, r->digest, r->label, OK,
                            bytes_slice(&g->result));
        return OK;
    }
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    bytes_append_cstr(&text, g->op_error.code == err ? g->op_error.message : error_text(err));
    if (g->op_error.code == err && g->op_error.hint[0])
        bytes_printf(&text, " (%s)", g->op_error.hint);
    execution_sync_done(g->durable->execution, r->op, r->digest, r->label, err, bytes_slice(&text));
    return err;
}

void recording_done_as(struct recording *r, struct slice payload)
{
    if (r->guest)
        execution_sync_done(r->guest->durable->execution, r->op, r->digest, r->label, OK, payload);
}

enum err recording_call(struct guest *g, struct op_call *c, const void *args)
{
    uint32_t id = 0, scope = 0;
    enum err err = op_check_wait(g);
    if (err != OK)
        return err;
    c->call.digest = recording_digest((enum op_number)c->call.op, args);
    err = execution_call(g->durable->execution, &c->call, &id, &scope, &g->op_error);
    if (err == ERR_DIVERGED)
        return recording_diverged(g);
    if (err != OK)
        return err;
    bytes_append_u32(&g->result, id);
    if (c->call.kind == EXECUTION_STEP)
        bytes_append_u32(&g->result, scope);
    bytes_append_slice(&g->result, bytes_slice(&c->more));
    return OK;
}
