/* SPDX-License-Identifier: Apache-2.0
 *
 * HTMLRewriter: a document (html.h) for each transform() that is under way. It is one of the guest's open
 * codecs: its memory is charged to the guest, and it ends with the context whose code made it, also in
 * the middle of a handler. Nothing waits here: that a handler takes its time means that the guest
 * does not call again until then. */
#include "host/internal.h"

#include <stdlib.h>

#include "base/limits.h"
#include "host/html.h"

enum err op_html_selector(struct guest *g, const struct op_html_selector_args *a)
{
    return html_selector(a->selector, &g->op_error);
}

static bool take_u32(struct slice *from, uint32_t *ret)
{
    if (from->len < sizeof(*ret))
        return false;
    memcpy(ret, from->ptr, sizeof(*ret));
    *ret = le32toh(*ret);
    *from = slice_skip(*from, sizeof(*ret));
    return true;
}

/* False: it is not packed as ops.def says. */
static bool take_handler(struct slice *from, struct deps_html_handler *ret)
{
    uint32_t has_selector, len;
    *ret = (struct deps_html_handler){0};
    if (!take_u32(from, &ret->id) || !take_u32(from, &ret->kinds) || !take_u32(from, &has_selector))
        return false;
    if (!has_selector)
        return true;
    if (!take_u32(from, &len) || len > from->len)
        return false;
    ret->selector = from->ptr;
    ret->selector_len = len;
    *from = slice_skip(*from, len);
    return true;
}

static enum err document_new(struct guest *g, struct open_codec *o,
                             const struct op_html_new_args *a)
{
    size_t len = 0;
    struct slice rest = a->handlers;
    struct deps_html_handler *handlers = calloc(LIMIT_HTML_HANDLERS, sizeof(*handlers));
    if (!handlers)
        check_out_of_memory(LIMIT_HTML_HANDLERS * sizeof(*handlers));
    enum err err = OK;
    while (err == OK && rest.len > 0) {
        if (len == LIMIT_HTML_HANDLERS)
            err = op_refuse(g, ERR_LIMIT, "an HTMLRewriter has more than %d handlers",
                            LIMIT_HTML_HANDLERS);
        else if (!take_handler(&rest, &handlers[len++]))
            err = op_refuse(g, ERR_INVALID, "handlers are not packed well");
    }
    const struct coding_memory memory = open_codec_memory(o);
    if (err == OK)
        err = html_new(g->host->fiber_runner, a->encoding, handlers, len, &memory, &o->html,
                       &g->op_error);
    free(handlers);
    return err;
}

enum err op_html_new(struct guest *g, const struct op_html_new_args *a)
{
    if (g->rewriters_open >= LIMIT_GUEST_REWRITERS)
        return op_refuse(g, ERR_LIMIT,
                         "%d HTML documents are being rewritten already; read the body of one to "
                         "its end, or cancel it",
                         LIMIT_GUEST_REWRITERS);
    struct open_codec *o = open_codec_new(g);
    if (!o)
        return g->op_error.code;
    enum err err = document_new(g, o, a);
    if (err != OK) {
        free(o);
        return err;
    }
    open_codec_add(o);
    const double id = o->id;
    bytes_append(&g->result, &id, sizeof(id));
    return OK;
}

/* NULL: the op is refused. */
static struct open_codec *document_find(struct guest *g, uint32_t id)
{
    struct open_codec *o = open_codec_find(g, id);
    if (!o || o->html)
        return o;
    (void)op_refuse(g, ERR_INVALID, "this is no HTML document");
    return NULL;
}

enum err op_html_run(struct guest *g, const struct op_html_run_args *a)
{
    enum { HEAD_BYTES = 16 };
    struct open_codec *o = document_find(g, a->html);
    if (!o)
        return g->op_error.code;
    if (a->data.len > ABI_CODEC_BYTES)
        return op_refuse(g, ERR_INVALID, "a piece of HTML has %zu bytes, more than %d", a->data.len,
                         ABI_CODEC_BYTES);
    size_t len = 0;
    struct html_result r;
    bytes_reserve(&g->result, HEAD_BYTES + ABI_CODEC_BYTES);
    enum err err = html_run(o->html, a->data, a->is_last != 0, g->result.ptr + HEAD_BYTES,
                            ABI_CODEC_BYTES, &len, &r, &g->op_error);
    if (err != OK) {
        open_codec_free(o);
        return err;
    }
    bytes_append_u32(&g->result, (uint32_t)r.status);
    bytes_append_u32(&g->result, (uint32_t)r.taken);
    bytes_append_u32(&g->result, r.id);
    bytes_append_u32(&g->result, r.kind);
    g->result.len += len;
    return OK;
}

enum err op_html_ask(struct guest *g, const struct op_html_ask_args *a)
{
    struct open_codec *o = document_find(g, a->html);
    if (!o)
        return g->op_error.code;
    const struct deps_html_ask ask = {a->what,  a->flags, a->id,   a->a.ptr,
                                      a->a.len, a->b.ptr, a->b.len};
    return html_ask(o->html, &ask, &g->result, &g->op_error);
}

enum err op_html_end(struct guest *g, const struct op_html_end_args *a)
{
    struct open_codec *o = document_find(g, a->html);
    if (o)
        open_codec_free(o);
    return OK; /* it may have failed */
}
