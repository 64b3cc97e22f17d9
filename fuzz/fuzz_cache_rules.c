/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules of caches (src/cache/rules.h). Input: a byte for the status, then "name: value" lines of a response, an
 * empty line, those of a request. What may be kept is fresh for a while and no longer than a year; a part
 * lies in the body. */
#include "base/check.h"
#include "cache/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_headers(struct slice *rest, struct http_header *ret, size_t max)
{
    size_t len = 0;
    while (len < max) {
        struct slice line = slice_split(rest, '\n');
        if (line.len == 0)
            break;
        struct slice name = slice_split(&line, ':');
        ret[len++] = (struct http_header){name, slice_trim(line)};
    }
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { MAX = 16 };
    struct http_header response[MAX], request[MAX];
    if (size == 0)
        return 0;
    struct slice rest = slice_of((const char *)data + 1, size - 1);
    const int status = data[0] == 0 ? 200 : 100 + data[0] * 2;
    const struct cache_headers of = {response, read_headers(&rest, response, MAX)};
    const struct cache_headers by = {request, read_headers(&rest, request, MAX)};
    const struct cache_policy p = cache_policy(status, of, INT64_C(1800000000000));
    CHECK(p.may_keep == (p.why == NULL));
    CHECK(!p.may_keep || (p.fresh_ms > 0 && p.fresh_ms <= INT64_C(366) * 24 * 3600 * 1000));
    uint64_t from = 0, to = 0;
    if (cache_answer(by, status, of, 1000, &from, &to) == CACHE_PART)
        CHECK(from < to && to <= 1000);
    return 0;
}
