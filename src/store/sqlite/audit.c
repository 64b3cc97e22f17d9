/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit log: a row for each control operation, written in the transaction of what it tells of, and
 * for each that was refused. hash = SHA-256 over the hash before, seq, time and all texts, each with its
 * length. Who can write to the file can also make a new chain; compare the head with one noted elsewhere
 * to find that, too. */
#include <endian.h>
#include <openssl/evp.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/sqlite/apply.h"
#include "store/sqlite/reader.h"

enum {
    AUDIT_CHECK_ROWS = 10000, /* in one read: some tens of milliseconds */
    AUDIT_SLACK_MAX = 512,    /* rows above the limit before trimming pays for its commit */
    AUDIT_REST_US_MIN = 1000000,
};
#define AUDIT_REST_US_MAX (INT64_C(3600) * 1000000)

static void audit_hash(const struct audit_row *row, struct slice before, char ret_hash[65])
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    unsigned char digest[EVP_MAX_MD_SIZE];
    const struct slice texts[] = {before,      row->actor,  row->space,
                                  row->action, row->target, row->outcome};
    bytes_append_cstr(&text, "limpet audit 1");
    bytes_append_u64(&text, (uint64_t)row->seq);
    bytes_append_u64(&text, (uint64_t)row->at_us);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        bytes_append_lstr(&text, texts[i]);
    CHECK(EVP_Digest(text.ptr, text.len, digest, NULL, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < 32; i++)
        snprintf(ret_hash + 2 * i, 3, "%02x", digest[i]);
}

/* ---- writer ---- */

static enum err audit_head(struct writer *w, int64_t *ret_seq, struct bytes *ret_hash,
                           struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, WRITER_AUDIT_HEAD, PARAMS(), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    if (code == OK && !has_row)
        return error_set(ret_error, ERR_CORRUPT, "the audit log has no head");
    if (code == OK) {
        *ret_seq = db_int(st, 0);
        bytes_append_slice(ret_hash, db_text(st, 1));
    }
    return code;
}

static bool audit_has_excess(const struct writer *w, int64_t head)
{
    int64_t slack = w->audit_rows_max / 16;
    slack = slack > AUDIT_SLACK_MAX ? AUDIT_SLACK_MAX : slack;
    return w->audit_rows_max > 0 && head - w->audit_trimmed > w->audit_rows_max + slack;
}

enum err audit_write(struct writer *w, const struct store_audit *audit, enum err outcome,
                     struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes before = BYTES_INIT;
    char hash[65];
    struct audit_row row = {.at_us = clock_wall_us(),
                            .actor = audit->actor,
                            .space = audit->space,
                            .action = audit->action,
                            .target = audit->target,
                            .outcome = slice_cstr(outcome == OK ? "ok" : error_text(outcome))};
    enum err code = audit_head(w, &row.seq, &before, ret_error);
    if (code != OK)
        return code;
    row.seq++;
    audit_hash(&row, bytes_slice(&before), hash);
    code = db_run(&w->db, WRITER_AUDIT_ADD,
                  PARAMS(P_INT(row.seq), P_INT(row.at_us), P_TEXT(row.actor), P_TEXT(row.space),
                         P_TEXT(row.action), P_TEXT(row.target), P_TEXT(row.outcome),
                         P_TEXT(slice_cstr(hash))),
                  ret_error);
    w->needs_tidy |= audit_has_excess(w, row.seq);
    if (code == OK)
        code = db_run(&w->db, WRITER_AUDIT_HEAD_SET,
                      PARAMS(P_INT(row.seq), P_TEXT(slice_cstr(hash))), ret_error);
    return code;
}

/* ---- retention ---- */

/* What the signature of an anchor is made of. */
static void anchor_sign(const struct secret_key *key, int64_t seq, int64_t at_us, struct slice hash,
                        struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    bytes_append_cstr(&text, "limpet audit anchor 1");
    bytes_append_u64(&text, (uint64_t)seq);
    bytes_append_u64(&text, (uint64_t)at_us);
    bytes_append_lstr(&text, hash);
    secret_sign(key, bytes_slice(&text), out);
}

/* A row of the log in any connection's statement, borrowed from it. */
static struct audit_row audit_row_of(sqlite3_stmt *st)
{
    return (struct audit_row){.seq = db_int(st, 0),
                              .at_us = db_int(st, 1),
                              .actor = db_text(st, 2),
                              .space = db_text(st, 3),
                              .action = db_text(st, 4),
                              .target = db_text(st, 5),
                              .outcome = db_text(st, 6),
                              .hash = db_text(st, 7)};
}

