/* SPDX-License-Identifier: Apache-2.0
 *
 * One request, one easy handle. A server on this machine is never asked through a proxy. */
#include "cli/client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/access.h"
#include "admin/names.h"
#include "base/module_name.h"
#include "cli/say.h"
#include "http/url.h"

enum { CLIENT_CONNECT_MS = 5000, CLIENT_REPLY_BYTES_MAX = 256 * 1024 * 1024 };

struct transfer {
    struct cli *cli;
    struct bytes body;
    bool is_binary;                                      /* what is sent */
    const char *next;                                    /* of the Link header */
    void (*on_line)(struct cli *cli, struct slice line); /* NULL: collect */
    CURL *curl;
};

static void feed_lines(struct transfer *t)
{
    for (;;) {
        ptrdiff_t end = slice_find(bytes_slice(&t->body), '\n');
        if (end < 0)
            return;
        if (end > 0)
            t->on_line(t->cli, slice_of(t->body.ptr, (size_t)end));
        bytes_consume(&t->body, (size_t)end + 1);
    }
}

static size_t on_data(char *ptr, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    long status = 0;
    if (bytes_try_append(&t->body, ptr, size * count, CLIENT_REPLY_BYTES_MAX))
        return 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (t->on_line && status == 200)
        feed_lines(t);
    return size * count;
}

/* "</executions?cursor=x>; rel="next"" */
static size_t on_header(char *ptr, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    struct slice value = slice_of(ptr, size * count);
    struct slice name = slice_split(&value, ':');
    value = slice_trim(value);
    ptrdiff_t end = slice_find(value, '>');
    if (slice_eq_nocase(name, SLICE_LIT("link")) && end > 1 && value.ptr[0] == '<' &&
        memmem(value.ptr, value.len, "rel=\"next\"", 10))
        t->next = arena_cstr(t->cli->arena, slice_of(value.ptr + 1, (size_t)end - 1));
    return size * count;
}

/* The host of the server's URL is this machine. */
static bool is_local(const char *server)
{
    struct slice text = slice_cstr(server), host;
    int port;
    ptrdiff_t colon = slice_find(text, ':');
    text = slice_skip(text, colon < 0 ? 0 : (size_t)colon + 3);
    return !url_split_authority(slice_split(&text, '/'), 80, &host, &port) &&
           access_is_loopback(host);
}

static struct curl_slist *header_add(struct curl_slist *list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(list, text);
    CHECK(longer);
    return longer;
}

static int say_unreachable(struct cli *cli, CURLcode code, const char *detail)
{
    struct error e = {0};
    bool is_http =
        strncmp(cli->server, "http://", 7) == 0 || strncmp(cli->server, "https://", 8) == 0;
    if (code == CURLE_URL_MALFORMAT || !is_http) {
        error_set(&e, ERR_INVALID, "'%s' is not the URL of a server", cli->server);
        error_hint(&e, "write --server http://HOST:PORT");
        return say_error(cli->is_json, &e, EXIT_USAGE);
    }
    error_set(&e, ERR_NETWORK, "no answer from %s: %s", cli->server,
              detail[0] ? detail : curl_easy_strerror(code));
    if (code == CURLE_COULDNT_CONNECT)
        error_hint(&e, "start a server with 'limpet serve', or name one with --server or "
                       "LIMPET_SERVER");
    else
        error_hint(&e, "check --server or LIMPET_SERVER, and the server's log");
    return say_error(cli->is_json, &e, EXIT_UNREACHABLE);
}

