/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files that apply mutations share. Each apply_x() does one mutation inside the running
 * transaction; when it refuses it has written nothing, or runs in a savepoint. Writer thread. */
#pragma once

#include "store/sqlite/writer.h"

typedef enum err (*apply_fn)(struct writer *w, const struct mutation *m, int64_t *ret_number,
                             struct error *ret_error);

/* audit.c */
NODISCARD enum err audit_write(struct writer *w, const struct store_audit *audit, enum err outcome,
                               struct error *ret_error);

struct apply_function {
    int64_t id, version;
    enum module_kind kind;
};

/* assets.c: the set of a manifest, made if it is new; its hash. ERR_NOT_READY: it names content that the
 * namespace has not uploaded. */
NODISCARD enum err apply_assets(struct writer *w, struct slice space, struct slice manifest,
                                char ret_hash[65], struct error *ret_error);
/* Is there such a function? OK with id 0: no. */
NODISCARD enum err apply_function_look(struct writer *w, struct slice name,
                                       struct apply_function *ret_function,
                                       struct error *ret_error);
/* ERR_NOT_FOUND */
NODISCARD enum err apply_function_find(struct writer *w, struct slice name,
                                       struct apply_function *ret_function,
                                       struct error *ret_error);
/* Runs a statement whose RETURNING or SELECT gives at most one integer; ret_has_row may be NULL if
 * there must be one. */
NODISCARD enum err apply_one(struct writer *w, int stmt, const struct db_param *params,
                             int64_t *ret_value, bool *ret_has_row, struct error *ret_error);
NODISCARD enum err apply_log_line(struct writer *w, int64_t function_id, struct slice execution,
                                  const struct log_row *line, struct error *ret_error);

/* due.c: DUE_NEVER clears it. */
NODISCARD enum err due_put(struct writer *w, const struct due_row *row, struct error *ret_error);

/* resource.c: made if it is not there. */
NODISCARD enum err resource_ensure(struct writer *w, struct slice space, enum resource_kind kind,
                                   struct slice name, int64_t *ret_id, struct error *ret_error);
/* message.c: what the module has consumed before and does not any more is nobody's. json: an array of
 * {"queue", "dead_letter_queue", "settings"}, "": none. ERR_CONFLICT: a queue has another consumer. */
NODISCARD enum err consumers_declare(struct writer *w, struct slice space, struct slice module,
                                     struct slice json, struct error *ret_error);
/* Result as of store_message_send(). */
NODISCARD enum err message_send(struct writer *w, int64_t queue, struct slice messages,
                                struct slice once, int64_t *ret_due_us, struct error *ret_error);
NODISCARD enum err tidy_queue(struct writer *w, int64_t id, int64_t *rows, struct error *ret_error);

/* schedule.c */
/* What the module has declared before and does not any more goes; what is new or changed is due, to be looked
 * at. json: an array of {"name", "plan"}, "": none. ERR_CONFLICT: a name is another's. */
NODISCARD enum err schedules_declare(struct writer *w, struct slice space, struct slice module,
                                     struct slice json, struct error *ret_error);
/* Those of a namespace. */
NODISCARD enum err schedules_forget(struct writer *w, int64_t namespace_id,
                                    struct error *ret_error);

/* namespace.c */
/* ERR_NOT_FOUND */
NODISCARD enum err apply_namespace_find(struct writer *w, struct slice name, int64_t *ret_id,
                                        struct error *ret_error);

/* apply.c, egress.c, env.c, namespace.c, resource.c, usage.c, durable_commit.c, durable_operate.c */
#define MUTATION(KIND, name, guard, fields)                                                        \
    NODISCARD enum err apply_##name(struct writer *w, const struct mutation *m,                    \
                                    int64_t *ret_number, struct error *ret_error);
#include "store/mutations.def"
