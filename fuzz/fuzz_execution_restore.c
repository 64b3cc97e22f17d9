/* SPDX-License-Identifier: Apache-2.0
 *
 * Saved executions: whatever is accepted can be run, cancelled, saved and restored again, to the
 * same bytes. The first byte says whether the checksum is made right and what is done with it. */
#include <zlib.h>

#include "durable/execution.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CRC_BYTES = 4, ID_AT = 8, DAY_US = 86400, DELIVERIES_MAX = 200 };

static int64_t clock_us;

static int64_t port_now(void *ctx)
{
    return clock_us;
}

static enum err port_read(void *ctx, int64_t first, struct bytes *out, int64_t *ret_count,
                          struct error *ret_error)
{
    return error_set(ret_error, ERR_IO, "there is no journal here");
}

static void port_start(void *ctx, uint32_t id, uint32_t op, struct slice args)
{
}

static void port_stop(void *ctx, uint32_t id)
{
}

static void port_scope_over(void *ctx, uint32_t scope)
{
    CHECK(scope != 0);
}

static void port_runnable(void *ctx)
{
}

static const struct execution_port port = {.now_us = port_now,
                                           .read = port_read,
                                           .start = port_start,
                                           .stop = port_stop,
                                           .scope_over = port_scope_over,
                                           .runnable = port_runnable};

static void save_twice(struct execution *x, const struct execution_config *config)
{
    CLEANUP(bytes_done) struct bytes once = BYTES_INIT, twice = BYTES_INIT;
    struct execution *y = NULL;
    execution_save(x, &once);
    CHECK(execution_restore(config, bytes_slice(&once), &y, NULL) == OK);
    execution_save(y, &twice);
    CHECK(slice_eq(bytes_slice(&once), bytes_slice(&twice)));
    execution_free(y);
}

static void run(struct execution *x, uint8_t what)
{
    struct execution_delivery d;
    if (what & 2)
        execution_cancel(x);
    for (int i = 0; i < DELIVERIES_MAX && execution_next(x, &d); i++) {
        clock_us += DAY_US;
        execution_tick(x);
        if (d.kind == EXECUTION_RUN && what & 4)
            execution_step_done(x, d.scope, i % 2 ? ERR_GUEST : OK, false, SLICE_LIT("1"),
                                SLICE_LIT("no"));
        if (what & 8)
            execution_cancel_call(x, d.id + 1);
        execution_signal(x, i + 1, clock_us, SLICE_LIT("go"), SLICE_LIT("1"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    bytes_append(&saved, data + 1, size - 1);
    if (data[0] % 2 == 0 && saved.len > CRC_BYTES) {
        const uint32_t crc = htole32((uint32_t)crc32(
            0, (const unsigned char *)saved.ptr + CRC_BYTES, (unsigned)(saved.len - CRC_BYTES)));
        memcpy(saved.ptr, &crc, sizeof(crc));
    }
    /* Its own id and length, so that they are no obstacle. */
    struct execution_config config = {.port = &port, .id = SLICE_LIT("e"), .stored = 1};
    if (saved.len >= ID_AT + 4 + 1 + 8)
        memcpy(&config.stored, saved.ptr + ID_AT + 4 + 1, sizeof(config.stored));
    config.stored = (int64_t)le64toh((uint64_t)config.stored);
    if (config.stored < 0)
        config.stored = 1;
    clock_us = 0;
    struct execution *x = NULL;
    struct error error;
    if (execution_restore(&config, bytes_slice(&saved), &x, &error) != OK)
        return 0;
    if (execution_state(x) == EXECUTION_IS_LIVE)
        save_twice(x, &config);
    run(x, data[0]);
    execution_free(x);
    return 0;
}
