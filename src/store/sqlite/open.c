/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening the database: is it ours, bring its schema up to date, settle what a stopped server left
 * unfinished. A database that is up to date and was left in order is only told that it has a new
 * owner, so that a start costs a few reads and one commit. */
#include "store/sqlite/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/sqlite/durable.h"
#include "store/sqlite/schema.h"
#include "store/sqlite/stored.h"

/* In the file's header, so that file(1) and we can tell it from others' databases: "Lmpt". */
enum { OPEN_APPLICATION_ID = 0x4c6d7074 };

#define OPEN_SECRET_PROOF "limpet secret key"
#define OPEN_KEEP_US (INT64_C(7) * 24 * 3600 * 1000000)
#define OPEN_BUILD_MESSAGE "the server was stopped during this build; upload again"
#define OPEN_EXECUTION_ERROR                                                                       \
    "{\"code\":\"unavailable\",\"message\":\"interrupted: the server was stopped during this "     \
    "execution\","                                                                                 \
    "\"hint\":\"run it again if repeating it does no harm\"}"

/* SQLite would make the file readable for everyone; it holds secrets. */
static enum err open_create(const char *path, struct error *ret_error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return folder_error(ret_error, errno, "open the database", path);
    close(fd);
    return OK;
}

static enum err open_check_owner(struct writer *w, int64_t *ret_number, struct error *ret_error)
{
    int64_t id = 0, tables = 0;
    enum err code = db_pragma(&w->db, "PRAGMA application_id", &id, ret_error);
    if (code == OK)
        code = db_pragma(&w->db, "PRAGMA user_version", ret_number, ret_error);
    if (code == OK)
        code = db_pragma(&w->db, "SELECT count(*) FROM sqlite_schema", &tables, ret_error);
    if (code != OK)
        return code;
    if (id != OPEN_APPLICATION_ID && (id || *ret_number || tables)) {
        code =
            error_set(ret_error, ERR_CONFLICT, "%s is a database of another program", w->db.path);
        error_hint(ret_error, "choose another file; Limpet makes it");
    } else if (*ret_number > schema_steps_len) {
        code = error_set(ret_error, ERR_CONFLICT,
                         "%s was written by a newer Limpet (schema %lld; this one knows %d)",
                         w->db.path, (long long)*ret_number, schema_steps_len);
        error_hint(ret_error,
                   "start the newer version, or restore a backup from before the upgrade");
    }
    return code;
}

static enum err open_migrate_step(struct writer *w, int number, struct error *ret_error)
{
    char finish[96];
    snprintf(finish, sizeof(finish), "PRAGMA application_id = %d; PRAGMA user_version = %d",
             OPEN_APPLICATION_ID, number);
    enum err code = db_exec(&w->db, "BEGIN IMMEDIATE", ret_error);
    if (code != OK)
        return code;
    code = db_exec(&w->db, schema_steps[number - 1].sql, ret_error);
    if (code == OK)
        code = db_exec(&w->db, finish, ret_error);
    if (code == OK)
        code = db_exec(&w->db, "COMMIT", ret_error);
    if (code != OK) {
        db_rollback(&w->db);
        return error_context(ret_error, code, "cannot bring the database to schema %d (%s)", number,
                             schema_steps[number - 1].name);
    }
    return OK;
}

/* Rows that only a running server may have. Durable executions are not among them: they go on. */
static enum err open_settle(struct writer *w, struct error *ret_error)
{
    int64_t builds = 0, executions = 0;
    enum err code =
        db_pragma(&w->db, "SELECT count(*) FROM build WHERE status < 3", &builds, ret_error);
    if (code == OK)
        code = db_pragma(&w->db, "SELECT count(*) FROM execution WHERE status = 0", &executions,
                         ret_error);
    if (code != OK || (!builds && !executions))
        return code;
    char sql[1536];
    int64_t now = clock_wall_us();
    int len = snprintf(
        sql, sizeof(sql),
        "UPDATE build SET status = 4, finished_us = %lld, error_message = '" OPEN_BUILD_MESSAGE "'"
        " WHERE status < 3;"
        "UPDATE function SET executions_finished = executions_finished +"
        " (SELECT count(*) FROM execution WHERE function_id = function.id AND status = 0);"
        "UPDATE execution SET status = 2, finished_us = %lld, error = '" OPEN_EXECUTION_ERROR "'"
        " WHERE status = 0",
        (long long)now, (long long)now);
    CHECK(len > 0 && (size_t)len < sizeof(sql));
    return db_exec(&w->db, sql, ret_error);
}

/* Who opened last owns the database. */
static enum err open_lease(struct writer *w, struct error *ret_error)
{
    char host[64] = "", sql[512];
    if (gethostname(host, sizeof(host) - 1))
        host[0] = '\0';
    for (size_t i = 0; i < sizeof(host) && host[i]; i++)
        if (host[i] == '\'')
            host[i] = '_'; /* it becomes a part of SQL */
    int len = snprintf(sql, sizeof(sql),
                       "INSERT INTO lease (name, owner, epoch, taken_us)"
                       " VALUES ('server', 'process %d on %s', 1, %lld)"
                       " ON CONFLICT (name) DO UPDATE SET owner = excluded.owner,"
                       " epoch = epoch + 1, taken_us = excluded.taken_us",
                       (int)getpid(), host, (long long)clock_wall_us());
    CHECK(len > 0 && (size_t)len < sizeof(sql));
    enum err code = db_exec(&w->db, sql, ret_error);
    if (code == OK)
        code = db_pragma(&w->db, "SELECT epoch FROM lease WHERE name = 'server'", &w->epoch,
                         ret_error);
    return code;
}

