/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens next, and whether all is well: no step of the world may fail a check of its own, and in
 * the end, when nobody asks, harms or fails any more, every execution ends with the result and the
 * effects that its code has, each once. */
#include "sim/sim.h"

#include <stdarg.h>
#include <stdlib.h>

struct world *W;
struct world_stats stats;

enum {
    EVENTS_MAX = 3000,    /* then the harm ends */
    EVENTS_LAST = 200000, /* by then all must have ended */
    ZOMBIE_EVENTS = 60,
};

uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t z = a * 0x9e3779b97f4a7c15ULL + b + 0x632be59bd9b4e019ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

uint64_t roll(void)
{
    W->dice += 0x9e3779b97f4a7c15ULL;
    return mix(W->dice, 1);
}

/* Instead of random_uuid7() (meson.build): ids of forks, too, are of the seed. */
void __wrap_random_uuid7(char ret_text[37]);
void __wrap_random_uuid7(char ret_text[37])
{
    uint64_t a = roll(), b = roll();
    snprintf(ret_text, 37, "%08x-%04x-7%03x-%04x-%012llx", (unsigned)(a >> 32),
             (unsigned)(a & 0xffff), (unsigned)(a >> 16 & 0xfff), (unsigned)(b >> 48),
             (unsigned long long)(b & 0xffffffffffffULL));
}

void world_fails(const char *format, ...)
{
    va_list args;
    if (W->failure[0])
        return;
    va_start(args, format);
    vsnprintf(W->failure, sizeof(W->failure), format, args);
    va_end(args);
}

/* ---- people ---- */

struct asked {
    struct flow_request request;
    struct sim_process *process;
    char key[16], id[37];
};

static void asked_done(struct flow_request *q)
{
    struct asked *a = container_of(q, struct asked, request);
    W->requests_out--;
    a->process->requests_out--;
    bytes_done(&q->report);
    free(a);
}

static struct asked *ask(enum flow_request_kind kind, const char *id)
{
    struct asked *a = calloc(1, sizeof(*a));
    CHECK(a);
    snprintf(a->id, sizeof(a->id), "%s", id);
    a->request = (struct flow_request){.done = asked_done,
                                       .kind = kind,
                                       .workflow = SLICE_LIT("sim"),
                                       .id = slice_cstr(a->id),
                                       .name = SLICE_LIT("go"),
                                       .body = SLICE_LIT("1")};
    a->process = W->process;
    a->process->requests_out++;
    W->requests_out++;
    return a;
}

static void ask_now(struct asked *a)
{
    director_request(W->process->director, &a->request);
}

static void start_root(unsigned n)
{
    struct asked *a = ask(FLOW_START, "");
    snprintf(a->key, sizeof(a->key), "key%u", n);
    a->request.key = slice_cstr(a->key);
    a->request.id = SLICE_EMPTY;
    ask_now(a);
}

static struct sim_execution *any_execution(void)
{
    return W->store.len ? &W->store.executions[roll() % (uint64_t)W->store.len] : NULL;
}

/* Each execution is sent as many signals as its code waits for. */
static bool send_signal(struct sim_execution *x)
{
    if (x->is_deleted || durable_is_finished(x->status) || x->signals_last >= code_events(x) ||
        W->requests_out > 0)
        return false;
    ask_now(ask(FLOW_SIGNAL, x->id));
    return true;
}

static bool resume(struct sim_execution *x)
{
    if (x->is_deleted || !x->is_paused || durable_is_finished(x->status) || W->requests_out > 0)
        return false;
    stats.resumed++;
    ask_now(ask(FLOW_RESUME, x->id));
    return true;
}

/* What is asked seldom. False: not of this one. */
static bool rarely(struct sim_execution *x)
{
    if (W->is_over || W->options.is_calm || W->requests_out > 0 || !percent(20))
        return false;
    if (W->retries_left > 0 && x->status > DURABLE_COMPLETED) {
        W->retries_left--;
        ask_now(ask(FLOW_RETRY, x->id));
        return true;
    }
    if (W->forks_left > 0 && durable_is_finished(x->status) && x->records > 0) {
        W->forks_left--;
        struct asked *a = ask(FLOW_FORK, x->id);
        a->request.record = percent(30) ? -1 : (int64_t)(roll() % (uint64_t)(x->records + 1));
        ask_now(a);
        return true;
    }
    if (W->migrations_left > 0 && percent(30)) {
        W->migrations_left--;
        bool migrates = percent(60);
        stats.checked += !migrates;
        ask_now(ask(migrates ? FLOW_MIGRATE : FLOW_CHECK, ""));
        return true;
    }
    if (W->deletions_left > 0 && percent(30)) {
        W->deletions_left--;
        store_delete(x);
        director_removed(W->process->director);
        return true;
    }
    return false;
}