static CURLcode perform(struct transfer *t, const char *method, const char *path, struct slice body,
                        char *detail, int *ret_status)
{
    struct cli *cli = t->cli;
    struct curl_slist *headers = NULL;
    long status = 0;
    t->curl = curl_easy_init();
    CHECK(t->curl);
    headers = header_add(headers, "Expect:"); /* no waiting for 100-continue */
    headers = header_add(headers, t->is_binary ? "Content-Type: application/octet-stream"
                                               : "Content-Type: application/json");
    if (cli->token)
        headers =
            header_add(headers, arena_printf(cli->arena, "Authorization: Bearer %s", cli->token));
    curl_easy_setopt(t->curl, CURLOPT_URL, arena_printf(cli->arena, "%s%s", cli->server, path));
    curl_easy_setopt(t->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(t->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(t->curl, CURLOPT_USERAGENT, "limpet/" LIMPET_VERSION);
    curl_easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CLIENT_CONNECT_MS);
    curl_easy_setopt(t->curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(t->curl, CURLOPT_HEADERDATA, t);
    if (is_local(cli->server))
        curl_easy_setopt(t->curl, CURLOPT_PROXY, "");
    if (body.len > 0 || t->is_binary) {
        curl_easy_setopt(t->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
        curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, body.ptr ? body.ptr : "");
    }
    CURLcode code = curl_easy_perform(t->curl);
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    *ret_status = (int)status;
    curl_slist_free_all(headers);
    curl_easy_cleanup(t->curl);
    t->curl = NULL;
    return code;
}

int client_refused(struct cli *cli, const struct reply *reply)
{
    struct body_value error = json_member(&reply->json, "error");
    int exit_code = reply->status == 404 ? EXIT_NOT_FOUND : EXIT_FAILED;
    if (error.kind == BODY_OBJECT && cli->is_json) {
        fprintf(stderr, "%.*s\n", SLICE_ARG(slice_trim(reply->text)));
        return exit_code;
    }
    struct error e = {0};
    if (error.kind != BODY_OBJECT) {
        error_set(&e, ERR_NETWORK, "%s answered with status %d, but not as a Limpet server does",
                  cli->server, reply->status);
        error_hint(&e, "check --server or LIMPET_SERVER");
        return say_error(cli->is_json, &e, EXIT_FAILED);
    }
    error_set(&e, error_from_text(arena_cstr(cli->arena, json_text(cli, &error, "code"))), "%.*s",
              SLICE_ARG(json_text(cli, &error, "message")));
    struct slice hint = json_text(cli, &error, "hint");
    if (hint.len > 0)
        error_hint(&e, "%.*s", SLICE_ARG(hint));
    return say_error(cli->is_json, &e, exit_code);
}

static int call(struct cli *cli, const char *method, const char *path, struct slice body,
                bool is_binary, struct reply *ret_reply)
{
    struct transfer t = {.cli = cli, .is_binary = is_binary};
    struct reply reply = {0};
    char detail[CURL_ERROR_SIZE] = "";
    CURLcode code = perform(&t, method, path, body, detail, &reply.status);
    reply.text = arena_copy(cli->arena, bytes_slice(&t.body));
    reply.next = t.next;
    bytes_done(&t.body);
    if (code)
        return say_unreachable(cli, code, detail);
    if (slice_trim(reply.text).len > 0 && body_parse(reply.text, &reply.json, NULL))
        reply.json = (struct body_value){0};
    *ret_reply = reply;
    return EXIT_OK;
}

int client_call(struct cli *cli, const char *method, const char *path, struct slice body,
                struct reply *ret_reply)
{
    return call(cli, method, path, body, false, ret_reply);
}

static int check_reply(struct cli *cli, const struct reply *reply, int expected_status)
{
    bool is_json = reply->json.text.len > 0;
    bool is_good = reply->status == 204 ||
                   (reply->status >= 200 && reply->status < 300 && is_json) ||
                   (expected_status != 0 && reply->status == expected_status && is_json);
    return is_good ? EXIT_OK : client_refused(cli, reply);
}

int client_send_bytes(struct cli *cli, const char *method, const char *path, struct slice body,
                      struct reply *ret_reply)
{
    int code = call(cli, method, path, body, true, ret_reply);
    return code ? code : check_reply(cli, ret_reply, 0);
}

int client_send(struct cli *cli, const char *method, const char *path, struct slice body,
                int expected_status, struct reply *ret_reply)
{
    struct reply reply = {0};
    int code = client_call(cli, method, path, body, &reply);
    if (code)
        return code;
    code = check_reply(cli, &reply, expected_status);
    if (code)
        return code;
    *ret_reply = reply;
    return EXIT_OK;
}

int client_follow(struct cli *cli, const char *path,
                  void (*on_line)(struct cli *cli, struct slice line))
{
    struct transfer t = {.cli = cli, .on_line = on_line};
    struct reply reply = {0};
    char detail[CURL_ERROR_SIZE] = "";
    CURLcode code = perform(&t, "GET", path, SLICE_EMPTY, detail, &reply.status);
    reply.text = arena_copy(cli->arena, bytes_slice(&t.body));
    bytes_done(&t.body);
    if (code)
        return say_unreachable(cli, code, detail);
    if (reply.status == 200)
        return EXIT_OK;
    if (reply.text.len == 0 || body_parse(reply.text, &reply.json, NULL))
        reply.json = (struct body_value){0};
    return client_refused(cli, &reply);
}

static const char *escape(struct cli *cli, const char *text)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    url_encode(slice_cstr(text), &out);
    return arena_cstr(cli->arena, bytes_slice(&out));
}

static const char *fill(struct cli *cli, const char *base, const char *format, const char *a,
                        const char *b)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    const char *const texts[] = {a, b};
    bytes_append_cstr(&out, base);
    size_t used = 0;
    for (const char *p = format; *p; p++) {
        if (p[0] != '%' || p[1] != 's') {
            bytes_append_char(&out, *p);
            continue;
        }
        CHECK(used < ARRAY_LEN(texts) && texts[used]);
        bytes_append_cstr(&out, escape(cli, texts[used++]));
        p++;
    }
    return arena_cstr(cli->arena, bytes_slice(&out));
}

