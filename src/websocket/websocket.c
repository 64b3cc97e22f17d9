/* SPDX-License-Identifier: Apache-2.0
 *
 * See websocket.h. A frame is read piece by piece as wslay unmasks it; the pieces of a data message are gathered
 * in `message`, inflated on the way if it is compressed. */
#include "websocket/websocket.h"

#include <stdlib.h>
#include <wslay/wslay.h>

#include "base/random.h"
#include "coding/coder.h"

enum {
    CONTROL_BYTES_MAX = 125,
    PIECE_BYTES = 16 * 1024,  /* inflated or deflated at a time */
    DEFLATE_BYTES_MIN = 512,  /* a shorter message is sent as it is: a compressor costs more */
    MESSAGE_KEPT_BYTES = 4096 /* of storage, between messages */
};

struct websocket {
    enum websocket_role role;
    struct websocket_deflate deflate;
    size_t message_max;
    struct coding_memory *memory;
    const struct websocket_events *events;
    void *user;
    wslay_frame_context_ptr frames;
    struct slice input; /* while it is fed */
    struct bytes output;

    /* the frame that is being read */
    bool is_in_frame;
    uint8_t opcode, is_fin;
    uint64_t frame_left;
    struct bytes control; /* payload of a control frame */

    /* the message that is being read */
    uint8_t kind; /* its opcode; 0: none */
    bool is_compressed;
    struct bytes message;
    size_t held; /* taken of memory for it */
    struct coder *inflater;

    bool has_failed, close_sent, close_received;
};

/* ---- wslay's side ---- */

static ssize_t on_recv(uint8_t *buf, size_t len, int flags, void *user)
{
    struct websocket *w = user;
    size_t n = w->input.len < len ? w->input.len : len;
    (void)flags;
    if (n == 0)
        return -1; /* WSLAY_ERR_WANT_READ for its caller */
    memcpy(buf, w->input.ptr, n);
    w->input = slice_skip(w->input, n);
    return (ssize_t)n;
}

static ssize_t on_send(const uint8_t *data, size_t len, int flags, void *user)
{
    struct websocket *w = user;
    (void)flags;
    bytes_append(&w->output, data, len);
    return (ssize_t)len;
}

static int on_genmask(uint8_t *buf, size_t len, void *user)
{
    (void)user;
    random_bytes(buf, len);
    return 0;
}

struct websocket *websocket_new(enum websocket_role role, const struct websocket_deflate *deflate,
                                size_t message_max, struct coding_memory *memory,
                                const struct websocket_events *events, void *user)
{
    static const struct wslay_frame_callbacks callbacks = {on_send, on_recv, on_genmask};
    struct websocket *w = calloc(1, sizeof(*w));
    if (!w)
        check_out_of_memory(sizeof(*w));
    w->role = role;
    w->deflate = *deflate;
    w->message_max = message_max;
    w->memory = memory;
    w->events = events;
    w->user = user;
    CHECK(wslay_frame_context_init(&w->frames, &callbacks, w) == 0);
    return w;
}

static void message_over(struct websocket *w)
{
    if (w->held)
        w->memory->give(w->memory->arg, w->held);
    w->held = 0;
    w->kind = 0;
    if (w->message.cap > MESSAGE_KEPT_BYTES)
        bytes_done(&w->message);
    bytes_clear(&w->message);
}

void websocket_free(struct websocket *w)
{
    if (!w)
        return;
    wslay_frame_context_free(w->frames);
    message_over(w);
    coder_free(w->inflater);
    bytes_done(&w->message);
    bytes_done(&w->control);
    bytes_done(&w->output);
    free(w);
}

struct bytes *websocket_output(struct websocket *w)
{
    return &w->output;
}

/* ---- sending ---- */

static void frame_send(struct websocket *w, uint8_t opcode, uint8_t rsv, struct slice data)
{
    struct wslay_frame_iocb frame = {
        .fin = 1,
        .rsv = rsv,
        .opcode = opcode,
        .payload_length = data.len,
        .mask = w->role == WEBSOCKET_CLIENT,
        .data = (const uint8_t *)(data.ptr ? data.ptr : ""),
        .data_length = data.len,
    };
    do {
        ssize_t n = wslay_frame_send(w->frames, &frame);
        CHECK(n >= 0 && (size_t)n <= frame.data_length); /* on_send() takes everything */
        frame.data += n;
        frame.data_length -= (size_t)n;
    } while (frame.data_length > 0);
}

/* The whole of data, compressed for itself. False: no memory, or it would not be shorter. */
static bool deflate_whole(struct websocket *w, struct slice data, struct bytes *out)
{
    struct coder *c = coder_new(CODER_DEFLATE_RAW, false, w->memory);
    bool is_ok = c != NULL;
    size_t room, before;
    if (c && w->deflate.window_out)
        is_ok = coder_set(c, CODER_WINDOW, w->deflate.window_out);
    do {
        if (!is_ok)
            break;
        bytes_reserve(out, PIECE_BYTES);
        char *at = out->ptr + out->len;
        room = out->cap - out->len;
        before = room;
        is_ok = coder_run(c, &data, CODER_SYNC, &at, &room) != CODER_BROKEN;
        out->len += before - room;
    } while (data.len > 0 || room == 0);
    coder_free(c);
    static const char tail[] = {0, 0, (char)0xff, (char)0xff};
    if (!is_ok || out->len < sizeof(tail) ||
        memcmp(out->ptr + out->len - sizeof(tail), tail, sizeof(tail)) != 0)
        return false;
    out->len -= sizeof(tail);
    return true;
}

