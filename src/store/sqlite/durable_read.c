/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads of durable executions: rows, journals, snapshots, signals, and which are due. As reader.c:
 * each statement sees one committed state and is released before the call returns. */
#include "store/sqlite/durable_columns.h"
#include "store/sqlite/reader.h"

/* Behind DURABLE_COLUMN_TABLE, as READER_DURABLE_COLUMNS lists them; from INPUT on only one row is read
 * with them. */
enum {
    SHOWN_ID = DURABLE_COLUMNS,
    SHOWN_WORKFLOW,
    SHOWN_EXPORT,
    SHOWN_KEY,
    SHOWN_PARENT,
    SHOWN_CREATED,
    SHOWN_TAKEN,
    SHOWN_ERROR,
    SHOWN_PROGRESS,
    SHOWN_PARKED,
    SHOWN_INPUT,
    SHOWN_METADATA,
    SHOWN_OUTPUT,
};

static struct durable_row durable_row_read(sqlite3_stmt *st, struct arena *a, bool with_texts)
{
    struct durable_row row = {
        DURABLE_COLUMN_TABLE(DURABLE_COLUMN_READ).id = db_text_copy(st, SHOWN_ID, a),
        .workflow = db_text_copy(st, SHOWN_WORKFLOW, a),
        .export_name = db_text_copy(st, SHOWN_EXPORT, a),
        .key = db_text_copy(st, SHOWN_KEY, a),
        .parent = db_text_copy(st, SHOWN_PARENT, a),
        .created_us = db_int(st, SHOWN_CREATED),
        .signals_taken = db_int(st, SHOWN_TAKEN),
        .error = db_text_copy(st, SHOWN_ERROR, a),
        .progress = db_text_copy(st, SHOWN_PROGRESS, a),
        .parked = db_text_copy(st, SHOWN_PARKED, a),
    };
    if (with_texts) {
        row.input = db_text_copy(st, SHOWN_INPUT, a);
        row.metadata = db_text_copy(st, SHOWN_METADATA, a);
        row.output = db_text_copy(st, SHOWN_OUTPUT, a);
    }
    return row;
}

static size_t durable_row_bytes(const struct durable_row *row)
{
    return row->error.len + row->progress.len;
}

/* How many rows a page looks at to find those of an export that no index has together. */
enum { DURABLE_SCAN_MAX = 4000 };

static bool durable_is_of_export(sqlite3_stmt *st, struct slice wanted)
{
    struct slice name = db_text(st, SHOWN_EXPORT);
    return wanted.len == 0 || slice_eq(name, wanted) ||
           (name.len == 0 && slice_eq_cstr(wanted, "default"));
}

/* What is asked of the database; the rest of the filter is applied to its rows. */
static int durables_statement(const struct durable_filter *f)
{
    if (f->parent.len)
        return READER_DURABLES_BELOW;
    if (!f->workflow.len)
        return f->status >= 0 ? READER_DURABLES_IN : READER_DURABLES;
    if (f->status >= 0)
        return READER_DURABLES_OF_IN;
    bool has_index = f->export_name.len && !slice_eq_cstr(f->export_name, "default");
    return has_index ? READER_DURABLES_OF_EXPORT : READER_DURABLES_OF;
}

