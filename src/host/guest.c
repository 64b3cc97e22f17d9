/* SPDX-License-Identifier: Apache-2.0
 *
 * Guests, see guest.h: making, stepping, ending; the output gate; loading of modules. */
#include "host/guest.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "host/recording.h"
#include "loop/loop.h"
#include "module/deployment.h"
#include "sandbox/isolate.h"

static void guest_init(struct guest *g)
{
    list_init(&g->starting);
    list_init(&g->running);
    list_init(&g->contexts);
    list_init(&g->completions);
    list_init(&g->d1_queue);
    list_init(&g->codecs);
    list_init(&g->sql.held);
    g->cell.clock_base_ns = clock_monotonic_ns();
    g->cell.is_loading = g->loading;
}

/* What its last op has left. */
static void guest_clear(struct guest *g)
{
    op_result_clear(g);
    if (g->digest)
        EVP_MD_CTX_free(TAKE(g->digest));
    codecs_end(g, NULL);
}

static void guest_release(struct guest *g)
{
    guest_clear(g);
    bytes_done(&g->result);
    bytes_done(&g->input);
}

static struct account *guest_account(const struct guest *g)
{
    return g->deployment ? g->deployment->account : NULL;
}

static void uncharge_isolate(struct guest *g)
{
    struct account *of = guest_account(g);
    allowance_give(&g->memory, g->isolate_bytes);
    allowance_done(&g->memory);
    if (of)
        account_give(of, RESOURCE_ISOLATES, 1);
}

/* Itself, and the memory of its own that it has from the start. At a limit newcomers wait:
 * ERR_OVERLOAD. */
static enum err charge_isolate(struct guest *g, struct error *ret_error)
{
    struct account *of = guest_account(g);
    struct budget *full;
    if (of && !budget_take(&of->budgets[RESOURCE_ISOLATES], 1, &full)) {
        (void)budget_refuse(full, ret_error);
        goto refused;
    }
    g->memory.from = of ? &of->budgets[RESOURCE_MEMORY] : NULL;
    if (!allowance_take(&g->memory, GUEST_ISOLATE_BYTES, &full)) {
        (void)budget_refuse(full, ret_error);
        uncharge_isolate(g);
        goto refused;
    }
    g->isolate_bytes = GUEST_ISOLATE_BYTES;
    return OK;
refused:
    if (ret_error)
        ret_error->code = ERR_OVERLOAD;
    return ERR_OVERLOAD;
}

/* memory.grow in the guest. */
static bool may_grow(void *user, size_t more)
{
    struct guest *g = container_of(user, struct guest, cell);
    struct budget *full;
    if (!allowance_take(&g->memory, more, &full)) {
        g->full = full;
        return false;
    }
    g->isolate_bytes += more;
    return true;
}

enum err guest_new(struct guest_host *host, struct deployment *d, struct guest **ret_guest,
                   struct error *ret_error)
{
    CHECK(d->image);
    struct guest *g = calloc(1, sizeof(*g));
    CHECK(g);
    guest_init(g);
    g->host = host;
    g->deployment = deployment_ref(d);
    g->runtime = d->runtime;
    enum err err = deployment_charge(d, ret_error);
    if (err == OK)
        err = charge_isolate(g, ret_error);
    if (err == OK) {
        err = isolate_new(image_code(d->image), d->image, d->memory_bytes_max, &g->isolate,
                          ret_error);
        if (err != OK)
            uncharge_isolate(g);
    }
    if (err != OK) {
        deployment_unref(d);
        free(g);
        return err;
    }
    isolate_set_user(g->isolate, &g->cell);
    isolate_ask_to_grow(g->isolate, may_grow);
    host->isolates_made++;
    *ret_guest = g;
    return OK;
}

struct guest *guest_of_isolate(const struct isolate *i)
{
    return container_of(isolate_user(i), struct guest, cell);
}

void guest_report(struct guest *g)
{
    if (g->host && g->host->runnable && !g->loading && !g->is_ending)
        g->host->runnable(g->host->ctx, g);
}

enum err guest_charge(struct guest *g, size_t len)
{
    size_t max = g->deployment ? g->deployment->memory_bytes_max : LIMIT_GUEST_MEMORY_BYTES;
    if (g->memory.used - g->isolate_bytes + len + isolate_memory_bytes(g->isolate) > max)
        return op_refuse(
            g, ERR_LIMIT_MEMORY,
            "memory and buffered data together are above the limit of %zu MiB; stream it",
            max >> 20);
    struct budget *full;
    if (!allowance_take(&g->memory, len, &full))
        return budget_refuse(full, &g->op_error);
    return OK;
}

