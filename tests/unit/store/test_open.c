/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening: URLs, folders, rights, a second server, other programs' files, migrations, what a
 * stopped server left behind. */
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "harness.h"

static enum err open_url(struct harness *h, const char *url)
{
    snprintf(h->url, sizeof(h->url), "%s", url);
    return harness_open_store(h);
}

static void expect_refused(struct harness *h, const char *url, enum err code, const char *message,
                           const char *hint)
{
    assert_int_equal(open_url(h, url), code);
    assert_text_has(h->error.message, message);
    assert_text_has(h->error.hint, hint);
    assert_null(h->store);
}

static void only_sqlite_files_are_databases(void **state)
{
    struct harness *h = *state;
    expect_refused(h, "postgres://localhost/x", ERR_INVALID, "'postgres'",
                   "sqlite:./data/db.sqlite");
    expect_refused(h, "mysql:x", ERR_INVALID, "'mysql'", "sqlite:");
    expect_refused(h, "./data/db.sqlite", ERR_INVALID, "no scheme", "sqlite:./data/db.sqlite");
    expect_refused(h, "", ERR_INVALID, "no scheme", "sqlite:");
    expect_refused(h, "sqlite:", ERR_INVALID, "names no file", "");
    expect_refused(h, "sqlite://", ERR_INVALID, "names no file", "");
    expect_refused(h, "sqlite:/tmp/", ERR_INVALID, "names no file", "");
    expect_refused(h, "sqlite::memory:", ERR_INVALID, "in memory", "file");
    expect_refused(h, "sqlite://:memory:", ERR_INVALID, "in memory", "file");
    expect_refused(h, "sqlite:x.db?mode=memory", ERR_INVALID, "options", "?");
}

static void both_forms_of_the_url_are_taken(void **state)
{
    struct harness *h = *state;
    char url[128], path[128];
    struct stat st;
    static const char *const forms[] = {"sqlite:%s/a.sqlite", "sqlite://%s/b.sqlite",
                                        "SQLite:%s/c.sqlite", "sqlite://%s/d.sqlite?mode=rwc"};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(url, sizeof(url), forms[i], h->folder);
#pragma GCC diagnostic pop
        assert_ok(open_url(h, url));
        harness_close_store(h);
        snprintf(path, sizeof(path), "%s/%c.sqlite", h->folder, (char)('a' + i));
        assert_int_equal(stat(path, &st), 0);
    }
}