/* The rows behind the anchor that may go, at most a step of them: *seq and hash become those of the last.
 * One that is not as it was written stays, and all behind it: what shows a forgery is not removed. */
static enum err audit_find_old(struct writer *w, int64_t until, int64_t before_us, int64_t *seq,
                               struct bytes *hash, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, WRITER_AUDIT_FROM, PARAMS(P_INT(*seq), P_INT(STORE_TIDY_ROWS)),
                             &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    while (code == OK && has_row) {
        char expected[65];
        struct audit_row row = audit_row_of(st);
        if (row.seq > until && row.at_us >= before_us)
            return OK;
        audit_hash(&row, bytes_slice(hash), expected);
        w->audit_is_bad = row.seq != *seq + 1 || !slice_eq_cstr(row.hash, expected);
        if (w->audit_is_bad) {
            w->audit_us = INT64_MAX;
            log_error("the audit log is not as it was written, so nothing of it is removed",
                      LOG_INT("row", *seq + 1));
            return OK;
        }
        *seq = row.seq;
        bytes_clear(hash);
        bytes_append_slice(hash, row.hash);
        code = db_step(&w->db, st, &has_row, ret_error);
    }
    return code;
}

static enum err audit_trim(struct writer *w, int64_t seq, struct slice hash,
                           struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes signature = BYTES_INIT;
    int64_t now = clock_wall_us();
    anchor_sign(&w->store->secret_key, seq, now, hash, &signature);
    enum err code = db_run(&w->db, WRITER_AUDIT_TRIM, PARAMS(P_INT(seq)), ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_AUDIT_ANCHOR_SET,
                      PARAMS(P_INT(seq), P_TEXT(hash), P_INT(now), P_TEXT(bytes_slice(&signature))),
                      ret_error);
    return code;
}

static enum err audit_anchor(struct writer *w, int64_t *ret_seq, struct bytes *ret_hash,
                             struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, WRITER_AUDIT_ANCHOR, PARAMS(), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    if (code == OK && has_row) {
        *ret_seq = db_int(st, 0);
        bytes_append_slice(ret_hash, db_text(st, 1));
    }
    return code;
}

/* After a look at their ages: when is the next? */
static int64_t audit_next_us(const struct writer *w, int64_t now)
{
    int64_t rest = w->audit_keep_us / 16;
    rest = rest < AUDIT_REST_US_MIN ? AUDIT_REST_US_MIN : rest;
    return now + (rest > AUDIT_REST_US_MAX ? AUDIT_REST_US_MAX : rest);
}

enum err tidy_audit(struct writer *w, bool *ret_did, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes hash = BYTES_INIT, ignored = BYTES_INIT;
    int64_t now = clock_wall_us(), head = 0, seq = 0;
    bool is_timed = w->audit_keep_us > 0 && now >= w->audit_us;
    if (w->audit_is_bad || (w->audit_rows_max == 0 && !is_timed))
        return OK;
    enum err code = audit_anchor(w, &seq, &hash, ret_error);
    if (code == OK)
        code = audit_head(w, &head, &ignored, ret_error);
    if (code != OK)
        return code;
    int64_t before = w->audit_trimmed = seq;
    int64_t until = audit_has_excess(w, head) ? head - w->audit_rows_max : 0;
    code = audit_find_old(w, until, is_timed ? now - w->audit_keep_us : INT64_MIN, &seq, &hash,
                          ret_error);
    *ret_did = code == OK && seq > before;
    if (*ret_did)
        code = audit_trim(w, seq, bytes_slice(&hash), ret_error);
    if (code == OK && !*ret_did && w->audit_keep_us > 0)
        w->audit_us = audit_next_us(w, now);
    return code;
}

/* What it tells of has no mutation of its own. */
enum err apply_audit(struct writer *w, const struct mutation *m, int64_t *ret_number,
                     struct error *ret_error)
{
    return audit_write(w, &m->audit.what, m->audit.outcome, ret_error);
}

/* ---- reader ---- */

static struct audit_row audit_read(sqlite3_stmt *st, struct arena *a)
{
    return (struct audit_row){.seq = db_int(st, 0),
                              .at_us = db_int(st, 1),
                              .actor = db_text_copy(st, 2, a),
                              .space = db_text_copy(st, 3, a),
                              .action = db_text_copy(st, 4, a),
                              .target = db_text_copy(st, 5, a),
                              .outcome = db_text_copy(st, 6, a),
                              .hash = db_text_copy(st, 7, a)};
}

