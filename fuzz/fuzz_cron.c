/* SPDX-License-Identifier: Apache-2.0
 *
 * Cron expressions: whatever is read as one has times that grow, in zones whose clocks change as the input
 * says, and each of them comes back when it is asked for from right before it. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "schedule/cron.h"

/* Clocks that are put forward and back by so much, every so many seconds. */
struct clocks {
    int64_t every, by;
};

static struct cron_period clocks_at(void *zone, int64_t at)
{
    const struct clocks *c = zone;
    int64_t n = at >= 0 ? at / c->every : (at - c->every + 1) / c->every;
    return (struct cron_period){.from = n * c->every,
                                .until = (n + 1) * c->every,
                                .offset = n % 2 ? c->by : 0,
                                .offset_before = n % 2 ? 0 : c->by};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cron c;
    struct error error;
    if (size < 4)
        return 0;
    struct clocks clocks = {.every = (1 + data[0] % 100) * 86400, .by = (data[1] % 49 - 24) * 1800};
    int64_t at = (int64_t)data[2] * 31557600 + (int64_t)data[3] * 86400;
    if (cron_parse(slice_of((const char *)data + 4, size - 4), &c, &error) != OK) {
        CHECK(error.code == ERR_INVALID && error.hint[0]);
        return 0;
    }
    for (int k = 0; k < 4; k++) {
        int64_t next = cron_next(&c, clocks_at, &clocks, at);
        if (next < 0)
            return 0;
        CHECK(next > at);
        CHECK(cron_next(&c, clocks_at, &clocks, next - 1) == next);
        at = next;
    }
    return 0;
}
