/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.x request parsing without I/O: bytes go in, events come out one at a time. The framing is
 * llhttp's (strict); this file adds what llhttp lets pass: line ends inside a head must be CR LF,
 * folded headers are refused, and the sizes are bounded.
 *
 * A head is described by offsets into the bytes it was read from, so that these may move between
 * two calls while the head is incomplete (its bytes must then stay contiguous). Any thread. */
#pragma once

#include <llhttp/llhttp.h>

#include "base/limits.h"
#include "base/slice.h"

enum h1_event {
    H1_MORE,  /* all bytes were used up; more are needed */
    H1_HEAD,  /* a head is complete: see the head, has_body, content_length */
    H1_BODY,  /* body bytes: see body, borrowed from the input */
    H1_END,   /* the end of a request whose H1_HEAD said has_body */
    H1_FAULT, /* the peer broke the protocol: see fault; nothing more can be parsed */
};

enum h1_fault {
    H1_FAULT_MALFORMED, /* 400 */
    H1_FAULT_METHOD,    /* 501: a token, but no method we know */
    H1_FAULT_VERSION,   /* 505 */
    H1_FAULT_HEADERS,   /* 431: too many header lines */
    H1_FAULT_TARGET,    /* 414: target too long */
};

struct h1_span {
    uint32_t off, len;
};

/* Where the pieces of a head lie, as offsets from its first byte. */
struct h1_head {
    struct h1_span target;
    uint32_t lines_len;
    struct {
        struct h1_span name, value;
    } lines[LIMIT_HTTP_HEADERS];
};

struct h1_parser {
    llhttp_t ll;
    struct h1_head *head; /* the one being filled, for the time of a call */
    const char *base;     /* first byte of that head, for the time of a call */
    struct slice body;
    bool has_body, is_chunked;
    bool is_in_head; /* bytes of a head have been seen, its end has not */
    int version;     /* 10 or 11 */
    int64_t content_length;
    enum h1_fault fault;
    const char *fault_text; /* static */
    enum h1_event event;    /* private */
};

void h1_parser_init(struct h1_parser *p);

/* Parses from *input, which is advanced, up to the next event. base is the address of the first
 * byte of the current head: that of input where a new request starts, an earlier one when its head
 * arrives in pieces. Outside of heads base is not used. Call until H1_MORE even if input is empty.
 */
enum h1_event h1_parse(struct h1_parser *p, struct h1_head *head, const char *base,
                       struct slice *input);

const char *h1_method(const struct h1_parser *p); /* "GET", static */
bool h1_keeps_alive(const struct h1_parser *p);   /* valid from H1_HEAD until the next call */
