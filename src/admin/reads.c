/* SPDX-License-Identifier: Apache-2.0
 *
 * What handlers read, as calls; see request_read(). */
#include "admin/internal.h"

enum err read_namespace(struct admin_request *r, struct namespace_row *ret_row,
                        struct error *ret_error)
{
    struct store_query q = {.kind = STORE_QUERY_NAMESPACE, .space.name = r->space};
    enum err err = request_read(r, &q, ret_error);
    *ret_row = q.space.row;
    return err;
}

enum err read_functions(struct admin_request *r, enum module_kind kind,
                        struct function_row **ret_rows, size_t *ret_len, struct error *ret_error)
{
    struct store_query q = {.kind = STORE_QUERY_FUNCTIONS,
                            .functions = {.space = r->space, .kind = kind}};
    enum err err = request_read(r, &q, ret_error);
    *ret_rows = q.functions.rows;
    *ret_len = q.functions.len;
    return err;
}

enum err read_function(struct admin_request *r, struct slice name, struct function_row *ret_row,
                       struct error *ret_error)
{
    struct store_query q = {.kind = STORE_QUERY_FUNCTION, .function.name = name};
    enum err err = request_read(r, &q, ret_error);
    *ret_row = q.function.row;
    return err;
}

enum err read_version(struct admin_request *r, struct slice function, struct version_row *ret_row,
                      struct error *ret_error)
{
    struct store_query q = {.kind = STORE_QUERY_VERSION, .version.function = function};
    enum err err = request_read(r, &q, ret_error);
    *ret_row = q.version.row;
    return err;
}

enum err read_versions(struct admin_request *r, struct slice function,
                       struct version_row **ret_rows, size_t *ret_len, struct error *ret_error)
{
    struct store_query q = {.kind = STORE_QUERY_VERSIONS, .versions.function = function};
    enum err err = request_read(r, &q, ret_error);
    *ret_rows = q.versions.rows;
    *ret_len = q.versions.len;
    return err;
}

enum err read_version_of(struct admin_request *r, struct slice function, int64_t number,
                         struct version_row *ret_row, struct error *ret_error)
{
    struct store_query q = {.kind = STORE_QUERY_VERSION,
                            .version = {.function = function, .number = number}};
    enum err err = request_read(r, &q, ret_error);
    *ret_row = q.version.row;
    return err;
}

enum err read_builds(struct admin_request *r, struct slice function, struct build_row **ret_rows,
                     size_t *ret_len, struct error *ret_error)
{
    struct store_query q = {.kind = STORE_QUERY_BUILDS, .builds.function = function};
    enum err err = request_read(r, &q, ret_error);
    *ret_rows = q.builds.rows;
    *ret_len = q.builds.len;
    return err;
}

enum err read_build(struct admin_request *r, struct slice function, int64_t number,
                    struct build_row *ret_row, struct error *ret_error)
{
    struct store_query q = {.kind = STORE_QUERY_BUILD,
                            .build = {.function = function, .number = number}};
    enum err err = request_read(r, &q, ret_error);
    *ret_row = q.build.row;
    return err;
}

enum err read_env(struct admin_request *r, struct slice function, struct env_row **ret_rows,
                  size_t *ret_len, struct error *ret_error)
{
    struct store_query q = {.kind = STORE_QUERY_ENV, .env.function = function};
    enum err err = request_read(r, &q, ret_error);
    *ret_rows = q.env.rows;
    *ret_len = q.env.len;
    return err;
}

enum err read_execution(struct admin_request *r, struct slice id, struct execution_row *ret_row,
                        struct error *ret_error)
{
    struct store_query q = {.kind = STORE_QUERY_EXECUTION, .execution.id = id};
    enum err err = request_read(r, &q, ret_error);
    *ret_row = q.execution.row;
    return err;
}

enum err read_durable(struct admin_request *r, struct slice id, struct durable_row *ret_row,
                      struct error *ret_error)
{
    struct store_query q = {.kind = STORE_QUERY_DURABLE, .durable.id = id};
    enum err err = request_read(r, &q, ret_error);
    *ret_row = q.durable.row;
    return err;
}

enum err read_logs(struct admin_request *r, struct slice function, struct slice execution,
                   int64_t after, int64_t limit, struct log_row **ret_rows, size_t *ret_len,
                   struct error *ret_error)
{
    struct store_query q = {
        .kind = STORE_QUERY_LOGS,
        .logs = {.function = function, .execution = execution, .after = after, .limit = limit}};
    enum err err = request_read(r, &q, ret_error);
    *ret_rows = q.logs.rows;
    *ret_len = q.logs.len;
    return err;
}