void guest_hold(struct guest *g, size_t len)
{
    allowance_force(&g->memory, len);
}

void guest_discharge(struct guest *g, size_t len)
{
    allowance_give(&g->memory, len);
}

bool guest_is_shared(const struct guest *g)
{
    return g->deployment && (g->deployment->is_module_isolation || g->actor);
}

/* ---- output gate ---- */

/* Of what is held while the transaction of a turn is open: its commit has no number yet. */
#define GATE_SEQ_OF_TURN UINT64_MAX

static void gate_open(struct sql_gate_wait *w, const struct error *error);

/* The first that is held says what is waited for: later ones depend on later commits. */
static void gate_await(struct guest *g)
{
    struct list *n = list_first(&g->sql.held);
    if (!n || g->sql.is_gated)
        return;
    const struct held *h = container_of(n, struct held, link);
    if (h->seq == GATE_SEQ_OF_TURN)
        return;
    g->sql.is_gated = true;
    g->sql.gate.done = gate_open;
    g->sql.gate.seq = h->seq;
    sql_gate_wait(g->host->loop, g->sql.file, &g->sql.gate);
}

/* What is released may withdraw others, or hold more. A failed sync voids all that waits. */
static void gate_open(struct sql_gate_wait *w, const struct error *error)
{
    struct guest *g = container_of(w, struct guest, sql.gate);
    struct list looked_at, *n;
    g->sql.is_gated = false;
    list_init(&looked_at);
    list_splice_back(&looked_at, &g->sql.held);
    while ((n = list_pop_front(&looked_at))) {
        struct held *h = container_of(n, struct held, link);
        if (error->code == OK && !sql_is_durable(g->sql.file, h->seq))
            list_push_back(&g->sql.held, &h->link);
        else
            h->release(h, error->code == OK ? NULL : error);
    }
    gate_await(g);
    // The list on the stack is empty now.
    // NOLINTNEXTLINE(clang-analyzer-core.StackAddressEscape)
    guest_report(g);
}

/* While a transaction that lasts through awaits is open, what leaves depends on commits before it. */
static bool gate_is_turning(const struct guest *g)
{
    return g->sql.is_turn && g->sql.depth == 0;
}

bool guest_gate_is_open(const struct guest *g)
{
    return list_is_empty(&g->sql.held) && !g->sql.is_gated && !gate_is_turning(g) &&
           (!g->sql.file || sql_is_durable(g->sql.file, g->sql.gate_seq));
}

/* The second half of the gate: the commits of the database. */
static bool gate_pass_sql(struct guest *g, struct held *h)
{
    if (guest_gate_is_open(g))
        return true;
    h->seq = gate_is_turning(g) ? GATE_SEQ_OF_TURN : g->sql.gate_seq;
    list_push_back(&g->sql.held, &h->link);
    gate_await(g);
    return false;
}

void guest_gate_turned(struct guest *g)
{
    LIST_FOREACH (n, &g->sql.held) {
        struct held *h = container_of(n, struct held, link);
        if (h->seq == GATE_SEQ_OF_TURN)
            h->seq = g->sql.gate_seq;
    }
    gate_await(g);
}

bool guest_gate_pass(struct guest *g, struct held *h)
{
    if (g->durable) {
        h->records = execution_end(g->durable->execution);
        if (execution_durable(g->durable->execution) < h->records) {
            list_push_back(&g->durable->uncommitted, &h->link);
            return false;
        }
    }
    return gate_pass_sql(g, h);
}

/* What is released may withdraw others, from whichever list they are in. */
void guest_committed(struct guest *g)
{
    struct list looked_at, *n;
    list_init(&looked_at);
    list_splice_back(&looked_at, &g->durable->uncommitted);
    while ((n = list_pop_front(&looked_at))) {
        struct held *h = container_of(n, struct held, link);
        if (execution_durable(g->durable->execution) < h->records)
            list_push_back(&g->durable->uncommitted, &h->link);
        else if (gate_pass_sql(g, h))
            h->release(h, NULL);
    }
}

/* ---- stepping ---- */

/* Of a dispatch: what the engine gives with each op is a part of it, which must not be another's.
 */
static uint32_t next_number(struct guest *g)
{
    do
        g->next_dispatch = g->next_dispatch < INT32_MAX ? g->next_dispatch + 1 : 1;
    while (context_is_numbered(g, g->next_dispatch));
    return g->next_dispatch;
}

