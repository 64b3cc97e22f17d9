/* SPDX-License-Identifier: Apache-2.0
 *
 * One sandbox: a Wasmtime store and instance with a linear memory that is ours. The memory is a
 * private copy-on-write mapping of an image, so that an isolate can be made pristine again by
 * copying back just the pages that the guest wrote (isolate_restore).
 *
 * Guest code runs on a fiber: a call returns when it is done, when it has run for its slice of time
 * and its neighbors should have a turn (ISOLATE_YIELDED), when it waits inside a synchronous import
 * (ISOLATE_WAITING), or when it trapped. In between the isolate may be cancelled or freed.
 *
 * An isolate belongs to one thread at a time. */
#pragma once

#include "sandbox/code.h"

struct budget;
struct engine;
struct image;

enum isolate_status {
    ISOLATE_DONE,
    ISOLATE_YIELDED, /* isolate_resume() when others had their turn */
    ISOLATE_WAITING, /* isolate_wake(), then isolate_resume() */
    ISOLATE_TRAPPED, /* isolate_error() says why; restore or free it */
};

/* image: of this code; NULL: a fresh instance with the module's own initial memory. */
NODISCARD enum err isolate_new(struct code *c, struct image *image, size_t memory_bytes_max,
                               struct isolate **ret_isolate, struct error *ret_error);
void isolate_free(struct isolate *i); /* NULL is allowed; a running call is unwound */

void isolate_set_user(struct isolate *i, void *user);
void *isolate_user(const struct isolate *i);
struct engine *isolate_engine(const struct isolate *i);
/* Asked with the user before the memory grows by so many bytes; false: the guest sees that it
 * cannot (memory.grow gives -1), as at its limit. */
void isolate_ask_to_grow(struct isolate *i, bool (*may_grow)(void *user, size_t more));

/* Makes memory and globals equal to the image again. False: the memory has grown beyond the image
 * and cannot shrink, the isolate must be freed. */
NODISCARD bool isolate_restore(struct isolate *i);

/* CPU time that calls from now on may use in sum; then they trap with ERR_LIMIT_CPU. */
void isolate_set_cpu_budget(struct isolate *i, uint64_t budget_ns);
uint64_t
isolate_stretch_ns(const struct isolate *i); /* CPU time of the last call, or slice of it */
uint64_t isolate_cpu_used_ns(const struct isolate *i); /* since the budget was set */
void isolate_add_cpu(struct isolate *i, uint64_t ns);  /* used for it elsewhere */

/* From inside an import: the slice ends as soon as the guest goes on, unless it is held. */
void isolate_end_slice(struct isolate *i);

/* Starts export number fn. One call at a time. */
enum isolate_status isolate_call(struct isolate *i, unsigned fn, const int32_t *args,
                                 size_t args_len);
enum isolate_status isolate_resume(struct isolate *i);
bool isolate_is_running(const struct isolate *i); /* yielded or waiting */
int32_t isolate_result(const struct isolate *i);  /* of the last call that was DONE */
const struct error *isolate_error(const struct isolate *i);
/* A short call that neither yields nor waits (allocation), without a fiber; also while another call
 * is waiting is NOT allowed. False: trapped. */
NODISCARD bool isolate_call_now(struct isolate *i, unsigned fn, const int32_t *args,
                                size_t args_len, int32_t *ret_result);
/* The result of the import that waits. */
void isolate_wake(struct isolate *i, int64_t result);
/* From inside an import: the guest is ended with this error when the import returns. */
void isolate_trap(struct isolate *i, enum err code, const char *format, ...) PRINTF_LIKE(3, 4);
/* Unwinds a call that yielded or waits. */
void isolate_cancel(struct isolate *i);

/* Guest memory, checked: NULL if [address, address+len) is not inside. Valid until guest code runs.
 */
char *isolate_memory(struct isolate *i, uint32_t address, size_t len);
size_t isolate_memory_bytes(const struct isolate *i); /* size of the linear memory */
size_t
isolate_private_bytes(const struct isolate *i); /* pages of its own, as of the last restore */
bool isolate_was_out_of_memory(
    const struct isolate *i); /* memory.grow was refused since the restore */

/* ---- images ---- */

/* The memory of an idle isolate, frozen. Immutable, shared by threads. */
NODISCARD enum err image_capture(struct isolate *i, struct image **ret_image,
                                 struct error *ret_error);
struct image *image_ref(struct image *m);
void image_unref(struct image *m);
size_t image_bytes(const struct image *m); /* held in memory */
/* What it may take later, beyond image_bytes() as of now, is taken from this budget, which stays longer;
 * where there is none left it does without. */
void image_bill(struct image *m, struct budget *memory);
/* An image as bytes, for another process with the same module: made at build time, so that a start
 * need not boot the engine. Format: struct image_header, bitmap of nonzero pages, those pages. */
void image_save(const struct image *m, struct bytes *out);
NODISCARD enum err image_load(struct code *c, struct slice saved, struct image **ret_image,
                              struct error *ret_error);
struct code *image_code(const struct image *m); /* borrowed */
/* The same for an image that was captured from an isolate of another, `base`: only what differs, as
 * a snapshot (snapshot.h) of that isolate. ERR_TOO_LARGE as there; ERR_CORRUPT; ERR_CONFLICT: of
 * another engine, base or format. */
NODISCARD enum err image_save_delta(const struct image *m, struct bytes *out,
                                    struct error *ret_error);
NODISCARD enum err image_load_delta(struct image *base, struct slice saved,
                                    struct image **ret_image, struct error *ret_error);
