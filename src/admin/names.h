/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules for what users name and choose: functions, workflows, signals, env variables, egress
 * domains, limits. The server enforces them; the CLI uses the same code to refuse early. Any
 * thread. */
#pragma once

#include "base/error.h"
#include "base/limits.h"
#include "base/slice.h"

struct binding;
struct version_options;

enum {
    NAMES_ENV_BYTES_MAX = 128,
    NAMES_EXPORT_BYTES_MAX = 128,
    NAMES_KEY_BYTES_MAX = LIMIT_EXECUTION_KEY_BYTES,
    NAMES_DOMAIN_BYTES_MAX = 255,
    NAMES_DOMAINS_MAX = 64,
    NAMES_MEMORY_MB_MIN = 4,
    NAMES_MEMORY_MB_MAX = 4096, /* all that a 32-bit linear memory has */
    NAMES_CPU_MS_MAX = 10 * 60 * 1000,
    NAMES_WALL_MS_MAX = 60 * 60 * 1000,
    NAMES_SQL_TRANSACTION_MS_MAX = 60 * 1000, /* others that write wait meanwhile */
};

/* A DNS label: 1 to 63 of a-z, 0-9 and inner '-', because the name is a host. */
NODISCARD enum err names_check_function(struct slice name, struct error *ret_error);
/* Likewise, since it is a part of hosts; "localhost" is none. */
NODISCARD enum err names_check_namespace(struct slice name, struct error *ret_error);
/* "name" or "name.export", of a workflow, with "namespace/" in front or not; ret_name: what is before
 * the dot. */
NODISCARD enum err names_check_workflow(struct slice name, struct slice *ret_name,
                                        struct error *ret_error);
/* Of a signal, and the key of a start: any text without control characters, not empty, not long. */
NODISCARD enum err names_check_signal(struct slice name, struct error *ret_error);
NODISCARD enum err names_check_key(struct slice key, struct error *ret_error);
/* Letters, digits and '_', not starting with a digit. */
NODISCARD enum err names_check_env(struct slice name, struct error *ret_error);
/* Its name is a variable's, what it leads to and which part of it are names of what they name. */
NODISCARD enum err names_check_binding(const struct binding *b, struct error *ret_error);
/* "api.example.com", "*.example.com", "example.com:8443". */
NODISCARD enum err names_check_domain(struct slice domain, struct error *ret_error);
/* The limits that are not zero lie in their ranges. */
NODISCARD enum err names_check_limits(const struct version_options *options,
                                      struct error *ret_error);
/* Of count texts, the one a typist most likely meant, or NULL if none is near. */
const char *names_nearest(struct slice text, const char *const *choices, size_t count);
