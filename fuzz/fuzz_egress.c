/* SPDX-License-Identifier: Apache-2.0
 *
 * Input: a rule, a host, and the bytes of an address, split by newlines. Whatever the rule: an IPv4
 * address and its v4-mapped form get the same answer, a public one passes, and without rules a
 * private one never does. What a domain list allows for a name does not depend on its case. */
#include <netinet/in.h>

#include "base/check.h"
#include "http/egress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err check_v4(const struct egress *e, struct slice host, int port, const uint8_t v4[4])
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    memcpy(&a.sin_addr, v4, 4);
    return egress_check_address(e, host, port, (const struct sockaddr *)(const void *)&a, NULL);
}

static enum err check_v6(const struct egress *e, struct slice host, int port, const uint8_t v6[16])
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6};
    memcpy(&a.sin6_addr, v6, 16);
    return egress_check_address(e, host, port, (const struct sockaddr *)(const void *)&a, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t public_v4[4] = {8, 8, 8, 8}, private_v4[4] = {127, 1, 2, 3};
    struct slice rest = slice_of((const char *)data, size);
    struct slice rule = slice_split(&rest, '\n'), host = slice_split(&rest, '\n');
    uint8_t v6[16] = {0}, mapped[16] = {[10] = 0xff, [11] = 0xff};
    memcpy(v6, rest.ptr ? rest.ptr : "", rest.len < 16 ? rest.len : 16);
    memcpy(mapped + 12, v6 + 12, 4);
    int port = 1 + (v6[0] | v6[1] << 8) % 65535;
    struct egress *none = egress_new(), *e = egress_new();
    enum err err = egress_allow(e, rule, NULL);
    CHECK(err == OK || err == ERR_INVALID);
    CHECK(check_v4(e, host, port, mapped + 12) == check_v6(e, host, port, mapped));
    CHECK(check_v4(e, host, port, public_v4) == OK);
    CHECK(check_v4(none, host, port, private_v4) == ERR_FORBIDDEN);
    CHECK(err == OK || check_v6(e, host, port, v6) == check_v6(none, host, port, v6));
    CHECK(check_v6(none, host, port, v6) != OK || check_v6(e, host, port, v6) == OK);
    egress_free(none);
    egress_free(e);

    char domain[300], upper[300];
    if (rule.len < sizeof(domain) && host.len < sizeof(upper)) {
        memcpy(domain, rule.ptr ? rule.ptr : "", rule.len);
        domain[rule.len] = 0;
        for (size_t i = 0; i < host.len; i++)
            upper[i] =
                (char)(host.ptr[i] >= 'a' && host.ptr[i] <= 'z' ? host.ptr[i] - 32 : host.ptr[i]);
        const char *const list[] = {domain, NULL};
        CHECK(egress_check_domain(list, host, port, NULL) ==
              egress_check_domain(list, slice_of(upper, host.len), port, NULL));
    }
    return 0;
}
