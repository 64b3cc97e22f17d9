/* SPDX-License-Identifier: Apache-2.0
 *
 * What other files that apply mutations need of resources. Writer thread. */
#pragma once

#include "store/sqlite/apply.h"

/* Makes those that are not there, and binds the version to all of them; resources: as of
 * version_row.resources. */
NODISCARD enum err resource_bind(struct writer *w, struct slice space, int64_t function_id,
                                 int64_t version, struct slice resources, struct error *ret_error);
/* The function is deleted: its own resources go, and it is bound to nothing any more. */
NODISCARD enum err resource_unbind(struct writer *w, int64_t function_id, struct error *ret_error);
/* All of a namespace. ERR_CONFLICT: there are some, and it is not forced. */
NODISCARD enum err resource_delete_all(struct writer *w, struct slice space, int64_t namespace_id,
                                       bool is_forced, struct error *ret_error);

/* What removes what a deleted resource of a kind held, in steps: at most *rows rows, of which it takes
 * off what it has removed. */
typedef enum err (*resource_tidy_fn)(struct writer *w, int64_t id, int64_t *rows,
                                     struct error *ret_error);
/* kv.c */
NODISCARD enum err tidy_kv(struct writer *w, int64_t id, int64_t *rows, struct error *ret_error);
/* object.c */
NODISCARD enum err tidy_bucket(struct writer *w, int64_t id, int64_t *rows,
                               struct error *ret_error);
