/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated store: what src/store promises, for one workflow, as plain data. A mutation is whole or
 * not at all; one of a process that has been replaced is refused. */
#include "sim/sim.h"

static struct slice copy(struct arena *a, struct slice s)
{
    return arena_copy(a, s);
}

struct sim_execution *store_find(struct slice id)
{
    for (int k = 0; k < W->store.len; k++)
        if (!W->store.executions[k].is_deleted && slice_eq_cstr(id, W->store.executions[k].id))
            return &W->store.executions[k];
    return NULL;
}

struct sim_execution *store_find_code(struct slice id)
{
    for (int k = W->store.len - 1; k >= 0; k--)
        if (slice_eq_cstr(id, W->store.executions[k].id))
            return &W->store.executions[k];
    return NULL;
}

static bool is_finished(const struct sim_execution *x)
{
    return durable_is_finished(x->status);
}

/* ---- reads ---- */

static struct durable_row row_of(const struct sim_execution *x, struct arena *a)
{
    char output[32];
    snprintf(output, sizeof(output), "%" PRIu64, x->output);
    return (struct durable_row){
        .seq = x->seq,
        .id = copy(a, slice_cstr(x->id)),
        .workflow = SLICE_LIT("sim"),
        .version = x->version,
        .status = x->status,
        .is_paused = x->is_paused,
        .is_cancel_requested = x->is_cancel_requested,
        .parent = x->parent < 0 ? SLICE_EMPTY : slice_cstr(W->store.executions[x->parent].id),
        .input = SLICE_LIT("null"),
        .metadata = SLICE_LIT("{}"),
        .output = x->has_output ? copy(a, slice_cstr(output)) : SLICE_EMPTY,
        .error = x->status >= DURABLE_FAILED ? SLICE_LIT("{}") : SLICE_EMPTY,
        .records = x->records,
        .events = x->events,
        .wake_us = x->wake_us,
        .attempt = x->attempt,
        .lines = x->lines,
        .created_us = x->created_us,
    };
}

static bool is_due(const struct sim_execution *x)
{
    return !x->is_deleted && !is_finished(x) && !x->is_paused && x->wake_us != INT64_MAX;
}

static bool is_after(int64_t us, int64_t seq, int64_t than_us, int64_t than_seq)
{
    return us != than_us ? us > than_us : seq > than_seq;
}

static void read_due(struct store_query *q)
{
    int64_t us = q->due.after_wake_us, seq = q->due.after_seq;
    size_t max = (size_t)q->due.limit < EXECUTIONS_MAX ? (size_t)q->due.limit : EXECUTIONS_MAX;
    q->due.rows = arena_array(q->arena, max, sizeof(*q->due.rows));
    q->due.len = 0;
    while (q->due.len < max) {
        const struct sim_execution *next = NULL;
        for (int k = 0; k < W->store.len; k++) {
            const struct sim_execution *x = &W->store.executions[k];
            if (is_due(x) && x->wake_us < q->due.until_us &&
                is_after(x->wake_us, x->seq, us, seq) &&
                (!next || is_after(next->wake_us, next->seq, x->wake_us, x->seq)))
                next = x;
        }
        if (!next)
            return;
        us = next->wake_us;
        seq = next->seq;
        q->due.rows[q->due.len++] = (struct durable_due){
            .seq = seq, .wake_us = us, .id = copy(q->arena, slice_cstr(next->id))};
    }
}

/* Sizes are as if each record were a thousand times as large. */
static void read_journal(struct store_query *q)
{
    const struct sim_execution *x = store_find(q->journal.id);
    size_t len = 0;
    q->journal.count = 0;
    if (!x) {
        error_set(&q->error, ERR_NOT_FOUND, "there is no such execution");
        return;
    }
    for (size_t k = 0; k < x->chunks_len && len * 1000 < q->journal.bytes_max; k++) {
        struct slice all = bytes_slice(&x->chunks[k].records);
        int64_t count = record_count(all);
        if (x->chunks[k].first + count <= q->journal.first)
            continue;
        if (q->journal.count == 0)
            q->journal.start = x->chunks[k].first;
        q->journal.count += count;
        bytes_append_slice(q->journal.out, all);
        len += all.len;
    }
}

