/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops with arguments that no engine of ours would send, as a guest could that has taken over its
 * sandbox. Input: OPS_MAX times (u8 op number, FIELDS_MAX times 8 bytes); pointers are taken
 * into a small region of guest memory that holds the whole input, so that they often hit; the seeds
 * have what they point to behind the ops. A
 * dispatch is open meanwhile, so that answers and streams are reached. FETCH is left out, since it
 * would open connections; what it decodes (headers, bodies) RESPOND decodes too. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host/guest.h"
#include "host/op.h"
#include "host/runtimes.h"
#include "loop/loop.h"
#include "module/deployment.h"
#include "sandbox/isolate.h"
#include "script/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIELDS_MAX = 8, OPS_MAX = 32 }; /* tools/fuzz-ops writes seeds by these */

static struct runtimes *runtimes;
static struct runtime *runtime;
static struct deployment *deployment;
static struct loop loop;
static struct guest_host host;
static struct guest *guest;

/* Others answer what is asked of them, or refuse it. */
static void call_accept(void *ctx, struct call *c)
{
    static const struct call_events none = {0};
    const struct http_header header = {SLICE_LIT("x-a"), SLICE_LIT("b")};
    const struct call_answer a = {
        .status = 200, .headers = &header, .headers_len = 1, .body = SLICE_LIT("body")};
    struct error e;
    if (c->request.has_stream || c->request.props.len == 0) {
        call_refuse(c, (error_set(&e, ERR_NOT_FOUND, "there is no such module"), &e));
        return;
    }
    call_take_up(c, &none, NULL, 1);
    if (c->request.http)
        call_answer(c, &a);
    else
        call_value(c, c->request.body);
    call_end(c, CALL_CALLEE);
}

static void call(void *ctx, struct call *c, const struct call_events *events, void *user)
{
    call_start(c, &loop, &loop, events, user, call_accept, NULL);
}

static void port_respond(struct dispatch *d, const struct call_answer *a)
{
    for (size_t k = 0; k < a->headers_len; k++) { /* what leaves must be fit to leave */
        CHECK(a->headers[k].name.len > 0);
        CHECK(slice_find(a->headers[k].value, '\n') < 0);
    }
}

static bool port_write(struct dispatch *d, struct slice data, bool is_end)
{
    return data.len % 2 == 0;
}

static void port_value(struct dispatch *d, struct slice json)
{
    CHECK(slice_is_utf8(json));
}

static void port_fail(struct dispatch *d, const struct error *error, struct slice name,
                      struct slice stack)
{
    CHECK(error->code != OK);
}

static void port_ignore(struct dispatch *d)
{
}

static void port_consumed(struct dispatch *d, size_t n)
{
}

static const struct dispatch_port port = {
    .respond = port_respond,
    .write = port_write,
    .abort = port_ignore,
    .value = port_value,
    .fail = port_fail,
    .body_start = port_ignore,
    .body_consumed = port_consumed,
    .over = port_ignore,
};

static enum err no_sql(void *ctx, struct guest *g, struct sql_conn **ret_conn,
                       struct sql_file **ret_file, struct error *ret_error)
{
    return error_set(ret_error, ERR_UNAVAILABLE, "no database here");
}

static void open_once(void)
{
    static const char code[] =
        "export default { fetch() { return new Promise(() => setTimeout(() => {}, 1e6)) } }";
    struct error e = {0};
    if (runtimes)
        return;
    CHECK(runtimes_start(SLICE_EMPTY, &runtimes, &e) == OK);
    runtime = runtimes_find(runtimes, SLICE_EMPTY);
    struct guest_load load = {
        .name = SLICE_LIT("f"),
        .code = slice_cstr(code),
        .memory_bytes_max = 16 << 20,
        .cpu_ns_max = 1000000000,
    };
    CHECK(guest_load(runtime, &load, &e) == OK);
    deployment = deployment_new();
    deployment->name = SLICE_LIT("f");
    deployment->runtime = runtime;
    deployment->image = load.image;
    deployment->memory_bytes_max = load.memory_bytes_max;
    deployment->cpu_ns_max = load.cpu_ns_max;
    deployment->wall_ms_max = 60000;
    loop_init(&loop);
    host = (struct guest_host){
        .loop = &loop, .sql_take = no_sql, .fiber_runner = fiber_runner_new(&loop), .call = call};
    CHECK(guest_new(&host, deployment, &guest, &e) == OK);
}

/* On a starved machine a guest may use up its slice of wall time and be preempted anywhere. */
static enum guest_status step_whole(void)
{
    enum guest_status status;
    do
        status = guest_step(guest);
    while (status == GUEST_AGAIN);
    return status;
}

static void run_ops(const uint8_t *data, size_t size)
{
    enum { SLOTS_BYTES = FIELDS_MAX * 8, REGION = 8192 };
    uint32_t slots_at = container_of(runtime, struct script, runtime)->head,
             region_at = slots_at + SLOTS_BYTES;
    char *region = isolate_memory(guest->isolate, region_at, REGION);
    CHECK(region);
    memcpy(region, data, size < REGION ? size : REGION);
    for (int k = 0; k < OPS_MAX && size > 0; k++) {
        uint8_t number = data[0];
        uint64_t slots[FIELDS_MAX] = {0};
        size_t n = size - 1 < sizeof(slots) ? size - 1 : sizeof(slots);
        memcpy(slots, data + 1, n);
        data += 1 + n;
        size -= 1 + n;
        for (size_t f = 0; f < FIELDS_MAX;
             f++) /* a field with a length is a pointer: mostly into the region */
            if ((slots[f] >> 32) && (slots[f] & 0x80000000) == 0)
                slots[f] = (slots[f] & 0x3fff00000000) | (region_at + (slots[f] & 0xfff));
        if (number == OP_NUMBER_FETCH)
            continue;
        memcpy(isolate_memory(guest->isolate, slots_at, SLOTS_BYTES), slots, sizeof(slots));
        int64_t args[] = {number, slots_at, slots_at, number % 3 ? 64 : 0};
        (void)op_imports[0].fn(guest->isolate, args);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    open_once();
    struct http_request request = {
        .method = SLICE_LIT("POST"),
        .target = SLICE_LIT("/"),
        .authority = SLICE_LIT("f.localhost"),
        .content_length = -1,
        .has_body = true,
    };
    struct dispatch d = {
        .port = &port, .kind = DISPATCH_HTTP, .request = &request, .has_stream_body = true};
    guest_add(guest, &d);
    CHECK(step_whole() == GUEST_WAITS);
    run_ops(data, size);
    if (d.guest)
        dispatch_body(&d, SLICE_LIT("body bytes"), size % 2 == 0);
    (void)step_whole();
    struct error e;
    error_set(&e, ERR_UNAVAILABLE, "over");
    guest_end(guest, &e);
    if (!guest_recycle(guest)) {
        guest_free(guest);
        CHECK(guest_new(&host, deployment, &guest, &e) == OK);
    }
    return 0;
}
