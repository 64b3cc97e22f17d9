/* SPDX-License-Identifier: Apache-2.0
 *
 * See the header. Nothing here allocates but what goes to a caller's buffer. Any thread. */
#include "http/url.h"

#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <uv.h>

static bool parse_port(struct slice text, int *ret_port)
{
    uint64_t port;
    if (text.len > 5 || !slice_to_u64(text, &port) || port == 0 || port > 65535)
        return false;
    *ret_port = (int)port;
    return true;
}

enum err url_split_authority(struct slice text, int port_default, struct slice *ret_host,
                             int *ret_port)
{
    struct slice host = text, rest = SLICE_EMPTY;
    int port = port_default;
    if (text.len && text.ptr[0] == '[') {
        ptrdiff_t end = slice_find(text, ']');
        if (end < 2)
            return ERR_INVALID;
        host = (struct slice){text.ptr + 1, (size_t)end - 1};
        rest = slice_skip(text, (size_t)end + 1);
        if (rest.len && rest.ptr[0] != ':')
            return ERR_INVALID;
    } else {
        ptrdiff_t colon = slice_find(text, ':');
        if (colon >= 0) {
            host.len = (size_t)colon;
            rest = slice_skip(text, (size_t)colon);
        }
    }
    if (!host.len || (rest.len && !parse_port(slice_skip(rest, 1), &port)))
        return ERR_INVALID;
    *ret_host = host;
    *ret_port = port;
    return OK;
}

bool url_address(struct slice text, int port, struct sockaddr_storage *ret)
{
    char buffer[INET6_ADDRSTRLEN + IF_NAMESIZE + 1]; /* "fe80::1%eth0" */
    struct sockaddr_storage a = {0};
    if (text.len >= sizeof(buffer) || slice_find(text, 0) >= 0)
        return false;
    if (text.len)
        memcpy(buffer, text.ptr, text.len);
    buffer[text.len] = 0;
    if (uv_ip4_addr(buffer, port, (struct sockaddr_in *)&a) != 0 &&
        uv_ip6_addr(buffer, port, (struct sockaddr_in6 *)&a) != 0)
        return false;
    *ret = a;
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum err url_decode(struct slice text, struct bytes *out)
{
    size_t start = out->len;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = text.len - i > 2 ? hex_value(text.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex_value(text.ptr[i + 2]) : -1;
            c = (char)(high * 16 + low);
            i += 2;
            if (low < 0)
                c = '\0';
        }
        if (!c) {
            out->len = start;
            return ERR_INVALID;
        }
        bytes_append_char(out, c);
    }
    return OK;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void url_encode(struct slice text, struct bytes *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (is_unreserved((char)c)) {
            bytes_append_char(out, (char)c);
            continue;
        }
        const char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
        bytes_append(out, escape, sizeof(escape));
    }
}

bool url_query_get(struct slice query, const char *name, struct slice *ret_value)
{
    struct slice rest = query;
    while (rest.len) {
        struct slice value = slice_split(&rest, '&');
        struct slice key = slice_split(&value, '=');
        if (slice_eq_cstr(key, name)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}
