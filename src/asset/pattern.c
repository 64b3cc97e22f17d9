/* SPDX-License-Identifier: Apache-2.0
 *
 * See pattern.h. */
#include "asset/pattern.h"

static bool is_name_char(char c, bool is_first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (!is_first && ((c >= '0' && c <= '9') || c == '_'));
}

/* Length of the name behind a colon; 0: it is no placeholder. */
static size_t name_len(struct slice text)
{
    size_t len = 0;
    while (len < text.len && is_name_char(text.ptr[len], len == 0))
        len++;
    return len;
}

static enum err pattern_refuse(struct error *ret_error, struct slice text, const char *why,
                               const char *hint)
{
    error_set(ret_error, ERR_INVALID, "'%.*s': %s", SLICE_ARG(slice_utf8_clip(text, 100)), why);
    error_hint(ret_error, "%s", hint);
    return ERR_INVALID;
}

enum err pattern_parse(struct arena *a, struct slice text, struct pattern *ret_pattern,
                       struct error *ret_error)
{
    struct pattern p = {.text = text};
    size_t names = 0;
    if (text.len > PATTERN_BYTES_MAX)
        return pattern_refuse(ret_error, text, "it is too long",
                              "a pattern has at most 2000 bytes");
    struct pattern_part *parts = arena_array(a, 2 * (PATTERN_NAMES_MAX + 1), sizeof(*parts));
    size_t begin = 0;
    for (size_t i = 0; i <= text.len; i++) {
        const struct slice rest = slice_skip(text, i + 1);
        const bool is_end = i == text.len || text.ptr[i] == '*';
        const size_t name = !is_end && text.ptr[i] == ':' ? name_len(rest) : 0;
        if (!is_end && name == 0)
            continue;
        if (i > begin)
            parts[p.parts_len++] =
                (struct pattern_part){slice_of(text.ptr + begin, i - begin), false};
        if (name > 0) {
            if (++names == PATTERN_NAMES_MAX)
                return pattern_refuse(ret_error, text, "it has too many placeholders",
                                      "a pattern has at most 15");
            parts[p.parts_len++] = (struct pattern_part){slice_of(rest.ptr, name), true};
            i += name;
            begin = i + 1;
        } else if (i < text.len) {
            p.has_splat = true;
            p.behind = rest;
            break;
        }
    }
    for (size_t i = 0; i < p.behind.len; i++)
        if (p.behind.ptr[i] == '*' ||
            (p.behind.ptr[i] == ':' && name_len(slice_skip(p.behind, i + 1)) > 0))
            return pattern_refuse(ret_error, text, "behind a '*' only plain text may stand",
                                  "write one '*', at the end or before plain text");
    p.parts = parts;
    *ret_pattern = p;
    return OK;
}

bool pattern_matches(const struct pattern *p, struct slice text, struct pattern_match *ret_match)
{
    struct pattern_match m = {.len = 0};
    for (size_t i = 0; i < p->parts_len; i++) {
        const struct pattern_part *part = &p->parts[i];
        if (!part->is_name) {
            if (!slice_starts(text, part->text))
                return false;
            text = slice_skip(text, part->text.len);
            continue;
        }
        const ptrdiff_t slash = slice_find(text, '/');
        size_t len = slash < 0 ? text.len : (size_t)slash;
        /* Up to what follows it, if that is in the same part of the path. */
        if (i + 1 < p->parts_len && !p->parts[i + 1].is_name &&
            p->parts[i + 1].text.ptr[0] != '/') {
            const char *at = memmem(text.ptr ? text.ptr : "", len, p->parts[i + 1].text.ptr, 1);
            len = at ? (size_t)(at - text.ptr) : len;
        }
        if (len == 0)
            return false;
        m.names[m.len] = part->text;
        m.values[m.len++] = slice_of(text.ptr, len);
        text = slice_skip(text, len);
    }
    if (p->has_splat) {
        if (!slice_ends(text, p->behind))
            return false;
        m.names[m.len] = SLICE_LIT("splat");
        m.values[m.len++] = slice_of(text.ptr, text.len - p->behind.len);
    } else if (text.len > 0) {
        return false;
    }
    if (ret_match)
        *ret_match = m;
    return true;
}

void pattern_fill(struct slice text, const struct pattern_match *match, struct bytes *out)
{
    for (size_t i = 0; i < text.len; i++) {
        const struct slice rest = slice_skip(text, i + 1);
        const size_t len = text.ptr[i] == ':' ? name_len(rest) : 0;
        size_t k = 0;
        while (len > 0 && k < match->len && !slice_eq(match->names[k], slice_of(rest.ptr, len)))
            k++;
        if (len > 0 && k < match->len) {
            bytes_append_slice(out, match->values[k]);
            i += len;
        } else {
            bytes_append_char(out, text.ptr[i]);
        }
    }
}