void guest_add(struct guest *g, struct dispatch *d)
{
    d->guest = g;
    d->id = next_number(g);
    list_push_back(&g->starting, &d->link);
    guest_report(g);
}

/* Starts the oldest waiting dispatch. False: it has failed without running. */
static bool start_dispatch(struct guest *g, enum isolate_status *ret_status)
{
    struct list *n = list_pop_front(&g->starting);
    CHECK(n);
    list_push_back(&g->running, n);
    struct dispatch *d = container_of(n, struct dispatch, link);
    if (d->is_gone) {
        dispatch_end(d);
        return false;
    }
    g->context = context_new(g, d);
    struct error e;
    const struct dispatch_input in = dispatch_input(d);
    context_bill(g->context);
    enum err err =
        g->runtime->type->dispatch(g->runtime, g->isolate, &in, &g->input, ret_status, &e);
    if (err != OK)
        dispatch_fail(d, &e, SLICE_EMPTY, SLICE_EMPTY);
    return err == OK;
}

static struct dispatch *next_gone(struct guest *g)
{
    LIST_FOREACH (n, &g->running) {
        struct dispatch *d = container_of(n, struct dispatch, link);
        if (d->is_gone && !d->is_told_gone)
            return d;
    }
    return NULL;
}

/* Tells the guest which clients have gone; what it does then may end others. False: trapped. */
static bool deliver_gone(struct guest *g)
{
    struct dispatch *d;
    g->gone = false;
    while ((d = next_gone(g))) {
        d->is_told_gone = true;
        if (!g->runtime->type->abort(g->isolate, d->id))
            return false;
    }
    return true;
}

/* The next call into the guest; false if there is nothing to do. */
static bool next_call(struct guest *g, enum isolate_status *ret_status)
{
    if (isolate_is_running(g->isolate)) {
        if (isolate_error(g->isolate)->code != OK) { /* set while it stood still */
            *ret_status = ISOLATE_TRAPPED;
            return true;
        }
        if (g->waiting || g->stand.is_working || (g->waiting_call != 0 && !op_wait_delivered(g))) {
            *ret_status = ISOLATE_WAITING;
        } else if (g->pauses) {
            g->pauses = false;
            *ret_status = ISOLATE_YIELDED;
        } else {
            *ret_status = isolate_resume(g->isolate);
        }
        return true;
    }
    if (g->has_expired) {
        contexts_reap(g);
        guest_sql_rest(g); /* a setup() whose time is up */
    }
    const struct context *blocker = g->actor ? g->actor->blocker : NULL;
    while (!blocker && !list_is_empty(&g->starting))
        if (start_dispatch(g, ret_status))
            return true;
    for (;;) {
        struct context *only = NULL; /* several requests: one's at a time, its bill */
        struct context *first = completions_first(g, blocker);
        if (!first && !g->gone && !guest_has_news(g))
            return false;
        if (guest_is_shared(g) && (only = first) && !context_bill(only)) {
            if (g->is_dead)
                return false;
            continue; /* it is over */
        }
        if (g->durable)
            g->durable->has_news = false;
        *ret_status = deliver_gone(g) && completions_deliver(g, blocker ? blocker : only)
                          ? g->runtime->type->run(g->isolate)
                          : ISOLATE_TRAPPED;
        return true;
    }
}

static void fail_all(struct guest *g, const struct error *error)
{
    g->is_dead = true;
    struct list *n;
    while ((n = list_pop_front(&g->starting)))
        list_push_back(&g->running, n);
    while (!list_is_empty(&g->running))
        dispatch_fail(container_of(g->running.next, struct dispatch, link), error, SLICE_EMPTY,
                      SLICE_EMPTY);
}

static struct dispatch *first_unanswered(struct guest *g)
{
    LIST_FOREACH (n, &g->running) {
        struct dispatch *d = container_of(n, struct dispatch, link);
        if (!d->is_answered)
            return d;
    }
    return NULL;
}

/* No answer can come any more: better an error now than a time-out later. */
static void fail_hung(struct guest *g)
{
    struct error e;
    struct slice name = SLICE_EMPTY;
    error_set(&e, ERR_GUEST, "%s", g->runtime->type->hung);
    error_hint(&e, "%s", g->runtime->type->hung_hint);
    if (g->durable &&
        execution_is_cancelled(g->durable->execution)) { /* it waited for a timer, say */
        error_set(&e, ERR_CANCELLED, "the execution was cancelled");
        name = SLICE_LIT("CancelledError");
    }
    struct dispatch *d;
    while ((d = first_unanswered(g)))
        dispatch_fail(d, &e, name, SLICE_EMPTY);
}

