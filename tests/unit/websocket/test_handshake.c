/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys, and offers of permessage-deflate: RFC 6455 1.3, RFC 7692 7.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "websocket/handshake.h"

static void keys(void **state)
{
    (void)state;
    char accept[WEBSOCKET_ACCEPT_BYTES + 1], key[WEBSOCKET_KEY_BYTES + 1],
        other[WEBSOCKET_KEY_BYTES + 1];
    websocket_accept(SLICE_LIT("dGhlIHNhbXBsZSBub25jZQ=="), accept); /* of the RFC */
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    websocket_key(key);
    websocket_key(other);
    assert_true(websocket_key_is_valid(slice_cstr(key)));
    assert_string_not_equal(key, other);
    assert_false(websocket_key_is_valid(SLICE_LIT("dGhlIHNhbXBsZSBub25jZQ=")));
    assert_false(websocket_key_is_valid(SLICE_LIT("dGhlIHNhbXBsZSBub25jZ===")));
    assert_false(websocket_key_is_valid(SLICE_LIT("dGhlIHNhbXBsZSBub25j!Q==")));
    assert_false(websocket_key_is_valid(SLICE_EMPTY));
}

static void choose(const char *offers, const char *answer, int window)
{
    struct websocket_deflate d;
    CLEANUP(bytes_done) struct bytes said = BYTES_INIT;
    websocket_choose(slice_cstr(offers), &d, &said);
    assert_string_equal(bytes_cstr(&said), answer);
    assert_int_equal(d.is_on, answer[0] != '\0');
    assert_int_equal(d.window_out, window);
    assert_false(d.keeps_in);
}

#define BOTH "permessage-deflate; client_no_context_takeover; server_no_context_takeover"

static void offers(void **state)
{
    (void)state;
    choose("", "", 0);
    choose("permessage-deflate", BOTH, 0);
    choose("permessage-deflate; client_max_window_bits", BOTH, 0);
    choose("Permessage-Deflate ; client_max_window_bits=\"10\" ; server_no_context_takeover", BOTH,
           0);
    choose("permessage-deflate; server_max_window_bits=10", BOTH "; server_max_window_bits=10", 10);
    choose("x-other, permessage-deflate; server_max_window_bits=8, permessage-deflate", BOTH, 0);
    choose("permessage-deflate; server_max_window_bits=8", "", 0); /* zlib has none such */
    choose("permessage-deflate; server_max_window_bits", "", 0);
    choose("permessage-deflate; server_max_window_bits=16", "", 0);
    choose("permessage-deflate; server_max_window_bits=09", "", 0);
    choose("permessage-deflate; unknown", "", 0);
    choose("permessage-deflate; client_no_context_takeover=1", "", 0);
    choose("permessage-deflate; client_no_context_takeover; client_no_context_takeover", "", 0);
    choose("permessage-deflate2", "", 0);
    choose(";;,,=", "", 0);
}

static void answers(void **state)
{
    (void)state;
    struct websocket_deflate d;
    assert_true(websocket_agree(SLICE_LIT(""), &d) && !d.is_on);
    assert_true(websocket_agree(SLICE_LIT("permessage-deflate"), &d) && d.is_on && d.keeps_in);
    assert_true(websocket_agree(SLICE_LIT(BOTH), &d) && d.is_on && !d.keeps_in);
    assert_true(websocket_agree(SLICE_LIT("permessage-deflate; client_max_window_bits=12"), &d) &&
                d.window_out == 12);
    assert_false(websocket_agree(SLICE_LIT("permessage-deflate; client_max_window_bits=8"), &d));
    assert_false(websocket_agree(SLICE_LIT("permessage-deflate, permessage-deflate"), &d));
    assert_false(websocket_agree(SLICE_LIT("x-webkit-deflate-frame"), &d));
    assert_true(websocket_agree(slice_cstr(websocket_offer), &d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keys), cmocka_unit_test(offers),
                                       cmocka_unit_test(answers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
