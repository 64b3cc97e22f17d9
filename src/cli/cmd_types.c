/* SPDX-License-Identifier: Apache-2.0
 *
 * `limpet types`: what a project's file says of its environment, as TypeScript. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/client.h"
#include "cli/deploy.h"
#include "cli/say.h"

static void type_of(const struct body_value *v, int depth, struct bytes *out);

static void type_of_object(const struct body_value *v, int depth, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    struct body_value value;
    bool is_first = true;
    bytes_append_cstr(out, "{ ");
    for (struct body_walk walk = body_walk(v); body_next_member(&walk, &key, &value);) {
        bytes_append_cstr(out, is_first ? "" : "; ");
        json_quote(out, bytes_slice(&key));
        bytes_append_cstr(out, ": ");
        type_of(&value, depth + 1, out);
        is_first = false;
    }
    bytes_append_cstr(out, is_first ? "}" : " }");
}

/* Of items as the first one is; of several kinds: of anything. */
static void type_of_array(const struct body_value *v, int depth, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes first = BYTES_INIT;
    struct body_value item;
    bool is_one = true;
    for (struct body_walk walk = body_walk(v); body_next_item(&walk, &item);) {
        CLEANUP(bytes_done) struct bytes type = BYTES_INIT;
        type_of(&item, depth + 1, &type);
        if (first.len == 0)
            bytes_append_slice(&first, bytes_slice(&type));
        is_one &= slice_eq(bytes_slice(&first), bytes_slice(&type));
    }
    bytes_printf(out, "readonly (%s)[]", is_one && first.len > 0 ? bytes_cstr(&first) : "unknown");
}

static void type_of(const struct body_value *v, int depth, struct bytes *out)
{
    static const char *const plain[] = {[BODY_NULL] = "null",
                                        [BODY_BOOL] = "boolean",
                                        [BODY_NUMBER] = "number",
                                        [BODY_STRING] = "string"};
    if (depth > 16)
        bytes_append_cstr(out, "unknown");
    else if (v->kind == BODY_OBJECT)
        type_of_object(v, depth, out);
    else if (v->kind == BODY_ARRAY)
        type_of_array(v, depth, out);
    else
        bytes_append_cstr(out, plain[v->kind]);
}

static void write_types(const struct project *p, struct bytes *out)
{
    bytes_printf(out, "// Made by `limpet types` from %s. Run it again when that changes.\n\n",
                 p->file);
    bytes_append_cstr(out, "interface Env {\n");
    for (size_t i = 0; i < p->vars.len; i++) {
        const struct project_var *v = &p->vars.items[i];
        struct body_value json;
        bytes_printf(out, "    readonly %.*s: ", SLICE_ARG(v->name));
        if (v->is_json && body_parse(v->value, &json, NULL) == OK)
            type_of(&json, 0, out);
        else
            bytes_append_cstr(out, "string");
        bytes_append_cstr(out, ";\n");
    }
    for (size_t i = 0; i < p->bindings.len; i++) {
        const struct binding *b = &p->bindings.items[i];
        bytes_printf(out, "    readonly %.*s: %s;\n", SLICE_ARG(b->name),
                     binding_kinds[b->kind].type);
    }
    bytes_append_cstr(out, "}\n");
}

int cmd_types(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    struct error error = {0};
    struct project *p;
    int code = deploy_open(cli, cli->args.positional_len ? cli->args.positional[0] : ".", &p);
    if (code)
        return code;
    if (project_read_dev_vars(p, &error))
        return say_error(cli->is_json, &error, EXIT_FAILED);
    write_types(p, &text);
    const char *path = project_path(p, "limpet-env.d.ts");
    FILE *file = fopen(path, "we");
    bool is_whole = file && fwrite(text.ptr, 1, text.len, file) == text.len;
    if (file)
        is_whole = fclose(file) == 0 && is_whole;
    if (!is_whole) {
        error_set(&error, ERR_IO, "cannot write %.300s: %s", path, strerror(errno));
        return say_error(cli->is_json, &error, EXIT_FAILED);
    }
    if (!cli->is_json)
        printf("%s\n", path);
    return EXIT_OK;
}