static void read_signals(struct store_query *q)
{
    const struct sim_execution *x = store_find(q->signals.id);
    q->signals.rows = arena_array(q->arena, SIGNALS_MAX, sizeof(*q->signals.rows));
    q->signals.len = 0;
    for (int64_t seq = q->signals.after + 1; x && seq <= x->signals_last; seq++) {
        char data[24];
        if (x->taken[seq])
            continue;
        snprintf(data, sizeof(data), "%" PRId64, seq);
        q->signals.rows[q->signals.len++] =
            (struct durable_signal){.seq = seq,
                                    .at_us = 1,
                                    .name = SLICE_LIT("go"),
                                    .data = copy(q->arena, slice_cstr(data))};
    }
}

/* Children of one, or all of a status. */
static void read_list(struct store_query *q)
{
    const struct durable_filter *f = &q->durables.filter;
    q->durables.rows = arena_array(q->arena, EXECUTIONS_MAX, sizeof(*q->durables.rows));
    q->durables.len = 0;
    q->durables.next = SLICE_EMPTY;
    for (int k = 0; k < W->store.len; k++) {
        const struct sim_execution *x = &W->store.executions[k];
        bool is_child =
            x->parent >= 0 && slice_eq_cstr(f->parent, W->store.executions[x->parent].id);
        if (!x->is_deleted && (f->parent.len > 0 ? is_child : (int)x->status == f->status))
            q->durables.rows[q->durables.len++] = row_of(x, q->arena);
    }
}

void store_answer(const struct sim_process *p, struct store_query *q)
{
    const struct sim_execution *x;
    q->error.code = OK;
    switch (q->kind) {
    case STORE_QUERY_DURABLE:
        if ((x = store_find(q->durable.id)))
            q->durable.row = row_of(x, q->arena);
        else
            error_set(&q->error, ERR_NOT_FOUND, "there is no such execution");
        break;
    case STORE_QUERY_SNAPSHOT:
        x = store_find(q->snapshot.id);
        q->snapshot.records = x ? x->snapshot_records : 0;
        if (x && x->snapshot_records > 0)
            bytes_append_slice(q->snapshot.out, bytes_slice(&x->snapshot));
        break;
    case STORE_QUERY_JOURNAL:
        read_journal(q);
        break;
    case STORE_QUERY_SIGNALS:
        read_signals(q);
        break;
    case STORE_QUERY_DUE:
        read_due(q);
        break;
    case STORE_QUERY_DUES:
        alarms_read(q);
        break;
    case STORE_QUERY_DURABLES:
        read_list(q);
        break;
    case STORE_QUERY_REMOVING:
        q->removing.is_removing = false;
        break;
    case STORE_QUERY_OWNS:
        if (p->epoch != W->store.epoch)
            error_set(&q->error, ERR_FENCED, "another server has it");
        break;
    default:
        world_fails("query %d is none of the world's", (int)q->kind);
    }
}

/* ---- mutations ---- */

static void wake(struct sim_execution *x)
{
    x->events++;
    if (x->status == DURABLE_SUSPENDED)
        x->wake_us = 0;
}

/* Who waits for its end, or its removal, is due. */
static void wake_waiters(struct sim_execution *x)
{
    for (int k = 0; k < W->store.len; k++) {
        struct sim_execution *w = &W->store.executions[k];
        if ((k == x->parent || (x->waiters >> k & 1)) && !w->is_deleted && !is_finished(w))
            wake(w);
    }
}

void store_delete(struct sim_execution *x)
{
    SAY("store: %s is deleted", x->id);
    x->is_deleted = x->was_harmed = true;
    wake_waiters(x);
    stats.deleted++;
}