/* The same for a durable execution, which has no clock but its own. */
static enum guest_status rest_durable(struct guest *g)
{
    if (list_is_empty(&g->running))
        return GUEST_FINISHED;
    if (isolate_is_running(g->isolate))
        return GUEST_WAITS;
    if (g->ops_len == 0 && list_is_empty(&g->completions) && !guest_has_news(g) &&
        execution_is_idle(g->durable->execution) && execution_calls(g->durable->execution) == 0) {
        fail_hung(g);
        return GUEST_FINISHED;
    }
    return GUEST_WAITS;
}

/* Nothing runs and nothing is queued: what are we waiting for? */
static enum guest_status rest(struct guest *g)
{
    if (g->durable)
        return rest_durable(g);
    bool is_quiet =
        g->ops_len == 0 && g->sinks_open == 0 && !g->sql.is_gated && !g->stand.is_working;
    /* What one request of an actor waits for, another may bring. */
    if (is_quiet && !list_is_empty(&g->running) && !g->actor)
        fail_hung(g);
    if (list_is_empty(&g->running)) {
        bool is_idle = !isolate_is_running(g->isolate) && g->sinks_open == 0;
        if (is_idle && (is_quiet || (g->unfinished == 0 && !g->actor)))
            return GUEST_FINISHED;
    }
    LIST_FOREACH (n, &g->contexts)
        context_await_tail(container_of(n, struct context, link));
    LIST_FOREACH (n, &g->running) {
        struct dispatch *d = container_of(n, struct dispatch, link);
        bool is_open = d->is_upgraded && (!d->socket || open_socket_is_accepted(d->socket));
        if (!timer_is_running(&d->wall) && !is_open)
            dispatch_await(d);
    }
    return GUEST_WAITS;
}

/* A call into the isolate has ended. */
static void came_to_rest(struct guest *g)
{
    g->unfinished = g->runtime->type->unfinished(g->isolate);
    g->context = NULL;
    guest_sql_rest(g); /* a transaction that its code has left open: others wait for it */
    if (!guest_is_shared(g))
        return;
    context_billed(g);
    contexts_settle(g);
}

enum guest_status guest_step(struct guest *g)
{
    enum isolate_status status;
    if (g->is_dead)
        return GUEST_DEAD;
    while (next_call(g, &status)) {
        switch (status) {
        case ISOLATE_DONE:
            came_to_rest(g);
            break;
        case ISOLATE_YIELDED:
            guest_sql_check(g);
            return GUEST_AGAIN;
        case ISOLATE_WAITING:
            (void)rest(g); /* starts the clocks */
            return GUEST_WAITS;
        case ISOLATE_TRAPPED:
            fail_all(g, isolate_error(g->isolate));
            return GUEST_DEAD;
        }
        if (g->is_dead)
            return GUEST_DEAD;
    }
    return g->is_dead ? GUEST_DEAD : rest(g);
}

bool guest_has_work(const struct guest *g)
{
    return !list_is_empty(&g->starting) || !list_is_empty(&g->running);
}

void guest_going_away(struct guest *g)
{
    LIST_FOREACH (n, &g->running) {
        struct dispatch *d = container_of(n, struct dispatch, link);
        if (d->socket && !d->is_gone)
            open_socket_going_away(d->socket);
    }
}

/* ---- ending ---- */

void guest_end(struct guest *g, const struct error *error)
{
    g->is_ending = true; /* what is cancelled now is no news */
    if (guest_has_work(g)) {
        CHECK(error);
        fail_all(g, error);
    }
    isolate_cancel(g->isolate);
    guest_clear(g);
    g->waiting = NULL;
    g->waiting_call = 0;
    contexts_end(g);
    if (g->stand.is_working)
        fiber_task_cancel(&g->stand.task);
    (void)guest_sql_end(g); /* else when the task comes home */
}

static void sql_side_reset(struct guest_sql *sql)
{
    CHECK(!sql->is_gated && !sql->conn && sql->depth == 0 && !sql->is_turn &&
          list_is_empty(&sql->held));
    sql->counters = sql->step_counters = (struct sql_counters){0};
    sql->file = NULL;
    sql->gate_seq = 0;
}

void guest_make_ordinary(struct guest *g)
{
    if (!g->durable)
        return;
    CHECK(list_is_empty(&g->durable->uncommitted));
    free(g->durable->scopes);
    free(TAKE(g->durable));
}

