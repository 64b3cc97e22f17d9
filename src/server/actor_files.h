/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the databases of actors lie, and what they take of their module's disk:
 *
 *     NAME-CREATED.actors/CLASS/ab/ID.sqlite     beside NAME-CREATED.sqlite, the module's own; ab: as ID begins
 *
 * What is in a module's folder counts to its account from the start of the server on (the sum of the files,
 * then what each grows, host/database.h), and goes with the module. */
#pragma once

#include "base/error.h"
#include "base/slice.h"

struct account;
struct bytes;
struct database;
struct loop;
struct server;

#define ACTOR_FILES_SUFFIX ".actors"

/* The module's folder. Any thread. */
void actor_files_folder(const struct database *module, struct bytes *out);
void actor_files_path(const struct database *module, struct slice class, struct slice id,
                      struct bytes *out);
/* Makes the folders that the file is to be in. Blocks, shortly. */
NODISCARD enum err actor_files_make_folders(const char *path, struct error *ret_error);
/* Blocks: counts what is there to the account. */
void actor_files_count(const char *folder, struct account *account);
/* Blocks: all of a folder goes. account: that it counts to, or NULL. */
void actor_files_unlink(const char *folder, struct account *account);
/* Loop thread: the module is gone. Those that are open go when they are closed, the others on the pool. */
void actor_files_remove(struct server *s, struct loop *loop, struct database *module);
