/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of project/ share: the reading of a tree into a project. */
#pragma once

#include "project/keys.h"
#include "project/project.h"

struct project_reader {
    struct project *p;
    const struct document *document;
    enum key_where where;
    const struct document_value *envs;
    struct error *error;
    struct project_rule *rule; /* that is being read */
    struct binding *binding;   /* likewise */
    bool is_warned[KEYS];
};

/* Lists in an arena: short, so that each addition may copy. */
void texts_add(struct arena *a, struct project_texts *t, const char *text);
/* One of that name is replaced. */
void vars_put(struct arena *a, struct project_vars *vars, struct project_var var);

/* "FILE:LINE: …"; always ERR_INVALID. */
enum err reader_error(struct project_reader *r, size_t at, const char *format, ...)
    PRINTF_LIKE(3, 4);
int reader_line(const struct project_reader *r, size_t at);
/* Each member of an object, by the table. */
NODISCARD enum err reader_object(struct project_reader *r, enum key_shape owner,
                                 const struct document_value *object);
/* Puts the value of a key that the table calls TAKEN, of a type that it allows, where it belongs. */
NODISCARD enum err project_take(struct project_reader *r, enum key_id id,
                                const struct document_value *v);
/* The same for migrations of classes of actors: migrations.c. */
NODISCARD enum err project_take_migrations(struct project_reader *r, enum key_id id,
                                           const struct document_value *v);
/* Adds the binding of the static files, if the project names one. */
NODISCARD enum err project_bind_assets(struct project *p, struct error *ret_error);
