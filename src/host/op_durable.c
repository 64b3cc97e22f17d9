/* SPDX-License-Identifier: Apache-2.0
 *
 * The ops that only durable executions have. */
#include "host/internal.h"

static enum err refuse(struct guest *g, const char *what)
{
    enum err err = op_refuse(g, ERR_FORBIDDEN, "%s is only available in a workflow", what);
    error_hint(&g->op_error, "deploy the module with: limpet workflow upload NAME FILE");
    return err;
}

enum err op_next(struct guest *g, const struct op_next_args *a)
{
    return refuse(g, "next()");
}

enum err op_step(struct guest *g, const struct op_step_args *a)
{
    return refuse(g, "step()");
}

enum err op_step_done(struct guest *g, const struct op_step_done_args *a)
{
    return refuse(g, "step()");
}

enum err op_event_wait(struct guest *g, const struct op_event_wait_args *a)
{
    return refuse(g, "waitForEvent()");
}

enum err op_child_start(struct guest *g, const struct op_child_start_args *a)
{
    return refuse(g, "startChild()");
}

enum err op_child_result(struct guest *g, const struct op_child_result_args *a)
{
    return refuse(g, "result()");
}

enum err op_signal(struct guest *g, const struct op_signal_args *a)
{
    return refuse(g, "signal()");
}

enum err op_child_cancel(struct guest *g, const struct op_child_cancel_args *a)
{
    return refuse(g, "cancel()");
}

enum err op_progress(struct guest *g, const struct op_progress_args *a)
{
    return refuse(g, "progress()");
}
