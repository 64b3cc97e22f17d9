/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealing: what opens, and what does not; the key, wherever it comes from. */
#include "store/secret.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "harness.h"

#define KEY "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define KEY_BASE64 "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8="

static struct secret_key key_of(const char *text)
{
    struct secret_key key;
    struct error e = {0};
    if (secret_key_load(text, "", false, &key, &e))
        fail_msg("%s", e.message);
    return key;
}

static void what_is_sealed_opens_as_what_it_is(void **state)
{
    static const char *const values[] = {"", "x", "a longer value with \xc3\xa4"};
    struct secret_key key = key_of(KEY), same = key_of(KEY_BASE64), other = key;
    (void)state;
    assert_memory_equal(key.bytes, same.bytes, sizeof(key.bytes));
    other.bytes[31] ^= 1;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        CLEANUP(bytes_done) struct bytes sealed = BYTES_INIT, again = BYTES_INIT, out = BYTES_INIT;
        struct error e = {0};
        secret_seal(&key, S("what"), slice_cstr(values[i]), &sealed);
        secret_seal(&key, S("what"), slice_cstr(values[i]), &again);
        assert_string_not_equal(bytes_cstr(&sealed), bytes_cstr(&again)); /* a new nonce */
        assert_int_equal(secret_open(&same, S("what"), bytes_slice(&sealed), &out, &e), OK);
        assert_string_equal(bytes_cstr(&out), values[i]);
        bytes_clear(&out);
        assert_int_equal(secret_open(&other, S("what"), bytes_slice(&sealed), &out, &e),
                         ERR_CORRUPT);
        assert_int_equal(secret_open(&key, S("That"), bytes_slice(&sealed), &out, &e), ERR_CORRUPT);
        for (size_t k = 0; k < sealed.len; k++) { /* any digit of it */
            char was = sealed.ptr[k];
            sealed.ptr[k] = was == '0' ? '1' : '0';
            assert_int_equal(secret_open(&key, S("what"), bytes_slice(&sealed), &out, &e),
                             ERR_CORRUPT);
            sealed.ptr[k] = was;
        }
        for (size_t len = 0; len < sealed.len; len++)
            assert_int_equal(secret_open(&key, S("what"), slice_of(sealed.ptr, len), &out, &e),
                             ERR_CORRUPT);
        assert_int_equal(out.len, 0);
    }
}

static void a_variable_is_bound_to_all_that_names_it(void **state)
{
    CLEANUP(bytes_done) struct bytes a = BYTES_INIT, b = BYTES_INIT;
    (void)state;
    secret_what(S("shop/a"), 1, S("KEY"), 1, &a);
    static const struct {
        const char *module;
        int64_t id;
        const char *name;
        int64_t version;
    } others[] = {{"a", 1, "KEY", 1},
                  {"shop/a", 2, "KEY", 1},
                  {"shop/a", 1, "KEYS", 1},
                  {"shop/a", 1, "KEY", 2}};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        bytes_clear(&b);
        secret_what(slice_cstr(others[i].module), others[i].id, slice_cstr(others[i].name),
                    others[i].version, &b);
        assert_false(slice_eq(bytes_slice(&a), bytes_slice(&b)));
    }
}

static void what_is_no_key_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "00",
        KEY "0",
        "not a key",
        KEY_BASE64 "=",
        "g0112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct secret_key key;
        struct error e = {0};
        assert_int_equal(secret_key_load(bad[i], "", true, &key, &e), ERR_INVALID);
        assert_true(e.hint[0] != '\0');
    }
}

static void the_file_is_made_once_for_its_owner(void **state)
{
    struct harness *h = *state;
    struct secret_key key, again;
    struct stat st;
    char path[128];
    snprintf(path, sizeof(path), "%s/secret.key", h->folder);
    assert_int_equal(secret_key_load(NULL, h->folder, false, &key, &h->error), ERR_NOT_FOUND);
    assert_ok(secret_key_load(NULL, h->folder, true, &key, &h->error));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_ok(secret_key_load(NULL, h->folder, false, &again, &h->error));
    assert_memory_equal(key.bytes, again.bytes, sizeof(key.bytes));
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(secret_key_load(NULL, h->folder, true, &again, &h->error), ERR_INVALID);
    assert_text_has(h->error.hint, "chmod 600");
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(secret_key_load(NULL, h->folder, true, &again, &h->error), ERR_INVALID);
}

/* The first byte of the file cannot be written: SIGXFSZ ends the process there, or, where whoever runs
 * the tests has that signal blocked, write() fails. Neither leaves a key that is none. */
static void a_first_start_that_is_killed_leaves_no_half_key(void **state)
{
    struct harness *h = *state;
    struct secret_key key, again;
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit none = {0, 0};
        (void)signal(SIGXFSZ, SIG_DFL);
        (void)setrlimit(RLIMIT_CORE, &none);
        if (setrlimit(RLIMIT_FSIZE, &none) == 0)
            (void)(secret_key_load(NULL, h->folder, true, &key, &h->error) == OK);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGXFSZ : WEXITSTATUS(status) == 1);
    assert_ok(secret_key_load(NULL, h->folder, true, &key, &h->error));
    assert_ok(secret_key_load(NULL, h->folder, false, &again, &h->error));
    assert_memory_equal(key.bytes, again.bytes, sizeof(key.bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_opens_as_what_it_is),
        cmocka_unit_test(a_variable_is_bound_to_all_that_names_it),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test_setup_teardown(the_file_is_made_once_for_its_owner, harness_setup_folder,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(a_first_start_that_is_killed_leaves_no_half_key,
                                        harness_setup_folder, harness_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("store/secret", tests, NULL, NULL);
}
