/* SPDX-License-Identifier: Apache-2.0
 *
 * Which addresses and names outgoing requests may reach.
 *
 * The address is what decides, not the text of the URL: however a host is spelled (0x7f.1,
 * 2130706433,
 * [::ffff:127.0.0.1], a name with a private A record), the socket's address is classified at
 * connect. Only IPv4 outside the special-purpose ranges and IPv6 within 2000::/3 outside them is
 * public; IPv6 forms that carry an IPv4 address (mapped, NAT64, 6to4, Teredo, ISATAP) are as public
 * as what they carry. Everything else needs a rule. A rule with an address or CIDR is about
 * addresses; a rule with a name is about the name in the URL and then trusts whatever it resolves
 * to.
 *
 * Rules are added before the first check and never change after, so checks need no lock. */
#include "http/egress.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "http/url.h"

enum { EGRESS_RULES_MAX = 1024, EGRESS_HOST_BYTES_MAX = 253 };

/* IPv4 is kept as its v4-mapped IPv6 form, so that one comparison serves both. */
struct egress_address {
    uint8_t bytes[16];
    bool is_v4;
};

struct egress_rule {
    enum { EGRESS_RULE_NAME, EGRESS_RULE_SUFFIX, EGRESS_RULE_CIDR } kind;
    int port; /* 0: any */
    char *name;
    struct egress_address address;
    int prefix_bits; /* of the 128-bit form */
};

struct egress {
    struct egress_rule *rules;
    size_t rules_len;
};

/* What is not the public Internet: the IANA special-purpose registries, and metadata services that
 * live on public addresses. */
struct egress_range {
    struct egress_address net;
    int bits; /* of the 128-bit form */
    const char *what;
};

/* clang-format off */
#define RANGE_V4(a, b, c, d, bits, what)                                                           \
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, (a), (b), (c), (d)}, true}, 96 + (bits), (what)}
#define RANGE_V6(a, b, c, d, bits, what) {{{(a), (b), (c), (d)}, false}, (bits), (what)}

static const struct egress_range ranges_v4[] = {
    RANGE_V4(  0,   0,   0,  0,  8, "unspecified"),
    RANGE_V4( 10,   0,   0,  0,  8, "private"),
    RANGE_V4(100,  64,   0,  0, 10, "shared (carrier-grade NAT)"),
    RANGE_V4(127,   0,   0,  0,  8, "loopback"),
    RANGE_V4(168,  63, 129, 16, 32, "cloud metadata"),
    RANGE_V4(169, 254,   0,  0, 16, "link-local or cloud metadata"),
    RANGE_V4(172,  16,   0,  0, 12, "private"),
    RANGE_V4(192,   0,   0,  0, 24, "reserved"),
    RANGE_V4(192,   0,   2,  0, 24, "documentation"),
    RANGE_V4(192,  88,  99,  0, 24, "6to4 relay"),
    RANGE_V4(192, 168,   0,  0, 16, "private"),
    RANGE_V4(198,  18,   0,  0, 15, "benchmarking"),
    RANGE_V4(198,  51, 100,  0, 24, "documentation"),
    RANGE_V4(203,   0, 113,  0, 24, "documentation"),
    RANGE_V4(224,   0,   0,  0,  4, "multicast"),
    RANGE_V4(240,   0,   0,  0,  4, "reserved or broadcast"),
};

static const struct egress_range ranges_v6[] = {
    {{{0}, false},        128, "unspecified"},
    {{{[15] = 1}, false}, 128, "loopback"},
    RANGE_V6(0x01, 0x00, 0x00, 0x00, 64, "discard-only"),
    RANGE_V6(0x20, 0x01, 0x00, 0x00, 23, "reserved"),
    RANGE_V6(0x20, 0x01, 0x0d, 0xb8, 32, "documentation"),
    RANGE_V6(0x3f, 0xff, 0x00, 0x00, 20, "documentation"),
    RANGE_V6(0xfc, 0x00, 0x00, 0x00,  7, "private"),
    RANGE_V6(0xfe, 0x80, 0x00, 0x00, 10, "link-local"),
    RANGE_V6(0xfe, 0xc0, 0x00, 0x00, 10, "site-local"),
    RANGE_V6(0xff, 0x00, 0x00, 0x00,  8, "multicast"),
};
/* clang-format on */

