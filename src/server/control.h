/* SPDX-License-Identifier: Apache-2.0
 *
 * The control thread (the program's main thread): admin API, deployments, signals. */
#pragma once

#include "base/slice.h"
#include "server/server.h"

struct control;

/* Starts the workers. */
NODISCARD enum err control_new(struct server *s, struct control **ret_control,
                               struct error *ret_error);
int control_admin_port(const struct control *c);
struct loop *control_loop(struct control *c); /* any thread, to post to */
/* Routes every function of the store, starts the admin API, calls ready, and runs until SIGTERM or
 * SIGINT and the stop that follows. A second signal ends at once. An error is one of the start. */
NODISCARD enum err control_run(struct control *c, void (*ready)(void *arg), void *arg,
                               struct error *ret_error);
void control_free(struct control *c);