enum err store_audits(struct store_reader *r, struct arena *a, struct slice space, int64_t before,
                      int64_t limit, struct audit_row **ret_rows, size_t *ret_len,
                      struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct audit_row *rows = NULL;
    size_t len = 0, cap = 0;
    bool has_row = false;
    enum err code = reader_first(r, READER_AUDITS,
                                 PARAMS(P_TEXT(space), P_INT(before), P_INT(reader_limit(limit))),
                                 &st, &has_row, ret_error);
    while (code == OK && has_row) {
        rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
        rows[len++] = audit_read(st, a);
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    *ret_rows = rows;
    *ret_len = len;
    return OK;
}

/* Rows behind c->after, whose hash is taken as it stands. */
static enum err check_rows(struct store_reader *r, struct audit_check *c, struct bytes *last,
                           struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code =
        reader_first(r, READER_AUDIT_FROM, PARAMS(P_INT(c->after), P_INT(AUDIT_CHECK_ROWS)), &st,
                     &has_row, ret_error);
    for (; code == OK && has_row && !c->bad_seq; code = db_step(&r->db, st, &has_row, ret_error)) {
        char hash[65];
        struct arena *a = arena_new(NULL);
        struct audit_row row = audit_read(st, a);
        audit_hash(&row, bytes_slice(last), hash);
        if (row.seq != c->until + 1) {
            c->bad_seq = c->until + 1;
            c->why = "it is missing";
        } else if (!slice_eq_cstr(row.hash, hash)) {
            c->bad_seq = row.seq;
            c->why = "it was changed, or stood elsewhere";
        } else {
            c->until = row.seq;
            c->checked++;
            bytes_clear(last);
            bytes_append_slice(last, row.hash);
        }
        arena_free(a);
    }
    return code;
}

static enum err check_end(struct store_reader *r, struct audit_check *c, const struct bytes *last,
                          struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = reader_first(r, READER_AUDIT_HEAD, PARAMS(), &st, &has_row, ret_error);
    if (code != OK || c->bad_seq)
        return code;
    c->has_more = has_row && c->until < db_int(st, 0) && c->checked == AUDIT_CHECK_ROWS;
    bool is_head =
        has_row && c->until == db_int(st, 0) && slice_eq(db_text(st, 1), bytes_slice(last));
    if (!c->has_more && !is_head) {
        c->bad_seq = c->until + 1;
        c->why = "it is missing";
    }
    return OK;
}

/* Where the log begins: the row that retention removed last. */
static enum err check_anchor(struct store_reader *r, struct audit_check *c, struct bytes *last,
                             struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    CLEANUP(bytes_done) struct bytes expected = BYTES_INIT;
    bool has_row = false;
    enum err code = reader_first(r, READER_AUDIT_ANCHOR, PARAMS(), &st, &has_row, ret_error);
    if (code != OK || !has_row || db_int(st, 0) == 0)
        return code;
    c->trimmed = db_int(st, 0);
    c->trimmed_us = db_int(st, 2);
    anchor_sign(r->key, c->trimmed, c->trimmed_us, db_text(st, 1), &expected);
    if (!slice_eq(db_text(st, 3), bytes_slice(&expected))) {
        c->bad_seq = c->trimmed;
        c->why = "the note that the rows up to it were removed is none of this server's";
    } else if (c->after == 0 || c->after == c->trimmed) {
        c->until = c->trimmed;
        bytes_append_slice(last, db_text(st, 1));
    }
    return OK;
}

enum err store_audit_check(struct store_reader *r, struct arena *a, struct audit_check *check,
                           struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes last = BYTES_INIT;
    int64_t after = check->after;
    *check = (struct audit_check){.after = after, .until = after};
    enum err code = db_run(&r->db, READER_BEGIN, PARAMS(), ret_error);
    if (code == OK)
        code = check_anchor(r, check, &last, ret_error);
    after = check->until;
    if (code == OK && !check->bad_seq && after != check->trimmed) {
        CLEANUP(db_release) sqlite3_stmt *st = NULL;
        bool has_row = false;
        code = reader_first(r, READER_AUDIT_FROM, PARAMS(P_INT(after - 1), P_INT(1)), &st, &has_row,
                            ret_error);
        if (code == OK && has_row && db_int(st, 0) == after)
            bytes_append_slice(&last, db_text(st, 7));
        else if (code == OK)
            code = error_set(ret_error, ERR_INVALID, "the audit log has no row %lld",
                             (long long)after);
    }
    check->after = after;
    if (code == OK && !check->bad_seq)
        code = check_rows(r, check, &last, ret_error);
    if (code == OK)
        code = check_end(r, check, &last, ret_error);
    check->hash = arena_copy(a, bytes_slice(&last));
    if (code == OK)
        code = db_run(&r->db, READER_END, PARAMS(), ret_error);
    if (code != OK)
        db_rollback(&r->db);
    return code;
}
