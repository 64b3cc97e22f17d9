/* SPDX-License-Identifier: Apache-2.0 */
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"

struct item {
    char name;
    struct list link;
};

static const char *names(struct bytes *out, const struct list *l)
{
    bytes_clear(out);
    LIST_FOREACH (n, l)
        bytes_append_char(out, container_of(n, struct item, link)->name);
    return bytes_cstr(out);
}

static void keeps_order(void **state)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct item a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'}, d = {.name = 'd'};
    struct list l;
    list_init(&l);
    assert_true(list_is_empty(&l));
    assert_false(list_is_linked(&a.link));
    list_push_back(&l, &b.link);
    list_push_front(&l, &a.link);
    list_push_back(&l, &d.link);
    list_insert_before(&d.link, &c.link);
    assert_string_equal(names(&out, &l), "abcd");
    list_remove(&b.link);
    list_remove(&b.link);
    assert_false(list_is_linked(&b.link));
    assert_string_equal(names(&out, &l), "acd");
    assert_ptr_equal(list_pop_front(&l), &a.link);
    LIST_FOREACH (n, &l)
        list_remove(n);
    assert_true(list_is_empty(&l));
    assert_null(list_pop_front(&l));
}

static void splices(void **state)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct item a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
    struct list l, m;
    list_init(&l);
    list_init(&m);
    list_splice_back(&l, &m);
    assert_true(list_is_empty(&l));
    list_push_back(&l, &a.link);
    list_push_back(&m, &b.link);
    list_push_back(&m, &c.link);
    list_splice_back(&l, &m);
    assert_string_equal(names(&out, &l), "abc");
    assert_true(list_is_empty(&m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_order), cmocka_unit_test(splices)};
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("base/list", tests, NULL, NULL);
}