static struct sim_execution *add(struct slice id, int parent)
{
    if (W->store.len == EXECUTIONS_MAX) {
        world_fails("too many executions");
        return &W->store.executions[0];
    }
    struct sim_execution *x = &W->store.executions[W->store.len];
    memset(x, 0, sizeof(*x));
    snprintf(x->id, sizeof(x->id), "%.*s", SLICE_ARG(id));
    x->parent = parent;
    x->depth = parent < 0 ? 0 : W->store.executions[parent].depth + 1;
    x->seed = W->seed;
    for (size_t k = 0; k < id.len; k++)
        x->seed = mix(x->seed, (unsigned char)id.ptr[k]);
    for (int k = 0; k < W->store.len;
         k++) /* made again: somebody may have learned that it was gone */
        x->was_harmed |= slice_eq_cstr(id, W->store.executions[k].id);
    x->seq = ++W->store.len;
    x->lines = -1;
    x->attempt = x->version = 1;
    x->crashed_records = -1;
    x->created_us = W->now_us;
    stats.children += parent >= 0;
    return x;
}

static void receive(struct sim_execution *x, struct slice name, int64_t *ret_seq)
{
    *ret_seq = 0;
    if (name.len > 0 && x->signals_last < SIGNALS_MAX) {
        *ret_seq = ++x->signals_last;
        stats.signals++;
        wake(x);
    } else if (name.len == 0) {
        if (!x->is_cancel_requested)
            wake(x);
        x->is_cancel_requested = x->was_harmed = true;
    }
}

static void step_append(struct sim_execution *x, const struct store_step *s)
{
    if (record_count(s->append.records) != s->append.count || x->chunks_len == CHUNKS_MAX) {
        world_fails("%s: a chunk is malformed, or the world too small", x->id);
        return;
    }
    x->chunks[x->chunks_len].first = x->records;
    x->chunks[x->chunks_len].records = BYTES_INIT;
    bytes_append_slice(&x->chunks[x->chunks_len++].records, s->append.records);
    x->records += s->append.count;
}

static void step_log(struct sim_execution *x, const struct store_step *s)
{
    unsigned at = (unsigned)(s->log.text.ptr[0] - 'a');
    if (at >= OPS_MAX || (x->logs[at]++ > 0 && x->attempt == 1))
        world_fails("%s: a line of op %u is stored twice", x->id, at);
}

static void step_child(struct sim_execution *x, const struct store_step *s)
{
    struct sim_execution *there = store_find(s->child.id);
    int self = (int)(x - W->store.executions);
    if (!there)
        (void)add(s->child.id, self);
    else if (is_finished(there))
        wake(x);
    else if (there->parent != self)
        there->waiters |= UINT64_C(1) << self;
}

static void step_status(struct sim_execution *x, const struct store_step *s)
{
    uint64_t output;
    x->status = s->status.status;
    x->wake_us = 0;
    if (x->status == DURABLE_SUSPENDED) {
        stats.suspended++;
        if (x->events <= s->status.events_seen)
            x->wake_us = s->status.wake_us;
    }
    if (!is_finished(x))
        return;
    x->wake_us = INT64_MAX;
    x->is_paused = false;
    x->has_output = x->status == DURABLE_COMPLETED && slice_to_u64(s->status.output, &output);
    x->output = x->has_output ? output : 0;
    wake_waiters(x);
    SAY("store: %s has ended, status %d", x->id, (int)x->status);
}

static void cancel_children(const struct sim_execution *x)
{
    int64_t ignored;
    for (int k = 0; k < W->store.len; k++)
        if (W->store.executions[k].parent == (int)(x - W->store.executions) &&
            !W->store.executions[k].is_deleted && !is_finished(&W->store.executions[k]))
            receive(&W->store.executions[k], SLICE_EMPTY, &ignored);
}