static bool people(void)
{
    struct sim_execution *x = any_execution();
    if (W->roots < W->roots_left)
        return start_root(W->roots++), true;
    if (!x || x->is_deleted)
        return false;
    if (rarely(x))
        return true;
    if (durable_is_finished(x->status))
        return false;
    if (x->is_paused && percent(60))
        return resume(x);
    if (send_signal(x))
        return true;
    if (W->is_over || W->options.is_calm || W->requests_out > 0)
        return false;
    if (W->cancels_left > 0 && percent(5)) {
        W->cancels_left--;
        stats.cancelled++;
        ask_now(ask(FLOW_CANCEL, x->id));
        return true;
    }
    if (!x->is_paused && percent(15)) {
        stats.paused++;
        ask_now(ask(FLOW_PAUSE, x->id));
        return true;
    }
    return false;
}

/* ---- deaths ---- */

/* What was not synced may be gone: of commits in the module's database. */
static void cut_power(void)
{
    stats.power_cuts++;
    for (int k = 0; k < W->store.len; k++) {
        struct sim_execution *x = &W->store.executions[k];
        bytes_clear(&x->db.tail);
        bytes_append_slice(&x->db.tail, bytes_slice(&x->db_safe.tail));
        x->db.first = x->db_safe.first;
        memcpy(x->db.rows, x->db_safe.rows, sizeof(x->db.rows));
    }
}

/* The next owner; the one before is gone, or does not know yet that it is not the owner. */
static void succeed(bool is_dead)
{
    struct sim_process *before = W->process;
    CLEANUP(bytes_done) struct bytes suspects = BYTES_INIT;
    SAY("%s", is_dead ? "death" : "another takes over");
    stats.deaths += is_dead;
    stats.takeovers += !is_dead;
    if (is_dead) {
        if (W->options.is_deadly || percent(70)) /* it fell by itself */
            process_suspects(before, &suspects);
        process_die(before);
        if (percent(30))
            cut_power();
    } else {
        before->steps_left = (unsigned)(roll() % ZOMBIE_EVENTS);
    }
    W->process = process_new(bytes_slice(&suspects));
    W->has_lost = false;
}

static bool old_ones(void)
{
    LIST_FOREACH (n, &W->processes) {
        struct sim_process *p = container_of(n, struct sim_process, link);
        if (p == W->process)
            continue;
        if (p->steps_left > 0 && process_step(p)) {
            p->steps_left--;
            return true;
        }
        process_die(p);
        return true;
    }
    return false;
}

/* ---- the judgement ---- */

static bool all_have_ended(void)
{
    if (W->roots < W->roots_left || W->requests_out > 0)
        return false;
    for (int k = 0; k < W->store.len; k++)
        if (!W->store.executions[k].is_deleted &&
            !durable_is_finished(W->store.executions[k].status))
            return false;
    return alarms_have_ended();
}

/* Is it there as often as it should be? Records that a retry or fork has kept tell of effects before, those
 * that it has cut off are told again. */
static bool is_right(const struct sim_execution *x, unsigned times, bool is_whole)
{
    if (x->is_fork)
        return true;
    if (x->attempt > 1)
        return !is_whole || times >= 1;
    return is_whole ? times == 1 : times <= 1;
}

static void judge(const struct sim_execution *x)
{
    uint64_t expected;
    if (x->is_deleted)
        return;
    bool is_whole = code_expect(x, &expected);
    if (is_whole && (x->status != DURABLE_COMPLETED || !x->has_output))
        world_fails("%s has ended with status %d", x->id, (int)x->status);
    else if (is_whole && x->output != expected)
        world_fails("%s has another result than its code", x->id);
    for (unsigned k = 0; k < code_len(x); k++) {
        enum code_op op = code_op_of(x, k);
        if (op == CODE_LOG && !is_right(x, x->logs[k], is_whole))
            world_fails("%s: line %u is there %u times", x->id, k, x->logs[k]);
        if (op == CODE_SQL && !is_right(x, x->db.rows[k], is_whole))
            world_fails("%s: row %u is there %u times", x->id, k, x->db.rows[k]);
        if (op == CODE_FETCH && is_whole && !x->is_fork && x->requests[k] == 0)
            world_fails("%s: request %u never left", x->id, k);
    }
    if (is_whole && x->signals_last < code_events(x))
        world_fails("%s has gone on without its signals", x->id);
}

