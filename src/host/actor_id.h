/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids of actors: 32 bytes, written as 64 hexadecimal digits. The first half is random, or made of a name;
 * the second half tells whether it is one of this class, so that an id of another one, or a made-up text, is
 * refused. The same name of the same class is the same id for ever, on every server. Any thread. */
#pragma once

#include <stdbool.h>

#include "base/slice.h"

enum { ACTOR_ID_LEN = 64 };

/* module: "namespace/name"; class: the export of it. */
void actor_id_of_name(struct slice module, struct slice class, struct slice name,
                      char ret_id[ACTOR_ID_LEN]);
void actor_id_new(struct slice module, struct slice class, char ret_id[ACTOR_ID_LEN]);
/* Is it one, in small letters? */
bool actor_id_is_of(struct slice module, struct slice class, struct slice id);