static void apply_step(struct sim_execution *x, const struct store_step *s)
{
    switch (s->kind) {
    case STORE_STEP_APPEND:
        step_append(x, s);
        break;
    case STORE_STEP_LOG:
        step_log(x, s);
        break;
    case STORE_STEP_CHILD:
        step_child(x, s);
        break;
    case STORE_STEP_SIGNAL_TAKEN:
        x->taken[s->signal_taken.seq] = true;
        break;
    case STORE_STEP_SIGNAL_BACK:
        if (s->signal_back.seq < 1 || s->signal_back.seq > x->signals_last)
            world_fails("%s: signal %d comes back, which it was never sent", x->id,
                        (int)s->signal_back.seq);
        else
            x->taken[s->signal_back.seq] = false;
        break;
    case STORE_STEP_CANCEL_CHILDREN:
        cancel_children(x);
        break;
    case STORE_STEP_LINES:
        x->lines = s->lines.count;
        break;
    case STORE_STEP_SNAPSHOT:
        bytes_clear(&x->snapshot);
        bytes_append_slice(&x->snapshot, s->snapshot.state);
        x->snapshot_records = x->records;
        stats.snapshots++;
        break;
    case STORE_STEP_STATUS:
        step_status(x, s);
        break;
    default:
        world_fails("step %d is none of the world's", (int)s->kind);
    }
}

static enum err apply_commit(struct sim_execution *x, const struct mutation *m, int64_t *ret_number,
                             struct error *ret_error)
{
    if (is_finished(x) || m->durable_commit.first != x->records) {
        stats.refused++;
        return error_set(ret_error, ERR_CONFLICT, "it has %lld records", (long long)x->records);
    }
    for (size_t k = 0; k < m->steps_len; k++)
        apply_step(x, &m->steps[k]);
    *ret_number = x->events;
    return OK;
}

/* ---- what people do to journals ---- */

/* Whole chunks up to the one that is cut, and what is kept of that. */
static void cut_journal(struct sim_execution *x, const struct store_cut *cut)
{
    size_t len = 0;
    while (len < x->chunks_len && x->chunks[len].first < cut->chunk_first)
        len++;
    for (size_t k = len; k < x->chunks_len; k++)
        bytes_done(&x->chunks[k].records);
    x->chunks_len = len;
    int64_t end =
        len > 0 ? x->chunks[len - 1].first + record_count(bytes_slice(&x->chunks[len - 1].records))
                : 0;
    if (end != cut->chunk_first ||
        record_count(cut->chunk) != (int64_t)(cut->records - cut->chunk_first))
        world_fails("%s is cut to %d records between two chunks", x->id, (int)cut->records);
    x->records = cut->chunk_first;
    if (cut->chunk.len > 0)
        step_append(x,
                    &(struct store_step){.append = {cut->records - cut->chunk_first, cut->chunk}});
}

static void apply_steps(struct sim_execution *x, const struct mutation *m)
{
    for (size_t k = 0; k < m->steps_len; k++)
        apply_step(x, &m->steps[k]);
}

static void retry(struct sim_execution *x, const struct mutation *m)
{
    cut_journal(x, &m->durable_retry.cut);
    apply_steps(x, m);
    x->status = DURABLE_QUEUED;
    x->is_cancel_requested = x->has_output = false;
    x->wake_us = x->snapshot_records = 0;
    x->attempt++;
    x->lines = -1;
    /* What the module's database has is of the attempt before. */
    bytes_clear(&x->db.tail);
    bytes_clear(&x->db_safe.tail);
    x->db.first = x->db_safe.first = 0;
    stats.retried++;
}

/* It runs the same code, and has the same children. */
static void fork_one(const struct sim_execution *from, const struct mutation *m)
{
    struct sim_execution *x = add(m->durable_fork.new_id, -1);
    x->seed = from->seed;
    x->depth = from->depth;
    x->version = from->version;
    x->is_fork = true;
    x->was_harmed = from->was_harmed;
    x->events = from->events;
    x->signals_last = from->signals_last;
    memcpy(x->taken, from->taken, sizeof(x->taken));
    for (size_t k = 0; k < from->chunks_len; k++)
        step_append(
            x, &(struct store_step){.append = {record_count(bytes_slice(&from->chunks[k].records)),
                                               bytes_slice(&from->chunks[k].records)}});
    cut_journal(x, &m->durable_fork.cut);
    apply_steps(x, m);
    stats.forked++;
}

