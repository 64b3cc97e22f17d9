/* SPDX-License-Identifier: Apache-2.0
 *
 * A query of store.h on a reader. */
#pragma once

#include "store/store.h"

struct store_reader;

/* Answers it: result and error. epoch: of the lease that this store took. One thread at a time. */
void query_run(struct store_reader *r, int64_t epoch, struct store_query *q);
