/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "harness.h"

static void path_of(struct harness *h, const char *hash, char *ret_path, size_t size)
{
    snprintf(ret_path, size, "%s/%.2s/%s", h->artifacts, hash, hash);
}

static void content_is_named_by_its_hash(void **state)
{
    struct harness *h = *state;
    char hash[65], again[65], path[256];
    CLEANUP(bytes_done) struct bytes content = BYTES_INIT;
    struct stat st;
    assert_ok(store_artifact_put(h->store, S("abc"), hash, &h->error));
    assert_string_equal(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_ok(store_artifact_put(h->store, S("abc"), again, &h->error));
    assert_string_equal(again, hash);
    assert_ok(store_artifact_get(h->store, slice_cstr(hash), &content, &h->error));
    assert_slice(bytes_slice(&content), "abc");
    path_of(h, hash, path, sizeof(path));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void empty_content_is_content(void **state)
{
    struct harness *h = *state;
    char hash[65];
    CLEANUP(bytes_done) struct bytes content = BYTES_INIT;
    assert_ok(store_artifact_put(h->store, SLICE_EMPTY, hash, &h->error));
    assert_ok(store_artifact_get(h->store, slice_cstr(hash), &content, &h->error));
    assert_int_equal(content.len, 0);
}

static void what_is_missing_or_no_hash_is_refused(void **state)
{
    struct harness *h = *state;
    CLEANUP(bytes_done) struct bytes content = BYTES_INIT;
    assert_int_equal(
        store_artifact_get(h->store,
                           S("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
                           &content, &h->error),
        ERR_NOT_FOUND);
    assert_int_equal(store_artifact_get(h->store, S("../../db.sqlite"), &content, &h->error),
                     ERR_INVALID);
    assert_int_equal(
        store_artifact_get(h->store,
                           S("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"),
                           &content, &h->error),
        ERR_INVALID);
    assert_int_equal(store_artifact_get(h->store, SLICE_EMPTY, &content, &h->error), ERR_INVALID);
}

static void damage_is_seen_and_repaired(void **state)
{
    struct harness *h = *state;
    char hash[65], path[256];
    CLEANUP(bytes_done) struct bytes content = BYTES_INIT;
    assert_ok(store_artifact_put(h->store, S("abc"), hash, &h->error));
    path_of(h, hash, path, sizeof(path));
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "X", 1, 1), 1);
    close(fd);
    assert_int_equal(store_artifact_get(h->store, slice_cstr(hash), &content, &h->error),
                     ERR_CORRUPT);
    assert_text_has(h->error.message, path);
    assert_ok(store_artifact_put(h->store, S("abc"), hash, &h->error));
    assert_ok(store_artifact_get(h->store, slice_cstr(hash), &content, &h->error));
    assert_slice(bytes_slice(&content), "abc");
}

static int count_temporary(struct harness *h)
{
    DIR *dir = opendir(h->artifacts);
    assert_non_null(dir);
    int count = 0;
    for (struct dirent *e; (e = readdir(dir));)
        count += strncmp(e->d_name, "tmp-", 4) == 0;
    closedir(dir);
    return count;
}

static void half_written_files_go_at_the_next_start(void **state)
{
    struct harness *h = *state;
    char path[256];
    harness_close_store(h);
    snprintf(path, sizeof(path), "%s/tmp-0123456789abcdef", h->artifacts);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(count_temporary(h), 1);
    assert_ok(harness_open_store(h));
    assert_int_equal(count_temporary(h), 0);
}

/* Unused artifacts go when the writer tidies: at the next start for those that were put a short
 * while ago, as these. */
static void unused_artifacts_are_removed(void **state)
{
    struct harness *h = *state;
    char only_a[65], shared[65], path[256];
    assert_ok(build_start(h, "a", NULL));
    assert_ok(publish(h, "a", 1, "of a alone", "shared", NULL));
    assert_ok(build_start(h, "b", NULL));
    assert_ok(publish(h, "b", 1, "of b alone", "shared", NULL));
    assert_ok(store_artifact_put(h->store, S("of a alone"), only_a, &h->error));
    assert_ok(store_artifact_put(h->store, S("shared"), shared, &h->error));
    assert_ok(function_delete(h, "a"));
    path_of(h, only_a, path, sizeof(path));
    assert_int_equal(access(path, F_OK), 0); /* perhaps about to be published again */
    harness_close_store(h);
    assert_ok(harness_open_store(h));
    for (int i = 0; i < 10000 && access(path, F_OK) == 0; i++)
        (void)!build_start(h, "b", NULL);
    assert_int_not_equal(access(path, F_OK), 0);
    path_of(h, shared, path, sizeof(path));
    assert_int_equal(access(path, F_OK), 0);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)
    const struct CMUnitTest tests[] = {
        TEST(content_is_named_by_its_hash),
        TEST(empty_content_is_content),
        TEST(what_is_missing_or_no_hash_is_refused),
        TEST(damage_is_seen_and_repaired),
        TEST(half_written_files_go_at_the_next_start),
        TEST(unused_artifacts_are_removed),
    };
    return cmocka_run_group_tests_name("artifact", tests, NULL, NULL);
}
