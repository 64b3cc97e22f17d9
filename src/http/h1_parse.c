/* SPDX-License-Identifier: Apache-2.0
 *
 * llhttp made into a pull parser: each of its callbacks that matters pauses it, and the pause is
 * the event. A request without a body costs one pause. See the header for the contract.
 *
 * Why llhttp is not trusted alone: its 8.x line ends a header at a CR without LF in some states,
 * which lets two parsers in a chain see different headers. Since a head is contiguous here, the
 * gaps between its spans are compared with what they must be, whatever the state machine thought.
 */
#include "http/h1_parse.h"

#include <string.h>

#include "base/check.h"
#include "http/grammar.h"

static void parser_fault(struct h1_parser *p, enum h1_fault fault, const char *text)
{
    p->event = H1_FAULT;
    p->fault = fault;
    p->fault_text = text;
}

/* Opens or extends a span. Pieces of one span are adjacent: the head is contiguous. */
static bool span_extend(struct h1_parser *p, struct h1_span *span, const char *at, size_t len)
{
    uint32_t off = (uint32_t)(at - p->base);
    if (span->len == 0) {
        span->off = off;
        span->len = (uint32_t)len;
        return true;
    }
    if (span->off + span->len != off)
        return false;
    span->len += (uint32_t)len;
    return true;
}

static int on_message_begin(llhttp_t *ll)
{
    struct h1_parser *p = ll->data;
    p->is_in_head = true;
    p->head->target = (struct h1_span){0};
    p->head->lines_len = 0;
    p->head->lines[0].name = (struct h1_span){0};
    return 0;
}

static int on_url(llhttp_t *ll, const char *at, size_t len)
{
    struct h1_parser *p = ll->data;
    if (!len)
        return 0;
    (void)span_extend(p, &p->head->target, at, len); /* a target has no gaps */
    if (p->head->target.len > LIMIT_HTTP_TARGET_BYTES) {
        parser_fault(p, H1_FAULT_TARGET, "the request target is too long");
        return HPE_USER;
    }
    return 0;
}

/* The trailers of a chunked body come through these callbacks too: llhttp checks them, nobody wants
 * them, so they are dropped. */
static int on_header_field(llhttp_t *ll, const char *at, size_t len)
{
    struct h1_parser *p = ll->data;
    if (!p->is_in_head)
        return 0;
    struct h1_head *head = p->head;
    /* lines_len counts finished names, so that a name in two pieces stays one. */
    if (head->lines_len == LIMIT_HTTP_HEADERS) {
        parser_fault(p, H1_FAULT_HEADERS, "the request has too many header lines");
        return HPE_USER;
    }
    if (len)
        (void)span_extend(p, &head->lines[head->lines_len].name, at, len);
    return 0;
}

static int on_header_field_complete(llhttp_t *ll)
{
    struct h1_parser *p = ll->data;
    if (!p->is_in_head)
        return 0;
    p->head->lines[p->head->lines_len++].value = (struct h1_span){0};
    if (p->head->lines_len < LIMIT_HTTP_HEADERS)
        p->head->lines[p->head->lines_len].name = (struct h1_span){0};
    return 0;
}

static int on_header_value(llhttp_t *ll, const char *at, size_t len)
{
    struct h1_parser *p = ll->data;
    if (!p->is_in_head)
        return 0;
    if (!len)
        return 0;
    if (!span_extend(p, &p->head->lines[p->head->lines_len - 1].value, at, len)) {
        parser_fault(p, H1_FAULT_MALFORMED, "a header is folded over more than one line");
        return HPE_USER;
    }
    return 0;
}

static int on_headers_complete(llhttp_t *ll)
{
    struct h1_parser *p = ll->data;
    /* Upgrades and CONNECT are not spoken here: what follows stays HTTP. */
    ll->upgrade = 0;
    bool is_chunked = ll->flags & F_CHUNKED;
    p->is_chunked = is_chunked;
    p->version = ll->http_major * 10 + ll->http_minor;
    p->has_body = is_chunked || ((ll->flags & F_CONTENT_LENGTH) && ll->content_length > 0) ||
                  (ll->flags & F_TRANSFER_ENCODING);
    p->content_length =
        !is_chunked && (ll->flags & F_CONTENT_LENGTH) ? (int64_t)ll->content_length : -1;
    p->is_in_head = false;
    if (!p->has_body)
        return 0; /* on_message_complete follows at once and gives H1_HEAD */
    p->event = H1_HEAD;
    return HPE_PAUSED;
}

static int on_body(llhttp_t *ll, const char *at, size_t len)
{
    struct h1_parser *p = ll->data;
    if (!len)
        return 0;
    p->body = (struct slice){at, len};
    p->event = H1_BODY;
    return HPE_PAUSED;
}

static int on_message_complete(llhttp_t *ll)
{
    struct h1_parser *p = ll->data;
    p->event = p->has_body ? H1_END : H1_HEAD;
    return HPE_PAUSED;
}

static const llhttp_settings_t parser_settings = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void h1_parser_init(struct h1_parser *p)
{
    memset(p, 0, sizeof(*p));
    llhttp_init(&p->ll, HTTP_REQUEST, &parser_settings);
    p->ll.data = p;
}

static bool gap_is_blank(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    return p == end;
}

