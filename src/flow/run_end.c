/* SPDX-License-Identifier: Apache-2.0
 *
 * How the code of an execution ends, and how a replay that does not agree is dealt with. */
#include <string.h>

#include "base/json.h"
#include "flow/run_internal.h"
#include "module/deployment.h"

static void write_divergence(const struct execution_divergence *d, struct json_writer *j)
{
    json_key(j, "record");
    json_int(j, d->record);
    json_key(j, "recorded");
    json_cstr(j, d->recorded);
    json_key(j, "did");
    json_cstr(j, d->did);
}

void run_write_error(struct run *r, const struct error *error, struct slice name,
                     struct slice stack, struct bytes *out)
{
    struct json_writer j = json_writer(out);
    json_open(&j, '{');
    json_key(&j, "code");
    json_cstr(&j, error_text(error->code));
    if (name.len > 0) {
        json_key(&j, "name");
        json_slice(&j, name);
    }
    struct slice message = slice_cstr(error->message);
    if (name.len > 0 && slice_starts(message, name) &&
        slice_starts(slice_skip(message, name.len), SLICE_LIT(": "))) /* it is said above */
        message = slice_skip(message, name.len + 2);
    json_key(&j, "message");
    json_slice(&j, message);
    if (error->hint[0]) {
        json_key(&j, "hint");
        json_cstr(&j, error->hint);
    }
    if (stack.len > 0) {
        json_key(&j, "stack");
        json_slice(&j, slice_trim(stack));
    }
    if (error->code == ERR_DIVERGED)
        write_divergence(&r->divergence, &j);
    json_close(&j, '}');
}

static bool has_stopped_replay(const struct run *r)
{
    enum execution_state state = execution_state(r->x);
    return state == EXECUTION_HAS_DIVERGED || state == EXECUTION_BROKEN ||
           state == EXECUTION_AGREED;
}

static void port_value(struct dispatch *d, struct slice json)
{
    struct run *r = container_of(d, struct run, dispatch);
    if (r->check)
        bytes_append_slice(&r->result, json);
    execution_finish(r->x, OK, json);
}

static void port_fail(struct dispatch *d, const struct error *error, struct slice name,
                      struct slice stack)
{
    struct run *r = container_of(d, struct run, dispatch);
    if (!r->a.guest) /* it is being ended, that is none of its code's doing */
        return;
    bytes_clear(&r->stack);
    deployment_write_stack(r->a.deployment, stack, &r->stack);
    if (error->code == ERR_IO && name.len == 0) {
        error_set(&r->trouble, ERR_IO, "the journal in the module's database could not be written");
        return;
    }
    if (has_stopped_replay(r) || r->break_id != 0)
        return; /* run_stop_replay() sees to it */
    CLEANUP(bytes_done) struct bytes json = BYTES_INIT;
    struct error e = *error;
    if (slice_eq_cstr(name, "CancelledError") && execution_is_cancelled(r->x))
        e.code = ERR_CANCELLED;
    run_write_error(r, &e, name, bytes_slice(&r->stack), &json);
    if (r->check)
        bytes_append_slice(&r->result, bytes_slice(&json));
    execution_finish(r->x, e.code, bytes_slice(&json));
}

/* What the journal says and what the code did differ. When that came out at rest, the code runs
 * once more, up to the call in question, for its line. */
enum activation_next run_stop_replay(struct run *r, struct error *ret_error)
{
    enum execution_state state = execution_state(r->x);
    struct error e = {0};
    if (r->break_id == 0 && state != EXECUTION_HAS_DIVERGED && state != EXECUTION_BROKEN)
        return NEXT_REST;
    if (state == EXECUTION_HAS_DIVERGED && r->break_id == 0) {
        r->divergence = *execution_divergence(r->x);
        if (r->stack.len == 0 && r->divergence.id != 0) {
            r->break_id = r->divergence.id;
            return NEXT_AGAIN;
        }
    }
    if (state == EXECUTION_BROKEN && r->break_id == 0) {
        e = *execution_error(r->x);
        if (error_is_retryable(e.code)) { /* the store: that can pass */
            *ret_error = e;
            return run_load_broken(r);
        }
    } else {
        error_set(&e, ERR_DIVERGED, "the journal says at record %lld: %s; the code did: %s",
                  (long long)r->divergence.record, r->divergence.recorded, r->divergence.did);
        error_hint(&e, "code that runs again must do the same in the same order; limpet workflow "
                       "check NAME FILE tells before a deploy");
    }
    r->break_id = 0;
    if (r->check) {
        run_check_differs(r, &e);
        return NEXT_LEAVE;
    }
    CLEANUP(bytes_done) struct bytes json = BYTES_INIT;
    run_write_error(r, &e, e.code == ERR_DIVERGED ? SLICE_LIT("NonDeterminismError") : SLICE_EMPTY,
                    bytes_slice(&r->stack), &json);
    run_push_failure(r, bytes_slice(&json));
    return NEXT_FAIL;
}

static void port_over(struct dispatch *d)
{
}

const struct dispatch_port run_port = {.value = port_value, .fail = port_fail, .over = port_over};