enum err store_durables(struct store_reader *r, struct arena *a,
                        const struct durable_filter *filter, const struct store_page *page,
                        struct durable_row **ret_rows, size_t *ret_len, struct slice *ret_next,
                        struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    int64_t before = 0, id = 0, limit = reader_limit(page->limit);
    struct durable_row *rows = NULL;
    size_t len = 0, cap = 0, bytes = 0;
    int64_t seen = 0, last = 0;
    bool has_row = false;
    enum err code = reader_cursor(page->cursor, &before, ret_error);
    if (code == OK && filter->workflow.len)
        code = reader_function_id(r, filter->workflow, &id, ret_error);
    else if (code == OK && !filter->parent.len)
        code = reader_namespace_id(r, filter->space, &id, ret_error);
    int stmt = durables_statement(filter);
    bool is_scan = filter->export_name.len && stmt != READER_DURABLES_OF_EXPORT;
    int64_t seen_max = is_scan ? DURABLE_SCAN_MAX : limit;
    struct slice text = stmt == READER_DURABLES_OF_EXPORT ? filter->export_name : filter->parent;
    /* A statement takes the parameters up to the last one that it names. */
    struct db_param params[] = {P_INT(before),         P_INT(seen_max + 1), P_INT(id),
                                P_INT(filter->status), P_TEXT(text),        {0}};
    if (stmt == READER_DURABLES || stmt == READER_DURABLES_OF)
        params[3].kind = DB_PARAM_END;
    else if (stmt != READER_DURABLES_BELOW && stmt != READER_DURABLES_OF_EXPORT)
        params[4].kind = DB_PARAM_END;
    if (code == OK)
        code = reader_first(r, stmt, params, &st, &has_row, ret_error);
    while (code == OK && has_row && (int64_t)len < limit && seen < seen_max &&
           bytes < READER_PAGE_BYTES_MAX) {
        seen++;
        last = db_int(st, DURABLE_COLUMN_seq);
        if (durable_is_of_export(st, filter->export_name)) {
            rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
            rows[len] = durable_row_read(st, a, false);
            bytes += durable_row_bytes(&rows[len++]);
        }
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    *ret_rows = rows;
    *ret_len = len;
    *ret_next = has_row && seen ? reader_cursor_text(a, last) : SLICE_EMPTY;
    return OK;
}

static enum err durable_none(struct slice id, struct error *ret_error)
{
    enum err code = error_set(ret_error, ERR_NOT_FOUND, "there is no execution '%.*s'",
                              (int)(id.len > 64 ? 64 : id.len), id.ptr ? id.ptr : "");
    error_hint(ret_error, "see: limpet execution list; old ones are removed");
    return code;
}

enum err store_durable(struct store_reader *r, struct arena *a, struct slice id,
                       struct durable_row *ret_row, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = reader_first(r, READER_DURABLE, PARAMS(P_TEXT(id)), &st, &has_row, ret_error);
    if (code == OK && !has_row)
        return durable_none(id, ret_error);
    if (code == OK)
        *ret_row = durable_row_read(st, a, true);
    return code;
}

static enum err durable_seq(struct store_reader *r, struct slice id, int64_t *ret_seq,
                            int64_t *ret_records, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code =
        reader_first(r, READER_DURABLE_SEQ, PARAMS(P_TEXT(id)), &st, &has_row, ret_error);
    if (code == OK && !has_row)
        return durable_none(id, ret_error);
    if (code == OK) {
        *ret_seq = db_int(st, 0);
        *ret_records = db_int(st, 1);
    }
    return code;
}

/* ---- journals ---- */

static enum err journal_gap(struct slice id, int64_t from, int64_t to, struct error *ret_error)
{
    enum err code = error_set(ret_error, ERR_CORRUPT,
                              "the journal of execution '%.*s' lacks the records from %lld to %lld",
                              SLICE_ARG(id), (long long)from, (long long)to);
    error_hint(ret_error, "restore the database from a backup");
    return code;
}

/* Inside a transaction, so that the number of records and the chunks belong together. */
static enum err journal_read(struct store_reader *r, struct slice id, int64_t first,
                             size_t bytes_max, struct bytes *out, int64_t *ret_first,
                             int64_t *ret_count, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    int64_t seq = 0, records = 0;
    size_t before = out->len;
    bool has_row = false;
    enum err code = durable_seq(r, id, &seq, &records, ret_error);
    *ret_first = first;
    *ret_count = 0;
    if (code != OK || first >= records)
        return code;
    int64_t base = seq << STORE_JOURNAL_BITS, end = base + records, next = -1;
    code = reader_first(r, READER_JOURNAL, PARAMS(P_INT(base), P_INT(base + first), P_INT(end)),
                        &st, &has_row, ret_error);
    while (code == OK && has_row && (next < 0 || out->len - before < bytes_max)) {
        int64_t place = db_int(st, 0) - base, count = db_int(st, 1);
        if (next >= 0 && place != next)
            return journal_gap(id, next, place, ret_error);
        if (next < 0 && place + count <= first)
            return journal_gap(id, place + count, first + 1, ret_error);
        if (next < 0)
            *ret_first = place;
        next = place + count;
        bytes_append_slice(out, db_blob(st, 2));
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code == OK && !has_row && next != records)
        return journal_gap(id, next < 0 ? 0 : next, records, ret_error);
    *ret_count = next - *ret_first;
    return code;
}

enum err store_journal(struct store_reader *r, struct slice id, int64_t first, size_t bytes_max,
                       struct bytes *out, int64_t *ret_first, int64_t *ret_count,
                       struct error *ret_error)
{
    if (first < 0 || first >> STORE_JOURNAL_BITS)
        return error_set(ret_error, ERR_INVALID, "no journal has a record %lld", (long long)first);
    size_t before = out->len;
    int64_t start = 0, count = 0;
    enum err code = db_run(&r->db, READER_BEGIN, PARAMS(), ret_error);
    if (code != OK)
        return code;
    code = journal_read(r, id, first, bytes_max, out, &start, &count, ret_error);
    if (code == OK)
        code = db_run(&r->db, READER_END, PARAMS(), ret_error);
    if (code != OK) {
        db_rollback(&r->db);
        out->len = before;
        return code;
    }
    *ret_first = start;
    *ret_count = count;
    return OK;
}

/* ---- snapshots, signals, what is due ---- */

enum err store_snapshot(struct store_reader *r, struct slice id, struct bytes *out,
                        int64_t *ret_records, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    int64_t seq = 0, records = 0;
    bool has_row = false;
    enum err code = durable_seq(r, id, &seq, &records, ret_error);
    if (code == OK)
        code = reader_first(r, READER_SNAPSHOT, PARAMS(P_INT(seq)), &st, &has_row, ret_error);
    if (code != OK)
        return code;
    *ret_records = has_row ? db_int(st, 0) : 0;
    if (has_row)
        bytes_append_slice(out, db_blob(st, 1));
    return OK;
}

enum err store_signals(struct store_reader *r, struct arena *a, struct slice id, int64_t after,
                       struct durable_signal **ret_rows, size_t *ret_len, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct durable_signal *rows = NULL;
    size_t len = 0, cap = 0, bytes = 0;
    int64_t seq = 0, records = 0;
    bool has_row = false;
    enum err code = durable_seq(r, id, &seq, &records, ret_error);
    if (code == OK)
        code = reader_first(r, READER_SIGNALS,
                            PARAMS(P_INT(seq), P_INT(after), P_INT(READER_PAGE_ROWS_MAX)), &st,
                            &has_row, ret_error);
    while (code == OK && has_row && bytes < READER_PAGE_BYTES_MAX) {
        rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
        rows[len] = (struct durable_signal){.seq = db_int(st, 0),
                                            .at_us = db_int(st, 1),
                                            .name = db_text_copy(st, 2, a),
                                            .data = db_text_copy(st, 3, a)};
        bytes += rows[len++].data.len;
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    *ret_rows = rows;
    *ret_len = len;
    return OK;
}

enum err store_due(struct store_reader *r, struct arena *a, int64_t until_us, int64_t after_wake_us,
                   int64_t after_seq, int64_t limit, struct durable_due **ret_rows, size_t *ret_len,
                   struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct durable_due *rows = NULL;
    size_t len = 0, cap = 0;
    bool has_row = false;
    enum err code =
        reader_first(r, READER_DUE,
                     PARAMS(P_INT(until_us), P_INT(after_wake_us), P_INT(after_seq), P_INT(limit)),
                     &st, &has_row, ret_error);
    while (code == OK && has_row) {
        rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
        rows[len++] = (struct durable_due){
            .wake_us = db_int(st, 0), .seq = db_int(st, 1), .id = db_text_copy(st, 2, a)};
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    *ret_rows = rows;
    *ret_len = len;
    return OK;
}

enum err store_is_removing(struct store_reader *r, bool *ret_is_removing, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = reader_first(r, READER_REMOVING, PARAMS(), &st, &has_row, ret_error);
    if (code == OK)
        *ret_is_removing = has_row && db_int(st, 0) != 0;
    return code;
}

enum err store_durable_counts(struct store_reader *r, struct durable_counts *ret_counts,
                              struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = reader_first(r, READER_DURABLE_COUNTS, PARAMS(), &st, &has_row, ret_error);
    if (code != OK)
        return code;
    for (int i = 0; i < (int)ARRAY_LEN(ret_counts->by_status); i++)
        ret_counts->by_status[i] = db_int(st, i);
    ret_counts->paused = db_int(st, (int)ARRAY_LEN(ret_counts->by_status));
    return OK;
}

enum err store_owns(struct store_reader *r, int64_t epoch, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = reader_first(r, READER_EPOCH, PARAMS(), &st, &has_row, ret_error);
    if (code == OK && (!has_row || db_int(st, 0) != epoch))
        code = error_set(ret_error, ERR_FENCED, "another server has taken over %s", r->db.path);
    return code;
}