/* The gaps between the spans are exactly what the grammar wants; no CR, LF or NUL hides in one. */
static bool head_is_strict(const struct h1_head *head, const char *base, const char *end)
{
    const char *at = base + head->target.off + head->target.len;
    /* llhttp skips more than one space in front of a target. */
    if (head->target.off < 2 || base[head->target.off - 2] == ' ')
        return false;
    if (end - at < 11 || memcmp(at, " HTTP/1.", 8) != 0 || memcmp(at + 9, "\r\n", 2) != 0)
        return false;
    at += 11;
    for (uint32_t i = 0; i < head->lines_len; i++) {
        struct h1_span name = head->lines[i].name, value = head->lines[i].value;
        if (base + name.off != at || name.len == 0 || at[name.len] != ':')
            return false;
        at += name.len + 1;
        if (value.len) {
            if (base + value.off < at || !gap_is_blank(at, base + value.off) ||
                memchr(base + value.off, '\r', value.len) ||
                memchr(base + value.off, '\n', value.len) ||
                memchr(base + value.off, '\0', value.len))
                return false;
            at = base + value.off + value.len;
        }
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        if (end - at < 2 || memcmp(at, "\r\n", 2) != 0)
            return false;
        at += 2;
    }
    return end - at == 2 && memcmp(at, "\r\n", 2) == 0;
}

/* A method that llhttp does not know is 501 when the line looks like a request, else 400. */
static bool line_has_token_method(const char *base, const char *end)
{
    const char *at = base;
    while (at < end && (*at == '\r' || *at == '\n'))
        at++;
    const char *start = at;
    while (at < end && grammar_has(*at, GRAMMAR_TOKEN))
        at++;
    return at > start && at < end && *at == ' ';
}

static void fault_from_llhttp(struct h1_parser *p, llhttp_errno_t code, const char *base,
                              const char *end)
{
    if (code == HPE_USER && p->event == H1_FAULT)
        return; /* one of our own limits */
    switch (code) {
    case HPE_INVALID_METHOD:
        if (line_has_token_method(base, end))
            parser_fault(p, H1_FAULT_METHOD, "the method is not known here");
        else
            parser_fault(p, H1_FAULT_MALFORMED, "the request line is malformed");
        return;
    case HPE_PAUSED_H2_UPGRADE:
        parser_fault(p, H1_FAULT_MALFORMED, "the HTTP/2 preface is malformed");
        return;
    case HPE_INVALID_VERSION:
        parser_fault(p, H1_FAULT_VERSION, "this server speaks HTTP/1.0, HTTP/1.1 and HTTP/2");
        return;
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        parser_fault(p, H1_FAULT_MALFORMED,
                     "Content-Length comes twice or together with Transfer-Encoding");
        return;
    case HPE_INVALID_CONTENT_LENGTH:
        parser_fault(p, H1_FAULT_MALFORMED, "Content-Length is not a number");
        return;
    case HPE_INVALID_TRANSFER_ENCODING:
        parser_fault(p, H1_FAULT_MALFORMED, "Transfer-Encoding does not end in chunked");
        return;
    case HPE_INVALID_CHUNK_SIZE:
        parser_fault(p, H1_FAULT_MALFORMED, "a chunk size is malformed");
        return;
    case HPE_INVALID_HEADER_TOKEN:
    case HPE_UNEXPECTED_SPACE:
        parser_fault(p, H1_FAULT_MALFORMED, "a header has a character that is not allowed");
        return;
    case HPE_INVALID_URL:
        parser_fault(p, H1_FAULT_MALFORMED, "the request target is malformed");
        return;
    case HPE_CLOSED_CONNECTION:
        parser_fault(p, H1_FAULT_MALFORMED, "bytes follow a request that said Connection: close");
        return;
    default:
        parser_fault(p, H1_FAULT_MALFORMED, "the request is not valid HTTP/1.1");
    }
}

static void head_check(struct h1_parser *p, const char *base, const char *end)
{
    if (p->version != 10 && p->version != 11)
        parser_fault(p, H1_FAULT_VERSION, "this server speaks HTTP/1.0, HTTP/1.1 and HTTP/2");
    else if (!head_is_strict(p->head, base, end))
        parser_fault(p, H1_FAULT_MALFORMED,
                     "a line of the request head does not end in CR LF, or is folded");
}

enum h1_event h1_parse(struct h1_parser *p, struct h1_head *head, const char *base,
                       struct slice *input)
{
    const char *start = input->ptr ? input->ptr : "";
    p->head = head;
    p->base = base;
    p->event = H1_MORE;
    llhttp_errno_t code = llhttp_execute(&p->ll, start, input->len);
    if (code == HPE_OK) {
        *input = (struct slice){start + input->len, 0};
        return H1_MORE;
    }
    const char *end = start + input->len;
    if (code != HPE_PAUSED) {
        fault_from_llhttp(p, code, base ? base : start, end);
        return H1_FAULT;
    }
    CHECK(p->event != H1_MORE);
    const char *at = llhttp_get_error_pos(&p->ll);
    CHECK(at >= start && at <= end);
    *input = (struct slice){at, (size_t)(end - at)};
    llhttp_resume(&p->ll);
    if (p->event == H1_HEAD)
        head_check(p, base, at);
    return p->event;
}

const char *h1_method(const struct h1_parser *p)
{
    return llhttp_method_name((llhttp_method_t)p->ll.method);
}

bool h1_keeps_alive(const struct h1_parser *p)
{
    return llhttp_should_keep_alive(&p->ll);
}
