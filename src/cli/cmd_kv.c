/* SPDX-License-Identifier: Apache-2.0
 *
 * `kv list|get|put|delete|export|import`: what is in a KV namespace. Files of export and import have the
 * members of wrangler's bulk files: "key", "value" (with "base64": true where it is no text), "expiration",
 * "expiration_ttl", "metadata". */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"
#include "http/url.h"

static const char *key_path(struct cli *cli, const char *space, const char *key)
{
    return client_path(cli, "/kv/%s/values/%s", client_name(cli, space), key);
}

static const char *keys_path(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes prefix = BYTES_INIT;
    const char *value = args_get(&cli->args, "--prefix");
    url_encode(slice_cstr(value ? value : ""), &prefix);
    const char *path =
        client_path(cli, "/kv/%s/keys", client_name(cli, cli->args.positional[0]), NULL);
    return arena_printf(cli->arena, "%s?limit=1000&prefix=%s", path, bytes_cstr(&prefix));
}

static void key_row(struct cli *cli, struct table *table, const struct body_value *row)
{
    char size[32];
    struct body_value metadata = json_member(row, "metadata");
    say_bytes((uint64_t)json_number(row, "bytes"), size, sizeof(size));
    table_cell(table, json_text(cli, row, "name"));
    table_cell(table, slice_cstr(size));
    table_cell(table, json_text(cli, row, "expiration"));
    table_cell(table, metadata.kind == BODY_NULL ? SLICE_EMPTY : metadata.text);
}

int cmd_kv_list(struct cli *cli)
{
    static const char *const titles[] = {"KEY", "SIZE", "EXPIRES", "METADATA"};
    const struct client_list list = {.path = keys_path(cli),
                                     .titles = titles,
                                     .columns = ARRAY_LEN(titles),
                                     .row = key_row,
                                     .empty = "there are no keys",
                                     .is_all = true};
    return client_list(cli, &list);
}

/* Its value as it is. */
static int get_value(struct cli *cli, const char *space, const char *key, struct reply *ret_reply)
{
    int code = client_call(cli, "GET", key_path(cli, space, key), SLICE_EMPTY, ret_reply);
    return !code && ret_reply->status != 200 ? client_refused(cli, ret_reply) : code;
}

int cmd_kv_get(struct cli *cli)
{
    struct reply reply;
    int code = get_value(cli, cli->args.positional[0], cli->args.positional[1], &reply);
    if (!code)
        (void)fwrite(reply.text.ptr, 1, reply.text.len, stdout);
    return code;
}

/* ---- put ---- */

struct put {
    const char *key;
    struct slice value, metadata;            /* metadata: JSON, "" if none */
    struct slice expiration, expiration_ttl; /* digits */
};

static void add_parameter(struct bytes *path, const char *name, struct slice value)
{
    if (value.len == 0)
        return;
    bytes_append_char(path, strchr(bytes_cstr(path), '?') ? '&' : '?');
    bytes_printf(path, "%s=", name);
    url_encode(value, path);
}

static int put_send(struct cli *cli, const char *space, const struct put *p)
{
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    struct reply reply;
    bytes_append_cstr(&path, key_path(cli, space, p->key));
    add_parameter(&path, "expiration", p->expiration);
    add_parameter(&path, "expiration_ttl", p->expiration_ttl);
    add_parameter(&path, "metadata", p->metadata);
    return client_send_bytes(cli, "PUT", bytes_cstr(&path), p->value, &reply);
}

static enum err read_all(const char *path, struct bytes *out, struct error *ret_error)
{
    enum { FILE_BYTES_MAX = 1 << 30 };
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!f) {
        error_set(ret_error, ERR_NOT_FOUND, "cannot read %.300s: %s", path, strerror(errno));
        error_hint(ret_error, "- reads standard input");
        return ERR_NOT_FOUND;
    }
    char buffer[64 * 1024];
    size_t n;
    while (out->len < FILE_BYTES_MAX && (n = fread(buffer, 1, sizeof(buffer), f)) > 0)
        bytes_append(out, buffer, n);
    if (f != stdin)
        fclose(f);
    return OK;
}

static struct slice flag_value(const struct cli *cli, const char *flag)
{
    const char *value = args_get(&cli->args, flag);
    return slice_cstr(value ? value : "");
}

int cmd_kv_put(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes file = BYTES_INIT;
    const struct args *args = &cli->args;
    const char *path = args_get(args, "--path");
    struct error error = {0};
    if ((args->positional_len == 3) == (path != NULL)) {
        error_set(&error, ERR_INVALID, "the value is %s", path ? "said twice" : "not said");
        error_hint(&error, "give VALUE, or --path FILE");
        return say_error(cli->is_json, &error, EXIT_USAGE);
    }
    if (path && read_all(path, &file, &error))
        return say_error(cli->is_json, &error, EXIT_FAILED);
    const struct put p = {
        .key = args->positional[1],
        .value = path ? bytes_slice(&file) : slice_cstr(args->positional[2]),
        .metadata = flag_value(cli, "--metadata"),
        .expiration = flag_value(cli, "--expiration"),
        .expiration_ttl = flag_value(cli, "--ttl"),
    };
    int code = put_send(cli, args->positional[0], &p);
    if (!code)
        say_progress(cli->is_json, "set %s", p.key);
    return code;
}

int cmd_kv_delete(struct cli *cli)
{
    struct reply reply;
    const char *key = cli->args.positional[1];
    int code = client_send(cli, "DELETE", key_path(cli, cli->args.positional[0], key), SLICE_EMPTY,
                           0, &reply);
    if (!code)
        say_progress(cli->is_json, "deleted %s", key);
    return code;
}

