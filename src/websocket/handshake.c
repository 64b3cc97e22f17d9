/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/handshake.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/random.h"

const char websocket_offer[] =
    "permessage-deflate; client_no_context_takeover; server_no_context_takeover";

void websocket_key(char ret_key[WEBSOCKET_KEY_BYTES + 1])
{
    unsigned char raw[16];
    random_bytes(raw, sizeof(raw));
    (void)EVP_EncodeBlock((unsigned char *)ret_key, raw, sizeof(raw));
}

bool websocket_key_is_valid(struct slice key)
{
    unsigned char raw[18 + 1];
    if (key.len != WEBSOCKET_KEY_BYTES || !slice_ends(key, SLICE_LIT("==")) ||
        key.ptr[key.len - 3] == '=')
        return false;
    return EVP_DecodeBlock(raw, (const unsigned char *)key.ptr, (int)key.len) == 18;
}

void websocket_accept(struct slice key, char ret_accept[WEBSOCKET_ACCEPT_BYTES + 1])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455, 1.3 */
    unsigned char digest[SHA_DIGEST_LENGTH];
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    bytes_append_slice(&text, key);
    bytes_append_cstr(&text, guid);
    (void)SHA1((const unsigned char *)text.ptr, text.len, digest);
    (void)EVP_EncodeBlock((unsigned char *)ret_accept, digest, sizeof(digest));
}

/* ---- permessage-deflate (RFC 7692, 7.1) ---- */

struct deflate_params {
    bool server_no_takeover, client_no_takeover, has_server_bits, has_client_bits;
    int server_bits, client_bits; /* 0: the parameter has no value */
};

static bool take_bits(struct slice value, bool *ret_has, int *ret_bits)
{
    uint64_t bits = 0;
    if (*ret_has)
        return false;
    *ret_has = true;
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        value = slice_of(value.ptr + 1, value.len - 2);
    if (value.len > 0 &&
        (value.ptr[0] == '0' || !slice_to_u64(value, &bits) || bits < 8 || bits > 15))
        return false;
    *ret_bits = (int)bits;
    return true;
}

static bool take_flag(struct slice value, bool has_value, bool *ret_flag)
{
    bool is_first = !*ret_flag;
    *ret_flag = true;
    return is_first && !has_value && value.len == 0;
}

/* One element of the header. False: it is something else, or malformed. */
static bool params_read(struct slice element, struct deflate_params *p)
{
    *p = (struct deflate_params){0};
    if (!slice_eq_nocase(slice_trim(slice_split(&element, ';')), SLICE_LIT("permessage-deflate")))
        return false;
    while (element.len > 0) {
        struct slice value = slice_split(&element, ';');
        bool has_value = slice_find(value, '=') >= 0;
        struct slice name = slice_trim(slice_split(&value, '='));
        value = slice_trim(value);
        bool is_ok = slice_eq_nocase(name, SLICE_LIT("server_no_context_takeover"))
                         ? take_flag(value, has_value, &p->server_no_takeover)
                     : slice_eq_nocase(name, SLICE_LIT("client_no_context_takeover"))
                         ? take_flag(value, has_value, &p->client_no_takeover)
                     : slice_eq_nocase(name, SLICE_LIT("server_max_window_bits"))
                         ? take_bits(value, &p->has_server_bits, &p->server_bits) && p->server_bits
                     : slice_eq_nocase(name, SLICE_LIT("client_max_window_bits"))
                         ? take_bits(value, &p->has_client_bits, &p->client_bits)
                         : false;
        if (!is_ok)
            return false;
    }
    return true;
}

void websocket_choose(struct slice offers, struct websocket_deflate *ret_deflate,
                      struct bytes *ret_answer)
{
    *ret_deflate = (struct websocket_deflate){0};
    while (offers.len > 0) {
        struct deflate_params p;
        if (!params_read(slice_split(&offers, ','), &p) || (p.has_server_bits && p.server_bits < 9))
            continue; /* zlib has no window of 8 bits without a head */
        *ret_deflate = (struct websocket_deflate){.is_on = true, .window_out = p.server_bits};
        bytes_append_cstr(ret_answer, websocket_offer);
        if (p.has_server_bits)
            bytes_printf(ret_answer, "; server_max_window_bits=%d", p.server_bits);
        return;
    }
}

bool websocket_agree(struct slice answer, struct websocket_deflate *ret_deflate)
{
    struct deflate_params p;
    *ret_deflate = (struct websocket_deflate){0};
    if (slice_trim(answer).len == 0)
        return true;
    if (slice_find(answer, ',') >= 0 || !params_read(answer, &p) ||
        (p.has_client_bits && p.client_bits < 9))
        return false;
    *ret_deflate = (struct websocket_deflate){
        .is_on = true, .keeps_in = !p.server_no_takeover, .window_out = p.client_bits};
    return true;
}