const char *client_path(struct cli *cli, const char *format, const char *a, const char *b)
{
    bool is_whole = format[0] == '/';
    const char *base =
        is_whole && cli->space ? arena_printf(cli->arena, "/namespaces/%s", cli->space) : "";
    return fill(cli, base, format, a, b);
}

const char *client_server_path(struct cli *cli, const char *format, const char *a)
{
    return fill(cli, "", format, a, NULL);
}

const char *client_name(struct cli *cli, const char *name)
{
    const char *slash = strchr(name, '/');
    if (!slash)
        return name;
    struct slice space = slice_of(name, (size_t)(slash - name));
    const char *before = cli->space ? cli->space : NAMESPACE_DEFAULT;
    bool is_given = args_has(&cli->args, "--namespace");
    if (!names_check_namespace(space, NULL) && (!is_given || slice_eq_cstr(space, before))) {
        cli->space = namespace_is_default(space) ? NULL : arena_cstr(cli->arena, space);
        return slash + 1;
    }
    return name;
}

const char *client_object_path(struct cli *cli, const char *name, const char *rest, const char *b)
{
    name = client_name(cli, name);
    return client_path(cli, arena_printf(cli->arena, "/%ss/%%s%s", cli_word(cli), rest), name, b);
}

void reply_print(const struct reply *reply)
{
    fwrite(reply->text.ptr, 1, reply->text.len, stdout);
    if (reply->text.len > 0 && reply->text.ptr[reply->text.len - 1] != '\n')
        putchar('\n');
}

/* ---- lists ---- */

/* What stands between the brackets of a page, behind that of the pages before. */
static void print_items(const struct body_value *page, bool *has_printed)
{
    struct slice items = slice_trim(slice_of(page->text.ptr + 1, page->text.len - 2));
    if (items.len > 0)
        printf("%s%.*s", *has_printed ? "," : "", SLICE_ARG(items));
    *has_printed |= items.len > 0;
}

struct each {
    void (*on_item)(struct cli *cli, const struct body_value *item, void *arg);
    void *arg;
    bool has_printed;
};

static void each_page(struct cli *cli, const struct reply *reply, struct each *e)
{
    if (cli->is_json) {
        print_items(&reply->json, &e->has_printed);
        return;
    }
    struct body_walk walk = body_walk(&reply->json);
    struct body_value item;
    while (body_next_item(&walk, &item))
        e->on_item(cli, &item, e->arg);
}

int client_each(struct cli *cli, const char *path,
                void (*on_item)(struct cli *cli, const struct body_value *item, void *arg),
                void *arg)
{
    struct arena *whole = cli->arena, *last = arena_new(NULL); /* path lies in the last page's */
    struct each e = {.on_item = on_item, .arg = arg};
    int code = EXIT_OK;
    for (bool is_first = true; !code && path; is_first = false) {
        struct reply reply = {0};
        cli->arena = arena_new(NULL);
        code = client_send(cli, "GET", path, SLICE_EMPTY, 0, &reply);
        if (!code && reply.json.kind != BODY_ARRAY)
            code = client_refused(cli, &reply);
        if (!code && cli->is_json && is_first)
            putchar('[');
        if (!code)
            each_page(cli, &reply, &e);
        path = code ? NULL : reply.next;
        arena_free(last);
        last = cli->arena;
    }
    arena_free(last);
    cli->arena = whole;
    if (!code && cli->is_json)
        printf("]\n");
    return code;
}

struct list_rows {
    const struct client_list *list;
    struct table table;
    size_t count;
};

