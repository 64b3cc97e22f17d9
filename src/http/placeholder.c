/* SPDX-License-Identifier: Apache-2.0
 *
 * See placeholder.h. */
#include "http/placeholder.h"

#include <openssl/evp.h>
#include <string.h>

static enum err host_bad(struct slice text, const char *why, struct error *ret_error)
{
    error_set(ret_error, ERR_INVALID, "a secret cannot be bound to '%.*s': %s",
              SLICE_ARG(slice_utf8_clip(text, 200)), why);
    error_hint(ret_error,
               "write a host such as api.example.com, or one with http:// in front if its "
               "value may go unencrypted");
    return ERR_INVALID;
}

enum err placeholder_host_parse(struct arena *a, struct slice text, struct url_pattern *ret_host,
                                struct error *ret_error)
{
    struct url_pattern p;
    enum err err = url_pattern_parse(a, text, &p, ret_error);
    if (err)
        return err;
    if (p.is_any_host)
        return host_bad(text, "that is every host", ret_error);
    if (slice_find(p.text, ' ') >= 0)
        return host_bad(text, "it has a space", ret_error);
    if (!p.scheme)
        p.scheme = URL_PATTERN_HTTPS;
    if (!p.port)
        p.port = p.scheme == URL_PATTERN_HTTPS ? 443 : 80;
    *ret_host = p;
    return OK;
}

static bool placeholder_may_go(const struct placeholder *p, struct url_target *t)
{
    for (size_t i = 0; i < p->hosts_len; i++)
        if (url_pattern_matches(&p->hosts[i], t, false))
            return true;
    return false;
}

struct placeholder_fill placeholder_fill_for(const struct placeholder *list, size_t len,
                                             struct url_target *t)
{
    struct placeholder_fill f = {.arena = t->arena};
    f.list = arena_array(t->arena, len + 1, sizeof(struct placeholder *));
    for (size_t i = 0; i < len; i++)
        if (placeholder_may_go(&list[i], t))
            f.list[f.len++] = &list[i];
    return f;
}

static const struct placeholder *fill_find(const struct placeholder_fill *f, struct slice text)
{
    for (size_t i = 0; i < f->len; i++)
        if (slice_eq(f->list[i]->text, text))
            return f->list[i];
    return NULL;
}

/* False: there is none in it, and nothing was appended. */
static enum err fill_text(struct placeholder_fill *f, struct slice text, struct bytes *out,
                          bool *ret_is_filled, struct error *ret_error)
{
    const char *at;
    bool is_filled = false;
    size_t start_len = strlen(PLACEHOLDER_START);
    while (text.len >= PLACEHOLDER_BYTES &&
           (at = memmem(text.ptr, text.len, PLACEHOLDER_START, start_len))) {
        size_t before = (size_t)(at - text.ptr);
        struct slice found = slice_skip(text, before);
        if (found.len < PLACEHOLDER_BYTES)
            break;
        found.len = PLACEHOLDER_BYTES;
        if (++f->fills > PLACEHOLDER_FILLS_MAX)
            return error_set(ret_error, ERR_LIMIT,
                             "the headers of the request have placeholders of secrets in more than "
                             "%d places",
                             PLACEHOLDER_FILLS_MAX);
        const struct placeholder *p = fill_find(f, found);
        /* What is none of ours may begin with another one behind its first byte. */
        size_t taken = p ? PLACEHOLDER_BYTES : start_len;
        bytes_append(out, text.ptr, before);
        bytes_append_slice(out, p ? p->value : slice_of(at, taken));
        is_filled |= p != NULL;
        text = slice_skip(text, before + taken);
    }
    bytes_append_slice(out, text);
    *ret_is_filled = is_filled;
    return OK;
}

static bool value_basic(struct slice name, struct slice value, struct slice *ret_text)
{
    if (!slice_eq_nocase(name, SLICE_LIT("authorization")) &&
        !slice_eq_nocase(name, SLICE_LIT("proxy-authorization")))
        return false;
    struct slice scheme = slice_split(&value, ' ');
    *ret_text = slice_trim(value);
    return slice_eq_nocase(scheme, SLICE_LIT("basic")) && ret_text->len > 0 &&
           ret_text->len % 4 == 0;
}

/* Decodes, fills, encodes. */
static enum err fill_basic(struct placeholder_fill *f, struct slice text, struct slice *value,
                           struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes filled = BYTES_INIT;
    unsigned char *plain = arena_alloc(f->arena, text.len);
    bool is_filled = false;
    int len = EVP_DecodeBlock(plain, (const unsigned char *)text.ptr, (int)text.len);
    if (len < 0)
        return OK; /* not ours to judge */
    for (size_t i = 0; i < 2 && text.ptr[text.len - 1 - i] == '='; i++)
        len--;
    enum err err =
        fill_text(f, slice_of((const char *)plain, (size_t)len), &filled, &is_filled, ret_error);
    if (err || !is_filled)
        return err;
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    bytes_append_cstr(&out, "Basic ");
    bytes_reserve(&out, 4 * (filled.len / 3 + 1) + 1);
    out.len += (size_t)EVP_EncodeBlock((unsigned char *)out.ptr + out.len,
                                       (const unsigned char *)filled.ptr, (int)filled.len);
    *value = arena_copy(f->arena, bytes_slice(&out));
    return OK;
}

enum err placeholder_fill(struct placeholder_fill *f, struct slice name, struct slice *value,
                          struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes filled = BYTES_INIT;
    struct slice text;
    bool is_filled = false;
    if (f->len == 0)
        return OK;
    if (value_basic(name, *value, &text))
        return fill_basic(f, text, value, ret_error);
    enum err err = fill_text(f, *value, &filled, &is_filled, ret_error);
    if (!err && is_filled)
        *value = arena_copy(f->arena, bytes_slice(&filled));
    return err;
}