bool guest_recycle(struct guest *g)
{
    CHECK(!guest_has_work(g));
    if (g->stand.is_working || g->sql.is_gated)
        return false; /* its wait is in the hands of the gate; see guest_free */
    uint64_t start = clock_monotonic_ns();
    if (!isolate_restore(g->isolate))
        return false;
    uint64_t now = clock_monotonic_ns();
    g->host->restore_ns += now - start;
    g->host->restores++;
    CHECK(g->memory.used == g->isolate_bytes && list_is_empty(&g->contexts));
    sql_side_reset(&g->sql);
    guest_make_ordinary(g);
    g->actor = NULL;
    g->unfinished = 0;
    g->full = NULL;
    g->is_dead = g->gone = g->is_ending = g->has_expired = g->pauses = false;
    g->scope = 0;
    g->next_op = g->next_stream = g->next_dispatch = 0;
    g->cell.clock_base_ns = now;
    return true;
}

static void free_now(struct guest *g)
{
    isolate_free(g->isolate);
    uncharge_isolate(g);
    if (g->host)
        g->host->isolates_discarded++;
    deployment_unref(g->deployment);
    guest_make_ordinary(g);
    guest_release(g);
    free(g);
}

static void gate_open_freed(struct sql_gate_wait *w, const struct error *error)
{
    free_now(container_of(w, struct guest, sql.gate));
}

void guest_free(struct guest *g)
{
    if (!g)
        return;
    CHECK(!guest_has_work(g));
    if (g->stand.is_working)
        g->stand.is_freed = true;
    else if (g->sql.is_gated)
        g->sql.gate.done =
            gate_open_freed; /* the gate holds a pointer to it until the sync is over */
    else
        free_now(g);
}

/* ---- loading ---- */

static void loading_done(struct guest_loading *said)
{
    bytes_done(&said->workflows);
    bytes_done(&said->fail_name);
    bytes_done(&said->fail_stack);
}

static void load_log(void *ctx, const struct deployment *d, const struct dispatch *dispatch,
                     int level, struct slice text)
{
    struct guest_load *load = ctx;
    if (load->log)
        load->log(load->ctx, level, text);
}

static enum err load_in(struct guest *g, struct guest_load *load, struct error *ret_error)
{
    struct guest_loading *said = g->loading;
    struct runtime_load made = {
        .name = load->name,
        .artifact = load->code,
        .memory_bytes_max = load->memory_bytes_max,
        .cpu_ns_max = load->cpu_ns_max,
        .cell = &g->cell,
    };
    enum err err = g->runtime->type->load(g->runtime, &made, ret_error);
    if (said->error.code != OK) {
        image_unref(TAKE(made.image));
        err = said->error.code;
        if (ret_error)
            *ret_error = said->error;
    }
    if (err != OK) {
        load->error_name = said->fail_name;
        load->error_stack = said->fail_stack;
        said->fail_name = said->fail_stack = BYTES_INIT;
        return err;
    }
    load->image = made.image;
    load->exports = said->exports | made.exports;
    load->workflows = said->workflows;
    said->workflows = BYTES_INIT;
    return OK;
}

enum err guest_load(struct runtime *runtime, struct guest_load *load, struct error *ret_error)
{
    struct guest_host host = {.log = load_log, .ctx = load};
    struct guest_loading said = {.random_seed = load->random_seed};
    struct guest g = {.loading = &said, .host = &host, .runtime = runtime};
    guest_init(&g);
    enum err err = load_in(&g, load, ret_error);
    load->has_drawn = said.has_drawn;
    guest_release(&g);
    loading_done(&said);
    return err;
}

enum err guest_runtime_start(const struct runtime_type *type, struct engine *engine,
                             struct slice saved, struct runtime **ret_runtime,
                             struct error *ret_error)
{
    struct guest_loading said = {0};
    struct runtime starting = {.type = type}; /* for op BUILTIN */
    struct guest g = {.loading = &said, .runtime = &starting};
    guest_init(&g);
    struct runtime_start start = {.engine = engine,
                                  .imports = op_imports,
                                  .imports_len = op_imports_len,
                                  .cell = &g.cell,
                                  .saved = saved};
    enum err err = type->start(&start, ret_runtime, ret_error);
    if (err != OK && said.error.code != OK && ret_error) {
        *ret_error = said.error;
        error_context(ret_error, err, "the runtime");
    }
    guest_release(&g);
    loading_done(&said);
    return err;
}