static void add_row(struct cli *cli, const struct body_value *item, void *arg)
{
    struct list_rows *rows = arg;
    rows->list->row(cli, &rows->table, item);
    rows->count++;
}

static void print_table(const struct list_rows *rows)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    if (rows->count == 0 && rows->list->empty) {
        say_progress(false, "%s", rows->list->empty);
        return;
    }
    table_write(&rows->table, &out);
    fputs(bytes_cstr(&out), stdout);
}

/* The first page only. */
static int add_page(struct cli *cli, struct list_rows *rows)
{
    struct reply reply = {0};
    int code = client_send(cli, "GET", rows->list->path, SLICE_EMPTY, 0, &reply);
    if (code)
        return code;
    if (reply.json.kind != BODY_ARRAY)
        return client_refused(cli, &reply);
    if (cli->is_json) {
        reply_print(&reply);
        return EXIT_OK;
    }
    struct body_walk walk = body_walk(&reply.json);
    struct body_value item;
    while (body_next_item(&walk, &item))
        add_row(cli, &item, rows);
    return EXIT_OK;
}

int client_list(struct cli *cli, const struct client_list *list)
{
    struct list_rows rows = {.list = list, .table = table_new(list->titles, list->columns)};
    int code = list->is_all ? client_each(cli, list->path, add_row, &rows) : add_page(cli, &rows);
    if (!code && !cli->is_json)
        print_table(&rows);
    table_done(&rows.table);
    return code;
}

/* ---- reading ---- */

struct body_value json_member(const struct body_value *v, const char *name)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    struct body_value member;
    if (v->kind == BODY_OBJECT) {
        struct body_walk walk = body_walk(v);
        while (body_next_member(&walk, &key, &member)) {
            if (slice_eq_cstr(bytes_slice(&key), name))
                return member;
        }
    }
    return (struct body_value){0};
}

struct slice json_text(struct cli *cli, const struct body_value *v, const char *name)
{
    struct body_value member = json_member(v, name);
    if (member.kind == BODY_NULL)
        return SLICE_EMPTY;
    if (member.kind != BODY_STRING)
        return member.text;
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    body_string(&member, &text);
    return arena_copy(cli->arena, bytes_slice(&text));
}

int64_t json_number(const struct body_value *v, const char *name)
{
    struct body_value member = json_member(v, name);
    uint64_t value;
    return body_uint(&member, &value) && value <= INT64_MAX ? (int64_t)value : 0;
}

double json_decimal(const struct body_value *v, const char *name)
{
    struct body_value member = json_member(v, name);
    char text[64];
    if (member.kind != BODY_NUMBER || member.text.len >= sizeof(text))
        return -1;
    memcpy(text, member.text.ptr, member.text.len);
    text[member.text.len] = '\0';
    return strtod(text, NULL);
}

struct slice json_exception(struct cli *cli, const struct body_value *error)
{
    struct slice name = json_text(cli, error, "name"), message = json_text(cli, error, "message");
    if (name.len == 0 || slice_starts(message, name))
        return message;
    return slice_cstr(arena_printf(cli->arena, "%.*s: %.*s", SLICE_ARG(name), SLICE_ARG(message)));
}

static void new_line(struct bytes *out, size_t depth)
{
    bytes_append_char(out, '\n');
    for (size_t i = 0; i < depth; i++)
        bytes_append_cstr(out, "  ");
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

void json_indent(struct slice json, struct bytes *out)
{
    size_t depth = 0;
    bool is_quoted = false;
    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i];
        if (is_quoted) {
            bytes_append_char(out, c);
            if (c == '\\' && i + 1 < json.len)
                bytes_append_char(out, json.ptr[++i]);
            is_quoted = c != '"';
            continue;
        }
        if (is_space(c))
            continue;
        is_quoted = c == '"';
        if (c == '{' || c == '[') {
            size_t next = i + 1;
            while (next < json.len && is_space(json.ptr[next]))
                next++;
            bytes_append_char(out, c);
            if (next < json.len && (json.ptr[next] == '}' || json.ptr[next] == ']')) {
                bytes_append_char(out, json.ptr[next]);
                i = next;
            } else {
                new_line(out, ++depth);
            }
        } else if (c == '}' || c == ']') {
            new_line(out, depth > 0 ? --depth : 0);
            bytes_append_char(out, c);
        } else {
            bytes_append_char(out, c);
            if (c == ',')
                new_line(out, depth);
            else if (c == ':')
                bytes_append_char(out, ' ');
        }
    }
}
