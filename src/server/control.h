/* SPDX-License-Identifier: Apache-2.0
 *
 * The control thread (the program's main thread): admin API, deployments, signals. */
#pragma once

#include "base/slice.h"
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

/* A version of a workflow (0: the one that serves), as new executions or old ones run it: a
 * reference for the caller. ERR_NOT_FOUND: deleted. Control thread. */
NODISCARD enum err control_deployment(struct control *c, struct slice name, int64_t version,
                                      struct deployment **ret_deployment, struct error *ret_error);
/* Code that is only to be checked, with the options of the version that serves. */
NODISCARD enum err control_trial(struct control *c, struct slice name, struct slice code,
                                 struct slice source_map, struct deployment **ret_deployment,
                                 struct error *ret_error);