struct egress *egress_new(void)
{
    struct egress *e = calloc(1, sizeof(*e));
    if (!e)
        check_out_of_memory(sizeof(*e));
    return e;
}

void egress_free(struct egress *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < e->rules_len; i++)
        free(e->rules[i].name);
    free(e->rules);
    free(e);
}

static struct egress_address address_from_v4(const uint8_t v4[4])
{
    struct egress_address a = {.bytes = {[10] = 0xff, [11] = 0xff}, .is_v4 = true};
    memcpy(a.bytes + 12, v4, 4);
    return a;
}

static struct egress_address address_from_v6(const uint8_t v6[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(v6, mapped, sizeof(mapped)) == 0)
        return address_from_v4(v6 + 12);
    struct egress_address a = {0};
    memcpy(a.bytes, v6, 16);
    return a;
}

static struct egress_address address_of(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return address_from_v4(
            (const uint8_t *)&((const struct sockaddr_in *)(const void *)address)->sin_addr);
    return address_from_v6(
        (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static bool address_parse(struct slice text, struct egress_address *ret)
{
    struct sockaddr_storage address;
    if (slice_find(text, '%') >= 0 || !url_address(text, 0, &address)) /* no zones in rules */
        return false;
    *ret = address_of((const struct sockaddr *)(const void *)&address);
    return true;
}

static void address_print(const struct egress_address *a, char ret_text[INET6_ADDRSTRLEN])
{
    if (a->is_v4)
        (void)inet_ntop(AF_INET, a->bytes + 12, ret_text, INET6_ADDRSTRLEN);
    else
        (void)inet_ntop(AF_INET6, a->bytes, ret_text, INET6_ADDRSTRLEN);
}

static bool address_in(const struct egress_address *a, const struct egress_address *net, int bits)
{
    if (a->is_v4 != net->is_v4)
        return false;
    int whole = bits / 8, rest = bits % 8;
    if (memcmp(a->bytes, net->bytes, (size_t)whole) != 0)
        return false;
    if (!rest)
        return true;
    uint8_t mask = (uint8_t)(0xff << (8 - rest));
    return (a->bytes[whole] & mask) == (net->bytes[whole] & mask);
}

/* "ADDRESS/BITS"; the bits returned count from the front of the 128-bit form. */
static bool cidr_parse(struct slice text, struct egress_address *ret_net, int *ret_bits)
{
    ptrdiff_t slash = slice_find(text, '/');
    uint64_t bits;
    if (slash < 0 || !address_parse(slice_of(text.ptr, (size_t)slash), ret_net) ||
        !slice_to_u64(slice_skip(text, (size_t)slash + 1), &bits))
        return false;
    /* ::ffff:10.0.0.0/104 means 10.0.0.0/8: only the spelling of the address tells the two apart.
     */
    bool is_dotted = ret_net->is_v4 && slice_find(slice_of(text.ptr, (size_t)slash), ':') < 0;
    if (bits > (is_dotted ? 32 : 128) || (ret_net->is_v4 && !is_dotted && bits < 96))
        return false;
    *ret_bits = (int)bits + (is_dotted ? 96 : 0);
    return true;
}

static const char *range_of(const struct egress_address *a, const struct egress_range *ranges,
                            size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (address_in(a, &ranges[i].net, ranges[i].bits))
            return ranges[i].what;
    }
    return NULL;
}

/* The IPv4 address inside an IPv6 transition form, if it is one. */
static bool address_embedded_v4(const struct egress_address *a, struct egress_address *ret)
{
    static const uint8_t zero[12] = {0};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    static const uint8_t isatap[4] = {0x00, 0x00, 0x5e, 0xfe};
    const uint8_t *b = a->bytes;
    if (memcmp(b, nat64, 12) == 0 || memcmp(b, zero, 12) == 0) {
        *ret = address_from_v4(b + 12);
    } else if (b[0] == 0x20 && b[1] == 0x02) { /* 6to4 */
        *ret = address_from_v4(b + 2);
    } else if (memcmp(b, (const uint8_t[]){0x20, 0x01, 0, 0}, 4) == 0) { /* Teredo: inverted */
        uint8_t v4[4] = {(uint8_t)~b[12], (uint8_t)~b[13], (uint8_t)~b[14], (uint8_t)~b[15]};
        *ret = address_from_v4(v4);
    } else if ((b[8] & 0xfd) == isatap[0] && memcmp(b + 9, isatap + 1, 3) == 0) {
        *ret = address_from_v4(b + 12);
    } else {
        return false;
    }
    return true;
}

/* What kind of non-public address this is; NULL: public. */
static const char *address_refusal(const struct egress_address *a)
{
    if (a->is_v4)
        return range_of(a, ranges_v4, ARRAY_LEN(ranges_v4));
    const char *what = range_of(a, ranges_v6, ARRAY_LEN(ranges_v6));
    if (what)
        return what;
    struct egress_address inner;
    if (address_embedded_v4(a, &inner)) {
        what = range_of(&inner, ranges_v4, ARRAY_LEN(ranges_v4));
        if (what)
            return what;
        if (a->bytes[0] == 0x00 && a->bytes[1] == 0x64)
            return NULL; /* NAT64 of a public address, though outside 2000::/3 */
    }
    return (a->bytes[0] & 0xe0) == 0x20 ? NULL : "outside the public range";
}

/* Lower case without brackets and trailing dot, as all names are compared. False: not a host. */
static bool host_normalize(struct slice host, char ret_host[EGRESS_HOST_BYTES_MAX + 1])
{
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = slice_of(host.ptr + 1, host.len - 2);
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    if (!host.len || host.len > EGRESS_HOST_BYTES_MAX)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.ptr[i];
        if (c <= ' ' || c == 0x7f || strchr("/?#@[]\\%", c))
            return false;
        ret_host[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    ret_host[host.len] = 0;
    return true;
}

/* host lies below the domain suffix ("a.example.com" below "example.com"). */
static bool host_is_below(const char *host, const char *suffix)
{
    size_t host_len = strlen(host), suffix_len = strlen(suffix);
    return host_len > suffix_len + 1 && host[host_len - suffix_len - 1] == '.' &&
           memcmp(host + host_len - suffix_len, suffix, suffix_len) == 0;
}

/* URL parsers read a host as an IPv4 address when its last label is a number, so such a text that
 * is no address ("10.0.0.300", "010.1") can only be a slip and must not pass as a name. */
static bool host_ends_in_number(const char *host)
{
    const char *last = strrchr(host, '.');
    last = last ? last + 1 : host;
    if (last[0] == '0' && last[1] == 'x')
        return strspn(last + 2, "0123456789abcdef") == strlen(last + 2);
    return *last && strspn(last, "0123456789") == strlen(last);
}

/* Cuts ":PORT" off. An IPv6 address must be in brackets for that; a bare one has several colons. */
static bool rule_split_port(struct slice *text, int *ret_port)
{
    const char *colon = text->len ? memrchr(text->ptr, ':', text->len) : NULL;
    *ret_port = 0;
    if (!colon)
        return true;
    struct slice before = slice_of(text->ptr, (size_t)(colon - text->ptr));
    if (slice_find(before, ':') >= 0 && !slice_ends(before, SLICE_LIT("]")))
        return true;
    uint64_t port;
    if (!slice_to_u64(slice_skip(*text, before.len + 1), &port) || port < 1 || port > 65535)
        return false;
    *text = before;
    *ret_port = (int)port;
    return true;
}

/* Fills everything but ownership: name is written to the buffer given. */
static bool rule_parse(struct slice text, struct egress_rule *ret,
                       char name[EGRESS_HOST_BYTES_MAX + 1])
{
    *ret = (struct egress_rule){0};
    if (!rule_split_port(&text, &ret->port))
        return false;
    struct slice bare = text;
    if (bare.len >= 2 && bare.ptr[0] == '[' && bare.ptr[bare.len - 1] == ']')
        bare = slice_of(bare.ptr + 1, bare.len - 2);
    ret->kind = EGRESS_RULE_CIDR;
    if (slice_find(bare, '/') >= 0)
        return cidr_parse(bare, &ret->address, &ret->prefix_bits);
    ret->prefix_bits = 128;
    if (address_parse(bare, &ret->address))
        return true;
    if (bare.len != text.len)
        return false; /* brackets around something else than IPv6 */
    ret->kind = EGRESS_RULE_NAME;
    if (slice_starts(text, SLICE_LIT("*."))) {
        ret->kind = EGRESS_RULE_SUFFIX;
        text = slice_skip(text, 2);
    }
    return host_normalize(text, name) && !strpbrk(name, "*:") && !host_ends_in_number(name);
}

enum err egress_allow(struct egress *e, struct slice rule, struct error *ret_error)
{
    struct egress_rule parsed;
    char name[EGRESS_HOST_BYTES_MAX + 1];
    if (e->rules_len == EGRESS_RULES_MAX)
        return error_set(ret_error, ERR_LIMIT, "more than %d egress rules", EGRESS_RULES_MAX);
    if (!rule_parse(slice_trim(rule), &parsed, name)) {
        (void)error_set(ret_error, ERR_INVALID, "'%.*s' is not an egress rule",
                        (int)(rule.len < 200 ? rule.len : 200), rule.ptr ? rule.ptr : "");
        error_hint(ret_error, "write HOST, HOST:PORT, *.example.com, 10.0.0.0/8 or [::1]:8080");
        return ERR_INVALID;
    }
    if (parsed.kind != EGRESS_RULE_CIDR) {
        parsed.name = strdup(name);
        if (!parsed.name)
            check_out_of_memory(strlen(name) + 1);
    }
    struct egress_rule *rules = reallocarray(e->rules, e->rules_len + 1, sizeof(*rules));
    if (!rules)
        check_out_of_memory((e->rules_len + 1) * sizeof(*rules));
    e->rules = rules;
    e->rules[e->rules_len++] = parsed;
    return OK;
}

static bool rule_matches(const struct egress_rule *r, const char *host,
                         const struct egress_address *address, int port)
{
    if (r->port && r->port != port)
        return false;
    switch (r->kind) {
    case EGRESS_RULE_NAME:
        return strcmp(r->name, host) == 0;
    case EGRESS_RULE_SUFFIX:
        return host_is_below(host, r->name);
    case EGRESS_RULE_CIDR:
        return address_in(address, &r->address, r->prefix_bits);
    }
    return false;
}

enum err egress_check_address(const struct egress *e, struct slice host, int port,
                              const struct sockaddr *address, struct error *ret_error)
{
    if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
        return error_set(ret_error, ERR_FORBIDDEN, "only IPv4 and IPv6 addresses may be reached");
    struct egress_address a = address_of(address);
    const char *what = address_refusal(&a);
    if (!what)
        return OK;
    char name[EGRESS_HOST_BYTES_MAX + 1];
    if (!host_normalize(host, name))
        name[0] = 0;
    for (size_t i = 0; i < e->rules_len; i++) {
        if (rule_matches(&e->rules[i], name, &a, port))
            return OK;
    }
    char text[INET6_ADDRSTRLEN];
    address_print(&a, text);
    bool is_v6_literal = strchr(name, ':') != NULL;
    (void)error_set(ret_error, ERR_FORBIDDEN,
                    "requests to '%s' (%s, %s) are not allowed from functions",
                    name[0] ? name : "(invalid host)", text, what);
    error_hint(ret_error, "start the server with --egress-allow %s%.200s%s:%d to allow it",
               is_v6_literal ? "[" : "", name[0] ? name : text, is_v6_literal ? "]" : "", port);
    return ERR_FORBIDDEN;
}

enum err egress_check_domain(const char *const *domains, struct slice host, int port,
                             struct error *ret_error)
{
    if (!domains)
        return OK;
    char name[EGRESS_HOST_BYTES_MAX + 1], rule_name[EGRESS_HOST_BYTES_MAX + 1];
    if (!host_normalize(host, name))
        return error_set(ret_error, ERR_INVALID, "not a host name: '%.*s'",
                         (int)(host.len < 200 ? host.len : 200), host.ptr ? host.ptr : "");
    struct egress_address address;
    bool is_address = address_parse(slice_cstr(name), &address);
    for (; *domains; domains++) {
        struct egress_rule rule;
        if (!rule_parse(slice_cstr(*domains), &rule, rule_name))
            continue; /* a rule that means nothing allows nothing */
        if (rule.kind == EGRESS_RULE_CIDR && !is_address)
            continue;
        rule.name = rule_name;
        if (rule_matches(&rule, name, &address, port))
            return OK;
    }
    (void)error_set(ret_error, ERR_FORBIDDEN,
                    "host '%s' (port %d) is not in this module's list of allowed domains", name,
                    port);
    error_hint(ret_error, "add it to the module's allowed domains");
    return ERR_FORBIDDEN;
}