bool websocket_send(struct websocket *w, bool is_text, struct slice data)
{
    uint8_t opcode = is_text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME;
    CHECK(!w->close_sent);
    if (w->deflate.is_on && data.len >= DEFLATE_BYTES_MIN) {
        CLEANUP(bytes_done) struct bytes packed = BYTES_INIT;
        w->memory->is_refused = false;
        bool is_packed = deflate_whole(w, data, &packed);
        if (w->memory->is_refused)
            return false;
        if (is_packed && packed.len < data.len) {
            frame_send(w, opcode, WSLAY_RSV1_BIT, bytes_slice(&packed));
            return true;
        }
    }
    frame_send(w, opcode, WSLAY_RSV_NONE, data);
    return true;
}

void websocket_ping(struct websocket *w, struct slice data)
{
    if (!w->close_sent)
        frame_send(w, WSLAY_PING, WSLAY_RSV_NONE,
                   slice_of(data.ptr, data.len < CONTROL_BYTES_MAX ? data.len : CONTROL_BYTES_MAX));
}

void websocket_close(struct websocket *w, uint16_t code, struct slice reason)
{
    char payload[CONTROL_BYTES_MAX];
    size_t len = 0;
    if (w->close_sent)
        return;
    if (code != WEBSOCKET_NO_STATUS) {
        reason = slice_utf8_clip(reason, sizeof(payload) - 2);
        payload[0] = (char)(code >> 8);
        payload[1] = (char)(code & 0xff);
        if (reason.len > 0)
            memcpy(payload + 2, reason.ptr, reason.len);
        len = 2 + reason.len;
    }
    frame_send(w, WSLAY_CONNECTION_CLOSE, WSLAY_RSV_NONE, slice_of(payload, len));
    w->close_sent = true;
}

bool websocket_is_closing(const struct websocket *w)
{
    return w->close_sent;
}

bool websocket_is_closed(const struct websocket *w)
{
    return w->close_sent && (w->close_received || w->has_failed);
}

