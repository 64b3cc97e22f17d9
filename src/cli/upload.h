/* SPDX-License-Identifier: Apache-2.0
 *
 * A bundle on its way to the server. */
#pragma once

#include "project/project.h"

struct bundle;
struct cli;

struct upload {
    const char *name;
    struct version_options options;     /* isolation and limits; the texts in it are not used */
    const char *const *egress;          /* NULL-terminated; NULL: all public hosts */
    const struct project_vars *vars;    /* NULL: none */
    const struct project_texts *routes; /* NULL: none */
    const struct project_bindings *bindings; /* NULL: none */
    struct slice assets;                     /* manifest of static files, "" for none */
    struct slice schedules, consumers;       /* JSON, "" for none */
    bool is_kept_back;                       /* the version that serves goes on */
};

/* As cli_word() says, a function or a workflow. Prints the outcome, returns the exit code. */
int upload_send(struct cli *cli, const struct upload *u, const struct bundle *b);
