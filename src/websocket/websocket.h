/* SPDX-License-Identifier: Apache-2.0
 *
 * One end of a WebSocket (RFC 6455) with permessage-deflate (RFC 7692), sans-I/O: bytes in, messages out, and
 * bytes to be sent into a buffer. Frames are wslay's; what a sequence of frames may be, closing, texts and
 * compression are ours, so that nothing is buffered twice and closing is as Workers have it. What it holds is
 * asked of a coding_memory. One thread at a time; it may not be freed from inside of its events. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "coding/memory.h"

struct websocket;

enum websocket_role { WEBSOCKET_SERVER, WEBSOCKET_CLIENT };

/* Status codes of RFC 6455, 7.4.1, as far as they are said here. */
enum websocket_code {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL = 1002,
    WEBSOCKET_NO_STATUS = 1005, /* only in events: the close had no code */
    WEBSOCKET_ABNORMAL = 1006,  /* likewise: there was no close */
    WEBSOCKET_NO_TEXT = 1007,
    WEBSOCKET_TOO_LARGE = 1009,
    WEBSOCKET_INTERNAL = 1011,
};

/* What both sides have agreed on. Our own compressor never keeps its window from one message to the next: that
 * would be a quarter of a megabyte for each connection. */
struct websocket_deflate {
    bool is_on;
    bool keeps_in;  /* the other side's compressor does */
    int window_out; /* bits, 9 to 15; 0: 15 */
};

struct websocket_events {
    /* A whole message, borrowed; a text is UTF-8. */
    void (*message)(void *user, bool is_text, struct slice data);
    /* The other side closes. Once; no more messages come. code: WEBSOCKET_NO_STATUS if it said none. */
    void (*closed)(void *user, uint16_t code, struct slice reason);
    /* It has broken the rules, or this end has no memory left: a close with this code is in the output, and
     * what comes is not looked at any more. */
    void (*failed)(void *user, uint16_t code, const char *why);
};

/* message_max: bytes of one message that comes. memory and events outlive it. */
struct websocket *websocket_new(enum websocket_role role, const struct websocket_deflate *deflate,
                                size_t message_max, struct coding_memory *memory,
                                const struct websocket_events *events, void *user);
void websocket_free(struct websocket *w); /* NULL is fine */

/* What has arrived, all of it. Answers to pings, and a close after a fault, go to the output. */
void websocket_feed(struct websocket *w, struct slice data);
/* To be sent; taken by the caller, who clears it. */
struct bytes *websocket_output(struct websocket *w);

/* One message to the output. False: there is no memory for it, nothing was added. Not after websocket_close(). */
NODISCARD bool websocket_send(struct websocket *w, bool is_text, struct slice data);
/* data: at most 125 bytes. */
void websocket_ping(struct websocket *w, struct slice data);
/* Says that nothing more is sent; reason at most 123 bytes. code WEBSOCKET_NO_STATUS: without one. Once. */
void websocket_close(struct websocket *w, uint16_t code, struct slice reason);
bool websocket_is_closing(const struct websocket *w); /* a close was sent */
bool websocket_is_closed(const struct websocket *w);  /* and one has come */

/* May a close frame have that code? */
bool websocket_code_is_valid(uint16_t code);
