/* SPDX-License-Identifier: Apache-2.0
 *
 * The control thread (the program's main thread): admin API, deployments, signals. */
#pragma once

#include "server/server.h"

struct control;

/* Starts the workers and the admin API, with every function of the store routed. */
NODISCARD enum err control_new(struct server *s, struct control **ret_control,
                               struct error *ret_error);
int control_admin_port(const struct control *c);
struct loop *control_loop(struct control *c); /* any thread, to post to */
/* Until SIGTERM or SIGINT and the stop that follows. A second signal ends at once. */
void control_run(struct control *c);
void control_free(struct control *c);