static void describe_stuck(void)
{
    char text[900] = "";
    size_t len = 0;
    for (int k = 0; k < W->store.len && len < sizeof(text) - 400; k++) {
        const struct sim_execution *x = &W->store.executions[k];
        if (x->is_deleted || durable_is_finished(x->status))
            continue;
        const struct activation *a = NULL;
        for (int t = 0; t < THREADS && !a; t++)
            a = activation_find(W->process->flows[t], RUN_SPACE, slice_cstr(x->id));
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                " %s (status %d, due %lld, events %lld, paused %d, state %d)",
                                x->id, (int)x->status, (long long)x->wake_us, (long long)x->events,
                                x->is_paused, a ? (int)a->state : -1);
        if (a && a->guest && len < sizeof(text) - 200)
            len += code_describe(container_of(a->guest, struct sim_guest, g), text + len,
                                 sizeof(text) - len);
    }
    if (!alarms_have_ended())
        len += (size_t)snprintf(text + len, sizeof(text) - len, " an alarm");
    world_fails("nothing happens any more, but these have not ended:%s", text);
}

/* ---- the world ---- */

static void begin(void)
{
    list_init(&W->processes);
    W->now_us = INT64_C(1000000000);
    W->is_slow = !W->options.is_calm && percent(60);
    W->fails = !W->options.is_calm && percent(50);
    W->loses_wakes = !W->options.is_calm && percent(25);
    W->stalls = !W->options.is_calm && percent(50);
    W->has_bad_database = !W->options.is_calm && percent(40);
    W->verifies = !W->loses_wakes && percent(20);
    W->deaths_left = W->options.is_calm || percent(30) ? 0 : (unsigned)(roll() % 8);
    W->roots_left = 1 + (unsigned)(roll() % ROOTS_MAX);
    W->cancels_left = (unsigned)(roll() % 2);
    W->retries_left = (unsigned)(roll() % 3);
    W->forks_left = (unsigned)(roll() % 4 == 0);
    W->migrations_left = W->loses_wakes || W->options.wakes_only ? 0 : (unsigned)(roll() % 3);
    W->has_checks = W->verifies || W->migrations_left > 0;
    W->deletions_left = (unsigned)(roll() % 6 == 0);
    W->is_deadly = W->options.is_deadly || (W->deaths_left > 0 && percent(20));
    W->deaths_left = W->is_deadly ? 12 : W->deaths_left;
    alarms_begin();
    W->process = process_new(SLICE_EMPTY);
}

/* Nothing is left to do but to wait. False: not even that. */
static bool pass_time(void)
{
    int64_t us = 0;
    if (!process_advance(W->process, &us))
        return false;
    W->now_us = us > W->now_us ? us : W->now_us + 1000;
    return true;
}

static bool harm(void)
{
    if (W->is_over || W->deaths_left == 0 ||
        !percent(W->options.is_deadly ? 20
                 : W->is_deadly       ? 5
                                      : 1))
        return false;
    W->deaths_left--;
    succeed(W->options.is_deadly || percent(60));
    return true;
}

/* One event. False: nothing can happen. */
static bool happen(void)
{
    if (harm())
        return true;
    if (percent(W->is_over ? 30 : 6) && people())
        return true;
    if (percent(20) && old_ones())
        return true;
    if (!W->is_over && percent(3))
        W->now_us += (int64_t)(roll() % 400) * 1000;
    if (!W->is_over && W->stalls && percent(1)) {
        stats.stalls++;
        W->disk_until_us = W->now_us + (int64_t)(roll() % 4000) * 1000;
    }
    if (process_step(W->process))
        return true;
    for (int k = 0; k < W->store.len; k++)
        if (resume(&W->store.executions[k]) || send_signal(&W->store.executions[k]))
            return true;
    return people() || old_ones() || pass_time();
}

static void play(void)
{
    for (unsigned n = 0; n < EVENTS_LAST && !W->failure[0]; n++) {
        stats.events++;
        if (n > EVENTS_MAX && !W->is_over) {
            W->is_over = true;
            SAY("from here on nothing goes wrong");
        }
        if (all_have_ended())
            return;
        bool happens = happen();
        if (happens)
            continue;
        if (W->has_lost) { /* the index of what is due brings everything back */
            succeed(true);
            continue;
        }
        describe_stuck();
        return;
    }
    if (!W->failure[0])
        describe_stuck();
}

const char *world_play(const struct world_options *options)
{
    static char failure[sizeof(W->failure)];
    W = calloc(1, sizeof(*W));
    CHECK(W);
    W->options = *options;
    W->seed = W->dice = options->seed;
    stats.worlds++;
    begin();
    play();
    W->is_over = true;
    struct list *n;
    while ((n = list_first(&W->processes)))
        process_die(container_of(n, struct sim_process, link));
    for (int k = 0; k < W->store.len && !W->failure[0]; k++)
        judge(&W->store.executions[k]);
    store_done();
    memcpy(failure, W->failure, sizeof(failure));
    free(W);
    W = NULL;
    return failure[0] ? failure : NULL;
}