/* ---- export ---- */

struct export {
    const char *space;
    int code; /* of what failed */
};

static void value_json(struct cli *cli, struct json_writer *w, struct slice value)
{
    json_key(w, "value");
    if (slice_is_utf8(value)) {
        json_slice(w, value);
        return;
    }
    unsigned char *text = arena_alloc(cli->arena, value.len / 3 * 4 + 5);
    const int len = EVP_EncodeBlock(text, (const unsigned char *)value.ptr, (int)value.len);
    json_slice(w, slice_of((const char *)text, (size_t)len));
    json_key(w, "base64");
    json_bool(w, true);
}

/* A key that has gone meanwhile is left out. */
static void export_key(struct cli *cli, const struct body_value *item, void *arg)
{
    struct export *e = arg;
    CLEANUP(bytes_done) struct bytes line = BYTES_INIT;
    struct reply reply;
    const char *key = arena_cstr(cli->arena, json_text(cli, item, "name"));
    if (e->code)
        return;
    e->code = client_call(cli, "GET", key_path(cli, e->space, key), SLICE_EMPTY, &reply);
    if (e->code || reply.status == 404)
        return;
    if (reply.status != 200) {
        e->code = client_refused(cli, &reply);
        return;
    }
    struct body_value metadata = json_member(item, "metadata");
    struct json_writer w = json_writer(&line);
    json_open(&w, '{');
    json_key(&w, "key");
    json_cstr(&w, key);
    value_json(cli, &w, reply.text);
    if (json_number(item, "expiration")) {
        json_key(&w, "expiration");
        json_int(&w, json_number(item, "expiration"));
    }
    if (metadata.kind != BODY_NULL) {
        json_key(&w, "metadata");
        json_raw(&w, metadata.text);
    }
    json_close(&w, '}');
    printf("%s\n", bytes_cstr(&line));
}

int cmd_kv_export(struct cli *cli)
{
    struct export e = {.space = cli->args.positional[0]};
    const char *path = keys_path(cli);
    bool is_json = cli->is_json;
    cli->is_json = false; /* lines in any case */
    int code = client_each(cli, path, export_key, &e);
    cli->is_json = is_json;
    return code ? code : e.code;
}

/* ---- import ---- */

static enum err item_value(struct cli *cli, const struct body_value *item, struct slice *ret_value,
                           struct error *ret_error)
{
    struct body_value value = json_member(item, "value");
    *ret_value = json_text(cli, item, "value");
    if (value.kind != BODY_STRING)
        return error_set(ret_error, ERR_INVALID, "a key has no text \"value\"");
    if (!slice_eq_cstr(json_member(item, "base64").text, "true"))
        return OK;
    struct slice text = slice_trim(*ret_value);
    unsigned char *bytes = arena_alloc(cli->arena, text.len + 4);
    int len = text.len % 4 == 0 && text.len < INT32_MAX
                  ? EVP_DecodeBlock(bytes, (const unsigned char *)text.ptr, (int)text.len)
                  : -1;
    if (len < 0)
        return error_set(ret_error, ERR_INVALID, "a value is no base64");
    for (size_t k = text.len; k > 0 && text.ptr[k - 1] == '=' && len > 0; k--)
        len--;
    *ret_value = slice_of((const char *)bytes, (size_t)len);
    return OK;
}

static int import_item(struct cli *cli, const char *space, const struct body_value *item)
{
    struct error error = {0};
    struct put p = {.key = arena_cstr(cli->arena, json_text(cli, item, "key")),
                    .expiration = json_text(cli, item, "expiration"),
                    .expiration_ttl = json_text(cli, item, "expiration_ttl")};
    struct body_value metadata = json_member(item, "metadata");
    if (metadata.kind != BODY_NULL)
        p.metadata = metadata.text;
    enum err err = item->kind == BODY_OBJECT && *p.key
                       ? item_value(cli, item, &p.value, &error)
                       : error_set(&error, ERR_INVALID, "an item is no object with a \"key\"");
    if (err) {
        error_hint(&error, "an item is {\"key\": \"text\", \"value\": \"text\"}");
        return say_error(cli->is_json, &error, EXIT_FAILED);
    }
    return put_send(cli, space, &p);
}

/* Each value of the text: of an array its items. */
static int import_text(struct cli *cli, const char *space, struct slice text, size_t *count)
{
    struct error error = {0};
    struct body_value root, item;
    int code = EXIT_OK;
    if (body_parse(text, &root, &error))
        return say_error(cli->is_json, &error, EXIT_FAILED);
    if (root.kind != BODY_ARRAY) {
        *count += 1;
        return import_item(cli, space, &root);
    }
    for (struct body_walk walk = body_walk(&root); !code && body_next_item(&walk, &item);) {
        code = import_item(cli, space, &item);
        *count += !code;
    }
    return code;
}

int cmd_kv_import(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    const struct args *args = &cli->args;
    struct error error = {0};
    size_t count = 0;
    int code = EXIT_OK;
    if (read_all(args->positional_len > 1 ? args->positional[1] : "-", &text, &error))
        return say_error(cli->is_json, &error, EXIT_FAILED);
    struct slice rest = slice_trim(bytes_slice(&text));
    if (rest.len > 0 && rest.ptr[0] == '[')
        code = import_text(cli, args->positional[0], rest, &count);
    else
        while (!code && rest.len > 0) {
            struct slice line = slice_trim(slice_split(&rest, '\n'));
            if (line.len > 0)
                code = import_text(cli, args->positional[0], line, &count);
        }
    say_progress(cli->is_json, "set %zu keys", count);
    return code;
}
