/* SPDX-License-Identifier: Apache-2.0
 *
 * See codec.h: judges the ends, which the libraries see differently. */
#include "host/codec.h"

#include <stdlib.h>

#include "base/check.h"

struct codec {
    struct coding_memory memory;
    struct coder *coder;
    enum coder_format format;
    bool is_decoder, is_over;
};

static const char *const names[CODER_FORMATS] = {"deflate", "deflate-raw", "gzip", "br", "zstd"};

static enum err codec_refused(const struct codec *c, struct error *ret_error)
{
    (void)error_set(ret_error, ERR_LIMIT_MEMORY,
                    "memory and buffered data together are above the limit of this function; there "
                    "is none left to %s with",
                    c->is_decoder ? "decompress" : "compress");
    error_hint(ret_error, "use fewer streams at once, or raise the function's memory limit");
    return ERR_LIMIT_MEMORY;
}

enum err codec_new(enum coder_format format, bool is_decoder, const struct coding_memory *memory,
                   struct codec **ret_codec, struct error *ret_error)
{
    struct codec *c = calloc(1, sizeof(*c));
    if (!c)
        check_out_of_memory(sizeof(*c));
    c->memory = *memory;
    c->format = format;
    c->is_decoder = is_decoder;
    c->coder = coder_new(format, is_decoder, &c->memory);
    if (!c->coder) {
        enum err err = codec_refused(c, ret_error);
        codec_free(c);
        return err;
    }
    *ret_codec = c;
    return OK;
}

void codec_free(struct codec *c)
{
    if (!c)
        return;
    coder_free(c->coder);
    free(c);
}

static enum err codec_fail(const struct codec *c, const char *what, struct error *ret_error)
{
    if (c->memory.is_refused)
        return codec_refused(c, ret_error);
    const char *reason = c->coder ? coder_reason(c->coder) : "";
    return error_set(ret_error, ERR_INVALID, "the data is not what '%s' has: it %s%s%s%s",
                     names[c->format], what, reason[0] ? " (" : "", reason, reason[0] ? ")" : "");
}

enum err codec_set(struct codec *c, enum coder_setting setting, int value, struct error *ret_error)
{
    if (setting < CODER_SETTINGS && coder_set(c->coder, setting, value))
        return OK;
    return error_set(ret_error, ERR_INVALID, "'%s' has no such setting here", names[c->format]);
}

enum err codec_dictionary(struct codec *c, struct slice dictionary, struct error *ret_error)
{
    if (coder_dictionary(c->coder, dictionary))
        return OK;
    if (c->memory.is_refused)
        return codec_refused(c, ret_error);
    return error_set(ret_error, ERR_INVALID, "'%s' takes no dictionary here", names[c->format]);
}

enum err codec_run(struct codec *c, struct slice *in, enum coder_flush flush, char *out,
                   size_t room, size_t *ret_len, bool *ret_is_over, struct error *ret_error)
{
    char *at = out;
    if (c->is_over && in->len > 0)
        return codec_fail(c, "goes on after its end", ret_error);
    while (!c->is_over) {
        size_t had = in->len, had_room = room;
        enum coder_status status = coder_run(c->coder, in, flush, &at, &room);
        if (status == CODER_BROKEN)
            return codec_fail(c, "is damaged or something else", ret_error);
        c->is_over = status == CODER_OVER;
        if (!c->is_over && (room == 0 || (in->len == had && room == had_room)))
            break;
    }
    if (!c->is_over && flush == CODER_FINISH && room > 0)
        return codec_fail(c, "ends early", ret_error);
    *ret_len = (size_t)(at - out);
    *ret_is_over = c->is_over;
    return OK;
}
