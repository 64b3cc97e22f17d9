/* SPDX-License-Identifier: Apache-2.0
 *
 * What executions and versions of modules take of the disk, in the accounts of these modules, and what
 * resources take, in the accounts of their namespaces: taken from
 * their budgets before it is written, given back when it is removed. An account follows the committed
 * database: what a transaction adds is counted with writer_add_count() and reaches it by its commit.
 * Writer thread. */
#pragma once

#include "store/sqlite/writer.h"

/* All that is there already. */
NODISCARD enum err stored_open(struct writer *w, struct error *ret_error);
void stored_close(struct writer *w);
/* May the owner (writer_count.owner) have so much more? ERR_LIMIT_DISK names whose quota is used up. Takes nothing. */
NODISCARD enum err stored_check(struct writer *w, int64_t owner, int64_t more,
                                struct error *ret_error);
/* All that was copied for forks (WRITER_COUNTED_FORKED) is nobody's: none of them goes on. */
void stored_forks_dropped(struct writer *w);
/* The transaction has been committed. */
void stored_committed(struct writer *w);

/* Artifacts of a version that is about to be added: bytes of what no version of the function has yet,
 * checked and counted. */
NODISCARD enum err stored_version(struct writer *w, int64_t function_id,
                                  const struct version_row *v, struct slice assets_hash,
                                  struct error *ret_error);
