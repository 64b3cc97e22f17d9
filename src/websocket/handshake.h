/* SPDX-License-Identifier: Apache-2.0
 *
 * The headers by which a WebSocket is opened: RFC 6455 and the offers of permessage-deflate. Any thread. */
#pragma once

#include "base/bytes.h"
#include "websocket/websocket.h"

enum { WEBSOCKET_KEY_BYTES = 24, WEBSOCKET_ACCEPT_BYTES = 28 };

/* A new key, base64 of 16 random bytes. */
void websocket_key(char ret_key[WEBSOCKET_KEY_BYTES + 1]);
bool websocket_key_is_valid(struct slice key);
/* What sec-websocket-accept has to be for that key. */
void websocket_accept(struct slice key, char ret_accept[WEBSOCKET_ACCEPT_BYTES + 1]);

/* A client's sec-websocket-extensions, "" if there is none: what a server here makes of it. Appends what it
 * says to that to *ret_answer: nothing, if it is not to be compressed. */
void websocket_choose(struct slice offers, struct websocket_deflate *ret_deflate,
                      struct bytes *ret_answer);
/* What a client here offers. */
extern const char websocket_offer[];
/* What a server said to an offer of permessage-deflate. False: that cannot be spoken. */
bool websocket_agree(struct slice answer, struct websocket_deflate *ret_deflate);
