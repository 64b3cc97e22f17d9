/* SPDX-License-Identifier: Apache-2.0
 *
 * Of socket.c what only its ops use. */
#pragma once

#include "host/internal.h"

/* NULL: there is none. */
struct open_socket *open_socket_find(struct guest *g, uint32_t id);
void open_socket_answers(struct open_socket *o, struct dispatch *d);
/* Its end of the protocol, from now on or before. */
void open_socket_begin(struct open_socket *o);
/* Instead: gives back what it was made of, and is gone. False: it has begun, or is over. */
bool open_socket_split(struct open_socket *o, struct source **ret_source, struct sink **ret_sink);
/* The op that waits for what comes; accepts it. */
NODISCARD enum err open_socket_next(struct open_socket *o);
NODISCARD enum err open_socket_send(struct open_socket *o, bool is_text, struct slice data);
void open_socket_close(struct open_socket *o, uint16_t code, struct slice reason);
/* Refuses an op that a workflow calls outside of steps. */
enum err open_socket_refuse_recorded(struct guest *g);
size_t open_socket_buffered(const struct open_socket *o);