static enum err migrate(struct sim_execution *x, const struct mutation *m, struct error *ret_error)
{
    if (x->records != m->durable_migrate.records)
        return error_set(ret_error, ERR_CONFLICT, "it has gone on meanwhile");
    x->version = m->durable_migrate.version;
    x->snapshot_records = 0;
    stats.migrated++;
    return OK;
}

static void crashed(struct sim_execution *x, int64_t *ret_number)
{
    x->crashes = x->records > x->crashed_records ? 1 : x->crashes + 1;
    x->crashed_records = x->records;
    *ret_number = x->crashes;
    stats.crashed++;
    if (x->is_paused || x->crashes < STORE_CRASHES_MAX)
        return;
    SAY("store: %s is parked", x->id);
    x->is_paused = x->is_parked = x->is_fallen = true;
    stats.crash_parked++;
}

static bool may_be_finished(const struct mutation *m)
{
    return m->kind == MUTATION_DURABLE_SNAPSHOT_DROP || m->kind == MUTATION_DURABLE_RETRY ||
           m->kind == MUTATION_DURABLE_FORK;
}

enum err store_apply(struct sim_process *p, const struct mutation *m, int64_t *ret_number,
                     struct error *ret_error)
{
    struct sim_execution *x = NULL;
    *ret_number = 0;
    if (p->epoch != W->store.epoch)
        return error_set(ret_error, ERR_FENCED, "another server has it");
    if (m->kind == MUTATION_DUE_SET)
        return alarm_apply(&m->due_set.row), OK;
    if (m->kind != MUTATION_DURABLE_START) {
        x = store_find(mutation_subject(m));
        if (!x)
            return error_set(ret_error, ERR_NOT_FOUND, "there is no such execution");
        if (is_finished(x) && !may_be_finished(m))
            return error_set(ret_error, ERR_CONFLICT, "it has ended");
    }
    switch (m->kind) {
    case MUTATION_DURABLE_START:
        if (!store_find(m->durable_start.row.id)) {
            (void)add(m->durable_start.row.id, -1);
            *ret_number = 1;
        }
        return OK;
    case MUTATION_DURABLE_COMMIT:
        if (x->is_fallen)
            world_fails("%s runs, with which the process fell three times", x->id);
        return apply_commit(x, m, ret_number, ret_error);
    case MUTATION_DURABLE_SIGNAL:
        receive(x, m->durable_signal.message.name, ret_number);
        return OK;
    case MUTATION_DURABLE_CANCEL:
        receive(x, SLICE_EMPTY, ret_number);
        return OK;
    case MUTATION_DURABLE_PAUSE:
        x->was_resumed |= x->is_paused && !m->durable_pause.is_paused;
        if (x->is_paused && !m->durable_pause.is_paused)
            x->wake_us = 0;
        x->is_paused = m->durable_pause.is_paused;
        x->is_parked = x->is_fallen = false;
        x->crashes = 0;
        x->crashed_records = -1;
        return OK;
    case MUTATION_DURABLE_CRASHED:
        crashed(x, ret_number);
        return OK;
    case MUTATION_DURABLE_RETRY:
        if (x->status != DURABLE_FAILED && x->status != DURABLE_CANCELLED)
            return error_set(ret_error, ERR_CONFLICT, "it has not failed");
        retry(x, m);
        return OK;
    case MUTATION_DURABLE_FORK:
        fork_one(x, m);
        return OK;
    case MUTATION_DURABLE_MIGRATE:
        return migrate(x, m, ret_error);
    case MUTATION_DURABLE_PARK:
        x->is_paused = x->is_parked = true;
        stats.parked++;
        return OK;
    case MUTATION_DURABLE_SNAPSHOT_DROP:
        x->snapshot_records = 0;
        return OK;
    default:
        world_fails("mutation %d is none of the world's", (int)m->kind);
        return OK;
    }
}

void store_done(void)
{
    for (int k = 0; k < W->store.len; k++) {
        struct sim_execution *x = &W->store.executions[k];
        for (size_t i = 0; i < x->chunks_len; i++)
            bytes_done(&x->chunks[i].records);
        bytes_done(&x->snapshot);
        bytes_done(&x->db.tail);
        bytes_done(&x->db_safe.tail);
    }
}