bool websocket_code_is_valid(uint16_t code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

/* ---- receiving ---- */

static void websocket_fail(struct websocket *w, uint16_t code, const char *why)
{
    if (w->has_failed || w->close_received)
        return;
    w->has_failed = true;
    message_over(w);
    websocket_close(w, code, slice_cstr(why));
    w->events->failed(w->user, code, why);
}

/* More of the message, decompressed. */
static void message_add(struct websocket *w, struct slice data)
{
    size_t len = w->message.len + data.len;
    if (len > w->message_max) {
        websocket_fail(w, WEBSOCKET_TOO_LARGE, "the message is larger than this side takes");
        return;
    }
    if (!coding_take(w->memory, data.len)) {
        websocket_fail(w, WEBSOCKET_TOO_LARGE, "there is no memory left for the message");
        return;
    }
    w->held += data.len;
    bytes_append_slice(&w->message, data);
}

static bool inflater_open(struct websocket *w)
{
    if (!w->inflater)
        w->inflater = coder_new(CODER_DEFLATE_RAW, true, w->memory);
    if (!w->inflater)
        websocket_fail(w, WEBSOCKET_INTERNAL, "there is no memory left to decompress with");
    return w->inflater != NULL;
}

static void message_inflate(struct websocket *w, struct slice data)
{
    char out[PIECE_BYTES];
    enum coder_status status = CODER_GOES_ON;
    bool is_full = true;
    w->memory->is_refused = false;
    while ((data.len > 0 || is_full) && !w->has_failed && inflater_open(w)) {
        char *at = out;
        size_t room = sizeof(out), had = data.len;
        status = coder_run(w->inflater, &data, CODER_NO_FLUSH, &at, &room);
        if (status == CODER_BROKEN) {
            websocket_fail(w, w->memory->is_refused ? WEBSOCKET_INTERNAL : WEBSOCKET_NO_TEXT,
                           "the message does not decompress");
            return;
        }
        is_full = room == 0;
        message_add(w, slice_of(out, sizeof(out) - room));
        if (status == CODER_OVER) /* a last block: what follows begins anew */
            coder_free(TAKE(w->inflater));
        else if (data.len == had && !is_full)
            break;
    }
}

static void message_end(struct websocket *w)
{
    bool is_text = w->kind == WSLAY_TEXT_FRAME;
    if (w->is_compressed) {
        message_inflate(w, slice_of("\x00\x00\xff\xff", 4));
        if (!w->deflate.keeps_in)
            coder_free(TAKE(w->inflater));
    }
    if (w->has_failed)
        return;
    if (is_text && !slice_is_utf8(bytes_slice(&w->message))) {
        websocket_fail(w, WEBSOCKET_NO_TEXT, "the text is not UTF-8");
        return;
    }
    w->events->message(w->user, is_text, bytes_slice(&w->message));
    message_over(w);
}

static void close_received(struct websocket *w)
{
    struct slice payload = bytes_slice(&w->control), reason = slice_skip(payload, 2);
    uint16_t code = WEBSOCKET_NO_STATUS;
    if (payload.len >= 2)
        code = (uint16_t)((uint8_t)payload.ptr[0] << 8 | (uint8_t)payload.ptr[1]);
    if (payload.len == 1 || (payload.len >= 2 && !websocket_code_is_valid(code))) {
        websocket_fail(w, WEBSOCKET_PROTOCOL, "the close has no valid code");
        return;
    }
    if (!slice_is_utf8(reason)) {
        websocket_fail(w, WEBSOCKET_NO_TEXT, "the reason of the close is not UTF-8");
        return;
    }
    w->close_received = true;
    w->events->closed(w->user, code, reason);
}

static void frame_end(struct websocket *w)
{
    w->is_in_frame = false;
    switch (w->opcode) {
    case WSLAY_CONNECTION_CLOSE:
        close_received(w);
        break;
    case WSLAY_PING:
        if (!w->close_sent)
            frame_send(w, WSLAY_PONG, WSLAY_RSV_NONE, bytes_slice(&w->control));
        break;
    case WSLAY_PONG:
        break;
    default:
        if (w->is_fin)
            message_end(w);
    }
}

/* What may come now? NULL: this. */
static const char *frame_fault(const struct websocket *w, const struct wslay_frame_iocb *f)
{
    bool is_control = wslay_is_ctrl_frame(f->opcode);
    bool may_be_compressed =
        w->deflate.is_on && (f->opcode == WSLAY_TEXT_FRAME || f->opcode == WSLAY_BINARY_FRAME);
    if (f->mask != (w->role == WEBSOCKET_SERVER))
        return w->role == WEBSOCKET_SERVER ? "a client's frames have to be masked"
                                           : "a server's frames are not masked";
    if (f->rsv & ~(may_be_compressed ? WSLAY_RSV1_BIT : 0))
        return "a reserved bit is set";
    if (is_control && (!f->fin || f->payload_length > CONTROL_BYTES_MAX))
        return "a control frame is long or in parts";
    if (f->opcode != WSLAY_CONTINUATION_FRAME && f->opcode != WSLAY_TEXT_FRAME &&
        f->opcode != WSLAY_BINARY_FRAME && f->opcode != WSLAY_CONNECTION_CLOSE &&
        f->opcode != WSLAY_PING && f->opcode != WSLAY_PONG)
        return "there is no such kind of frame";
    if (f->opcode == WSLAY_CONTINUATION_FRAME && !w->kind)
        return "there is no message to continue";
    if (!is_control && f->opcode != WSLAY_CONTINUATION_FRAME && w->kind)
        return "a message begins inside of another";
    return NULL;
}

static void frame_begin(struct websocket *w, const struct wslay_frame_iocb *f)
{
    const char *fault = frame_fault(w, f);
    if (fault) {
        websocket_fail(w, WEBSOCKET_PROTOCOL, fault);
        return;
    }
    w->is_in_frame = true;
    w->opcode = f->opcode;
    w->is_fin = f->fin;
    w->frame_left = f->payload_length;
    bytes_clear(&w->control);
    if (f->opcode == WSLAY_TEXT_FRAME || f->opcode == WSLAY_BINARY_FRAME) {
        w->kind = f->opcode;
        w->is_compressed = wslay_get_rsv1(f->rsv);
    }
    if (!wslay_is_ctrl_frame(f->opcode) && !w->is_compressed &&
        f->payload_length > w->message_max - w->message.len)
        websocket_fail(w, WEBSOCKET_TOO_LARGE, "the message is larger than this side takes");
}

void websocket_feed(struct websocket *w, struct slice data)
{
    struct wslay_frame_iocb f;
    w->input = data;
    while (!w->has_failed && !w->close_received) {
        memset(&f, 0, sizeof(f));
        ssize_t n = wslay_frame_recv(w->frames, &f);
        if (n == WSLAY_ERR_WANT_READ)
            break;
        if (n < 0) {
            websocket_fail(w, WEBSOCKET_PROTOCOL, "malformed frame");
            break;
        }
        if (!w->is_in_frame)
            frame_begin(w, &f);
        if (w->has_failed)
            break;
        struct slice piece = slice_of((const char *)f.data, f.data_length);
        w->frame_left -= piece.len;
        if (wslay_is_ctrl_frame(w->opcode))
            bytes_append_slice(&w->control, piece);
        else if (w->is_compressed && piece.len > 0)
            message_inflate(w, piece);
        else if (!w->is_compressed)
            message_add(w, piece);
        if (!w->has_failed && w->frame_left == 0)
            frame_end(w);
    }
    w->input = SLICE_EMPTY;
}