/* Numbers that may still be in use: of rows, and of what is left of removed ones. */
static enum err open_numbers(struct writer *w, struct error *ret_error)
{
    return db_pragma(&w->db,
                     "SELECT max(coalesce((SELECT max(seq) FROM durable), 0),"
                     " coalesce((SELECT max(execution) FROM durable_purge), 0))",
                     &w->durable_seq, ret_error);
}

/* In one transaction, so that whom we take the database from cannot write in between. */
static enum err open_own(struct writer *w, struct error *ret_error)
{
    enum err code = db_exec(&w->db, "BEGIN IMMEDIATE", ret_error);
    if (code == OK)
        code = open_lease(w, ret_error);
    if (code == OK)
        code = open_settle(w, ret_error);
    if (code == OK)
        code = open_numbers(w, ret_error);
    if (code == OK)
        code = db_exec(&w->db, "COMMIT", ret_error);
    if (code != OK)
        db_rollback(&w->db);
    return code;
}

static int open_on_wal(void *arg, sqlite3 *handle, const char *name, int pages)
{
    (void)handle, (void)name;
    ((struct writer *)arg)->wal_pages = pages;
    return SQLITE_OK;
}

static enum err open_configure(struct writer *w, struct error *ret_error)
{
    /* FULL: a commit is on the disk when it returns. The log is copied to the database by
     * writer_checkpoint(), after answers have left, not by the unlucky commit that fills it. */
    enum err code =
        db_exec(&w->db,
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
                "PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384",
                ret_error);
    if (code == OK)
        sqlite3_wal_hook(w->db.handle, open_on_wal, w);
    return code;
}

static uint32_t open_or(uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

/* Are secrets sealed with this key? Where there are none yet, any will do. */
static enum err open_check_key(struct writer *w, struct slice proof, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes opened = BYTES_INIT;
    const struct secret_key *key = &w->store->secret_key;
    if (secret_open(key, SLICE_LIT(OPEN_SECRET_PROOF), proof, &opened, NULL) == OK)
        return OK;
    error_set(ret_error, ERR_CONFLICT, "the secrets in %s are sealed with another key than %s",
              w->db.path, key->is_given ? "LIMPET_SECRET_KEY" : "that of secret.key");
    error_hint(ret_error,
               "start with the key that they were set under; nothing of them was touched");
    return ERR_CONFLICT;
}

static enum err open_secrets(struct writer *w, const char *folder, const char *text,
                             struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes proof = BYTES_INIT, sql = BYTES_INIT;
    int64_t secrets = 0;
    enum err code = db_pragma(&w->db,
                              "SELECT (SELECT count(*) FROM env WHERE is_secret)"
                              " + (SELECT count(*) FROM env_former WHERE is_secret)"
                              " + (SELECT count(*) FROM audit_anchor WHERE seq > 0)",
                              &secrets, ret_error);
    if (code == OK)
        code = secret_key_load(text, folder, secrets == 0, &w->store->secret_key, ret_error);
    if (code == OK)
        code =
            db_scalar_text(&w->db, "SELECT proof FROM secret_key WHERE id = 1", &proof, ret_error);
    if (code == OK && secrets > 0)
        return open_check_key(w, bytes_slice(&proof), ret_error);
    if (code != OK || (proof.len > 0 && open_check_key(w, bytes_slice(&proof), NULL) == OK))
        return code;
    bytes_clear(&proof);
    secret_seal(&w->store->secret_key, SLICE_LIT(OPEN_SECRET_PROOF), SLICE_LIT("ok"), &proof);
    bytes_printf(&sql, "INSERT OR REPLACE INTO secret_key (id, proof) VALUES (1, '%s')",
                 bytes_cstr(&proof));
    return db_exec(&w->db, bytes_cstr(&sql), ret_error);
}

enum err writer_open(struct store *s, const char *path, const char *folder,
                     const struct store_config *config, struct writer **ret_writer,
                     struct error *ret_error)
{
    struct writer *w = calloc(1, sizeof(*w));
    CHECK(w);
    w->store = s;
    w->execution_rows_max = open_or(config->execution_rows_max, 100000);
    w->log_rows_max = open_or(config->log_rows_max, 10000);
    w->keep_us = config->durable_keep_us ? config->durable_keep_us : OPEN_KEEP_US;
    w->audit_keep_us = config->audit_keep_us;
    w->audit_rows_max = config->audit_rows_max;
    w->expires_us = 0;
    w->audit_us = config->audit_keep_us > 0 ? 0 : INT64_MAX;
    w->accounts = config->accounts;
    w->needs_tidy = true; /* perhaps; the first look is cheap */
    int64_t number = 0;
    enum err code = open_create(path, ret_error);
    if (code == OK)
        code = db_open(&w->db, path, writer_sqls, WRITER_STMTS, ret_error);
    if (code == OK)
        code = open_check_owner(w, &number, ret_error);
    if (code == OK)
        code = open_configure(w, ret_error);
    while (code == OK && number < schema_steps_len)
        code = open_migrate_step(w, (int)++number, ret_error);
    if (code == OK)
        code = open_secrets(w, folder, config->secret_key, ret_error);
    if (code == OK)
        code = open_own(w, ret_error);
    if (code == OK)
        code = stored_open(w, ret_error);
    if (code != OK) {
        writer_close(w);
        return code;
    }
    *ret_writer = w;
    return OK;
}

void writer_close(struct writer *w)
{
    if (!w)
        return;
    db_close(&w->db);
    durable_forget(w);
    stored_close(w);
    free(w->counts);
    free(w->countings);
    free(w);
}