static void folders_are_made_and_private(void **state)
{
    struct harness *h = *state;
    char path[128];
    struct stat st;
    snprintf(h->url, sizeof(h->url), "sqlite:%s/a/b/c/db.sqlite", h->folder);
    snprintf(h->artifacts, sizeof(h->artifacts), "%s/x/y/", h->folder);
    assert_ok(harness_open_store(h));
    assert_ok(build_start(h, "hello", NULL));
    static const char *const secret[] = {"db.sqlite", "db.sqlite-wal", "db.sqlite.lock"};
    for (size_t i = 0; i < ARRAY_LEN(secret); i++) {
        snprintf(path, sizeof(path), "%s/a/b/c/%s", h->folder, secret[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    snprintf(path, sizeof(path), "%s/a/b", h->folder);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void relative_paths_are_below_the_working_folder(void **state)
{
    struct harness *h = *state;
    char before[512];
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(h->folder), 0);
    enum err code = open_url(h, "sqlite:plain.sqlite");
    struct stat st;
    int found = stat("plain.sqlite", &st);
    assert_int_equal(chdir(before), 0);
    assert_ok(code);
    assert_int_equal(found, 0);
}

static void a_path_that_cannot_be_is_explained(void **state)
{
    struct harness *h = *state;
    char url[160], path[128];
    snprintf(path, sizeof(path), "%s/file", h->folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    snprintf(url, sizeof(url), "sqlite:%s/file/db.sqlite", h->folder);
    expect_refused(h, url, ERR_IO, "Not a directory", "is a file");
    snprintf(url, sizeof(url), "sqlite:%s/file/deeper/db.sqlite", h->folder);
    expect_refused(h, url, ERR_IO, "Not a directory", "is a file");
    snprintf(url, sizeof(url), "sqlite:%s", h->folder);
    expect_refused(h, url, ERR_INVALID, "is a folder", "db.sqlite");
}

/* Rights mean nothing to root, so the tries are made by a child that is nobody. */
static void a_folder_without_rights_is_explained(void **state)
{
    struct harness *h = *state;
    assert_int_equal(chmod(h->folder, 0755), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
            _exit(3);
        if (geteuid() != 65534 && chmod(h->folder, 0555))
            _exit(4);
        if (harness_open_store(h) != ERR_IO)
            _exit(5);
        _exit(strstr(h->error.message, "Permission denied") &&
                      strstr(h->error.hint, "right to write")
                  ? 0
                  : 6);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(chmod(h->folder, 0700), 0);
}

static void a_second_server_is_refused_by_name(void **state)
{
    struct harness *h = *state;
    char own[32], other[128];
    assert_ok(harness_open_store(h));
    struct store_config config = {.url = h->url, .artifact_dir = h->artifacts};
    struct store *second = NULL;
    snprintf(own, sizeof(own), "process %d", (int)getpid());
    assert_int_equal(store_open(&config, &second, &h->error), ERR_CONFLICT);
    assert_text_has(h->error.message, own);
    assert_text_has(h->error.hint, "--database-url");
    /* Another database, the same artifacts: each would remove what the other uses. */
    snprintf(other, sizeof(other), "sqlite:%s/other.sqlite", h->folder);
    config.url = other;
    assert_int_equal(store_open(&config, &second, &h->error), ERR_CONFLICT);
    assert_text_has(h->error.hint, "--artifact-dir");
    /* The first is undisturbed, and a third may come when it is gone. */
    assert_ok(build_start(h, "hello", NULL));
    harness_close_store(h);
    assert_ok(harness_open_store(h));
}

static void what_was_written_is_there_after_reopening(void **state)
{
    struct harness *h = *state;
    struct function_row f;
    struct version_row v;
    assert_ok(harness_open_store(h));
    assert_ok(build_start(h, "hello", NULL));
    assert_ok(publish(h, "hello", 1, "x", "m", NULL));
    harness_close_store(h);
    assert_ok(harness_open_store(h));
    assert_ok(store_function(h->reader, h->arena, S("hello"), &f, &h->error));
    assert_int_equal(f.version, 1);
    assert_int_equal(f.last_build_status, BUILD_READY);
    assert_ok(store_version(h->reader, h->arena, S("hello"), 0, &v, &h->error));
    assert_slice(f.hash, arena_cstr(h->arena, v.hash));
}

static char *database_path(struct harness *h)
{
    return h->url + strlen("sqlite:");
}

static void sql(const char *path, const char *text)
{
    sqlite3 *db = NULL;
    char *why = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s", why);
    sqlite3_close(db);
}

static void make_data_folder(struct harness *h)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/data", h->folder);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void others_databases_are_left_alone(void **state)
{
    struct harness *h = *state;
    make_data_folder(h);
    sql(database_path(h), "CREATE TABLE precious (x); INSERT INTO precious VALUES (1)");
    assert_int_equal(harness_open_store(h), ERR_CONFLICT);
    assert_text_has(h->error.message, "another program");
    sql(database_path(h), "INSERT INTO precious VALUES (2)");
}

static void a_newer_schema_is_refused(void **state)
{
    struct harness *h = *state;
    assert_ok(harness_open_store(h));
    harness_close_store(h);
    sql(database_path(h), "PRAGMA user_version = 9999");
    assert_int_equal(harness_open_store(h), ERR_CONFLICT);
    assert_text_has(h->error.message, "newer Limpet");
    assert_text_has(h->error.message, "9999");
}

static void an_empty_file_is_migrated(void **state)
{
    struct harness *h = *state;
    make_data_folder(h);
    close(open(database_path(h), O_CREAT | O_WRONLY, 0600));
    assert_ok(harness_open_store(h));
    assert_ok(build_start(h, "hello", NULL));
}

static void damage(const char *path, off_t offset, const char *bytes)
{
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, strlen(bytes), offset), strlen(bytes));
    close(fd);
}

static void a_damaged_file_is_named(void **state)
{
    struct harness *h = *state;
    make_data_folder(h);
    FILE *file = fopen(database_path(h), "w");
    assert_non_null(file);
    for (int i = 0; i < 2000; i++)
        fputs("this is not a database\n", file);
    fclose(file);
    assert_int_equal(harness_open_store(h), ERR_CORRUPT);
    assert_text_has(h->error.message, database_path(h));
    assert_text_has(h->error.hint, "backup");

    /* A real one whose pages were overwritten. */
    assert_int_equal(unlink(database_path(h)), 0);
    assert_ok(harness_open_store(h));
    assert_ok(build_start(h, "hello", NULL));
    harness_close_store(h);
    char junk[3000];
    memset(junk, 0x5a, sizeof(junk) - 1);
    junk[sizeof(junk) - 1] = '\0';
    damage(database_path(h), 100, junk); /* the schema's page */
    assert_int_equal(harness_open_store(h), ERR_CORRUPT);
    assert_text_has(h->error.message, "damaged");
}

/* A server that stopped in the middle left these; they are made by hand with the status of the
 * time. */
static void what_was_running_is_settled(void **state)
{
    struct harness *h = *state;
    assert_ok(harness_open_store(h));
    static const enum build_status stages[] = {BUILD_QUEUED, BUILD_BUNDLING, BUILD_EVALUATING};
    for (size_t i = 0; i < ARRAY_LEN(stages); i++) {
        struct store_op op = HARNESS_OP(h);
        assert_ok(build_start(h, "hello", NULL));
        if (stages[i] == BUILD_QUEUED)
            continue;
        store_build_status(h->store, &op, S("hello"), (int64_t)i + 1, stages[i]);
        assert_ok(harness_wait(h, &op));
    }
    assert_ok(execution_start(h, "hello", "running"));
    assert_ok(execution_start(h, "hello", "ended"));
    assert_ok(execution_finish(h, "ended"));
    harness_close_store(h);

    assert_ok(harness_open_store(h));
    struct build_row *builds;
    size_t len;
    assert_ok(store_builds(h->reader, h->arena, S("hello"), &builds, &len, &h->error));
    assert_int_equal(len, 3);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(builds[i].status, BUILD_FAILED);
        assert_slice(builds[i].error_message,
                     "the server was stopped during this build; upload again");
        assert_true(builds[i].finished_us >= builds[i].created_us);
    }
    struct execution_row e;
    assert_ok(store_execution(h->reader, h->arena, S("running"), &e, &h->error));
    assert_int_equal(e.status, EXECUTION_FAILURE);
    assert_text_has(arena_cstr(h->arena, e.error), "interrupted");
    assert_true(e.finished_us >= e.created_us);
    assert_ok(store_execution(h->reader, h->arena, S("ended"), &e, &h->error));
    assert_int_equal(e.status, EXECUTION_SUCCESS);
    assert_slice(e.error, "");
}

int main(int argc, char **argv)
{
    if (argc > 2) { /* "test_open time URL": how long an existing store takes to open */
        struct harness *h = harness_new_folder();
        snprintf(h->url, sizeof(h->url), "%s", argv[2]);
        for (int i = 0; i < 5; i++) {
            uint64_t start = clock_monotonic_ns();
            enum err code = harness_open_store(h);
            printf("%s %.2f ms\n", error_text(code), (double)(clock_monotonic_ns() - start) / 1e6);
            harness_close_store(h);
        }
        void *state = h;
        return harness_teardown(&state);
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup_folder, harness_teardown)
    const struct CMUnitTest tests[] = {
        TEST(only_sqlite_files_are_databases),    TEST(both_forms_of_the_url_are_taken),
        TEST(folders_are_made_and_private),       TEST(relative_paths_are_below_the_working_folder),
        TEST(a_path_that_cannot_be_is_explained), TEST(a_folder_without_rights_is_explained),
        TEST(a_second_server_is_refused_by_name), TEST(what_was_written_is_there_after_reopening),
        TEST(others_databases_are_left_alone),    TEST(a_newer_schema_is_refused),
        TEST(an_empty_file_is_migrated),          TEST(a_damaged_file_is_named),
        TEST(what_was_running_is_settled),
    };
    return cmocka_run_group_tests_name("open", tests, NULL, NULL);
}
