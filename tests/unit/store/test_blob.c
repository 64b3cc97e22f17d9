/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that come in pieces. */
#include <sched.h>
#include <stdio.h>

#include "harness_fork.h"

static void write_all(struct harness *h, struct store_blob **ret_blob, const char *text)
{
    assert_ok(store_blob_new(h->store, ret_blob, &h->error));
    for (const char *c = text; *c; c++)
        assert_ok(store_blob_write(*ret_blob, slice_of(c, 1), &h->error));
}

static void pieces_become_a_file(void **state)
{
    struct harness *h = *state;
    struct store_blob *b;
    char hash[65], same[65];
    CLEANUP(bytes_done) struct bytes content = BYTES_INIT;
    write_all(h, &b, "hello");
    assert_ok(store_blob_end(b, hash, &h->error));
    assert_string_equal(hash, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert_int_equal(store_artifact_get(h->store, slice_cstr(hash), &content, &h->error),
                     ERR_NOT_FOUND);
    assert_ok(store_blob_keep(b, &h->error));
    store_blob_free(b);
    assert_ok(store_artifact_get(h->store, slice_cstr(hash), &content, &h->error));
    assert_slice(bytes_slice(&content), "hello");
    write_all(h, &b, "hello"); /* once more is the same */
    assert_ok(store_blob_end(b, same, &h->error));
    assert_ok(store_blob_keep(b, &h->error));
    store_blob_free(b);
    assert_string_equal(hash, same);
}

static int files(struct harness *h, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "ls %s | grep -c '^%s'", h->artifacts, name);
    FILE *f = popen(path, "r");
    int n = -1;
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &n), 1);
    pclose(f);
    return n;
}

static void what_is_not_kept_is_gone(void **state)
{
    struct harness *h = *state;
    struct store_blob *b;
    char hash[65];
    write_all(h, &b, "never");
    assert_int_equal(files(h, "tmp-"), 1);
    store_blob_free(b);
    assert_int_equal(files(h, "tmp-"), 0);
    write_all(h, &b, "");
    assert_ok(store_blob_end(b, hash, &h->error));
    store_blob_free(b);
    assert_int_equal(files(h, "tmp-"), 0);
    store_blob_free(NULL);
}

static void one_that_nobody_names_is_looked_at(void **state)
{
    struct harness *h = *state;
    struct store_op op = HARNESS_OP(h);
    char hash[65];
    assert_ok(store_artifact_put(h->store, S("orphan"), hash, &h->error));
    store_file_expected(h->store, &op, slice_cstr(hash));
    assert_ok(harness_wait(h, &op));
    assert_int_equal(number(h, "SELECT count(*) FROM artifact_unused"), 1);
    harness_close_store(h); /* what was put lately is not known to another process */
    assert_ok(harness_open_store(h));
    while (number(h, "SELECT count(*) FROM artifact_unused") > 0)
        sched_yield();
    CLEANUP(bytes_done) struct bytes content = BYTES_INIT;
    assert_int_equal(store_artifact_get(h->store, slice_cstr(hash), &content, &h->error),
                     ERR_NOT_FOUND);
}

/* As who puts one does it: the tidying may come between, and must not forget it. */
static void one_that_is_expected_is_not_forgotten_before_it_is_kept(void **state)
{
    struct harness *h = *state;
    struct store_op op = HARNESS_OP(h);
    struct store_blob *b;
    char hash[65];
    write_all(h, &b, "late");
    assert_ok(store_blob_end(b, hash, &h->error));
    store_file_expected(h->store, &op, slice_cstr(hash));
    assert_ok(harness_wait(h, &op));
    for (int k = 0; k < 3; k++) { /* batches, after each of which the writer tidies */
        store_file_expected(h->store, &op,
                            S("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"));
        assert_ok(harness_wait(h, &op));
    }
    assert_ok(store_blob_keep(b, &h->error));
    store_blob_free(b);
    harness_close_store(h); /* a death before any row names it */
    assert_ok(harness_open_store(h));
    while (number(h, "SELECT count(*) FROM artifact_unused") > 0)
        sched_yield();
    CLEANUP(bytes_done) struct bytes content = BYTES_INIT;
    assert_int_equal(store_artifact_get(h->store, slice_cstr(hash), &content, &h->error),
                     ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_is_expected_is_not_forgotten_before_it_is_kept,
                                        harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(pieces_become_a_file, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(what_is_not_kept_is_gone, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(one_that_nobody_names_is_looked_at, harness_setup,
                                        harness_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("store/blob", tests, NULL, NULL);
}
