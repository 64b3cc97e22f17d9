/* SPDX-License-Identifier: Apache-2.0
 *
 * See dev.h. Pages wait for a reload by server-sent events, at a port of this process: whatever the
 * project serves, that connection stays. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/dev.h"
#include "cli/say.h"

int dev_page_open(struct cli *cli, struct dev_page *ret_page)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    struct error error = {0};
    *ret_page = (struct dev_page){
        .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    for (int i = 0; i < DEV_PAGES_MAX; i++)
        ret_page->clients[i] = -1;
    if (ret_page->listener < 0 || bind(ret_page->listener, (struct sockaddr *)&at, len) ||
        listen(ret_page->listener, 16) ||
        getsockname(ret_page->listener, (struct sockaddr *)&at, &len)) {
        error_set(&error, ERR_IO, "cannot listen for pages: %m");
        return say_error(cli->is_json, &error, EXIT_FAILED);
    }
    ret_page->port = ntohs(at.sin_port);
    return EXIT_OK;
}

void dev_page_close(struct dev_page *p)
{
    for (int i = 0; i < DEV_PAGES_MAX; i++)
        if (p->clients[i] >= 0)
            close(p->clients[i]);
    close(p->listener);
}

void dev_page_accept(struct dev_page *p)
{
    static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                               "cache-control: no-store\r\naccess-control-allow-origin: *\r\n"
                               "connection: close\r\n\r\nretry: 500\n\n";
    static int next;
    for (int fd; (fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
        int *slot = &p->clients[next++ % DEV_PAGES_MAX]; /* the oldest page goes */
        if (*slot >= 0)
            close(*slot);
        *slot = fd;
        if (send(fd, head, sizeof(head) - 1, MSG_NOSIGNAL) < 0) {
            close(fd);
            *slot = -1;
        }
    }
}

void dev_page_reload(struct dev_page *p)
{
    static const char event[] = "data: reload\n\n";
    dev_page_accept(p); /* who came while it was built has the old page */
    for (int i = 0; i < DEV_PAGES_MAX; i++) {
        if (p->clients[i] < 0 || send(p->clients[i], event, sizeof(event) - 1, MSG_NOSIGNAL) >= 0)
            continue;
        close(p->clients[i]);
        p->clients[i] = -1;
    }
}

const char *dev_page_script(struct arena *a, const struct dev_page *p)
{
    return arena_printf(a,
                        "<script>new EventSource(\"http://127.0.0.1:%d/\").onmessage=()=>"
                        "location.reload()</script>",
                        p->port);
}

void dev_page_entry(const char *main, const char *script, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes name = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes html = BYTES_INIT;
    json_quote(&name, slice_cstr(main));
    json_quote(&html, slice_cstr(script));
    bytes_printf(out, "import * as module from %s;\nexport * from %s;\nconst script = %s;\n",
                 bytes_cstr(&name), bytes_cstr(&name), bytes_cstr(&html));
    bytes_append_cstr(
        out,
        "const live = (response) => {\n"
        "  if (!(response instanceof Response) || !response.body || "
        "response.headers.has(\"content-encoding\")) return response;\n"
        "  if (!/^text\\/html/i.test(response.headers.get(\"content-type\") ?? \"\")) return "
        "response;\n"
        "  const headers = new Headers(response.headers);\n"
        "  headers.delete(\"content-length\");\n"
        "  const end = new TransformStream({ transform(chunk, c) { c.enqueue(chunk); }, flush(c) { "
        "c.enqueue(new TextEncoder().encode(script)); } });\n"
        "  const { status, statusText } = response;\n"
        "  return new Response(response.body.pipeThrough(end), { status, statusText, headers });\n"
        "};\n"
        "const main = module[\"default\"];\n"
        "const wrap = (owner, f) => async (...args) => live(await f.apply(owner, args));\n"
        "const isClass = (f) => /^class\\b/.test(Function.prototype.toString.call(f));\n"
        "export default typeof main === \"function\" && !isClass(main) ? wrap(undefined, main)\n"
        "  : main && typeof main === \"object\" && typeof main.fetch === \"function\"\n"
        "  ? new Proxy(main, { get: (o, k) => { const v = o[k]; return typeof v !== \"function\" ? "
        "v : k === \"fetch\" ? wrap(o, v) : v.bind(o); } })\n"
        "  : main;\n");
}

static void append_html(struct bytes *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (c == '<')
            bytes_append_cstr(out, "&lt;");
        else if (c == '&')
            bytes_append_cstr(out, "&amp;");
        else
            bytes_append_char(out, c);
    }
}

void dev_page_problem(const struct build_problem *why, const char *script, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes html = BYTES_INIT;
    bytes_append_cstr(
        &html,
        "<!doctype html><meta charset=utf-8><title>It does not build</title><style>"
        "body{font:16px/1.5 system-ui,sans-serif;margin:3em auto;max-width:60em;padding:0 1em}"
        "h1{font-size:1.2em;color:#b00020}pre{background:#f4f4f4;padding:1em;overflow:auto}"
        "</style><h1>");
    append_html(&html, why->message);
    bytes_append_cstr(&html, "</h1>");
    if (why->file.len > 0) {
        bytes_append_cstr(&html, "<p>");
        append_html(&html, why->file);
        if (why->line > 0)
            bytes_printf(&html, ":%lld:%lld", (long long)why->line, (long long)why->column);
    }
    if (why->frame.len > 0) {
        bytes_append_cstr(&html, "<pre>");
        append_html(&html, why->frame);
        bytes_append_cstr(&html, "</pre>");
    }
    bytes_append_cstr(&html, "<p>");
    append_html(&html, why->hint);
    bytes_append_cstr(&html, script);
    bytes_append_cstr(out, "const html = ");
    json_quote(out, bytes_slice(&html));
    bytes_append_cstr(out,
                      ";\nexport default { fetch: () => new Response(html, { status: 500, headers: "
                      "{ \"content-type\": \"text/html; charset=utf-8\", \"cache-control\": "
                      "\"no-store\" } }) };\n");
}
