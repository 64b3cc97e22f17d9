/* SPDX-License-Identifier: Apache-2.0
 *
 * See rules.h. */
#include "asset/rules.h"

#include <stdio.h>

struct rules_reader {
    struct arena *arena;
    const char *file;
    int line;
    struct error *error;
};

static enum err rules_refuse(struct rules_reader *r, const char *what, const char *hint)
{
    error_set(r->error, ERR_INVALID, "%s:%d: %s", r->file, r->line, what);
    error_hint(r->error, "%s", hint);
    return ERR_INVALID;
}

static enum err rules_pattern(struct rules_reader *r, struct slice text,
                              struct pattern *ret_pattern, bool *ret_has_host)
{
    struct error why = {0};
    *ret_has_host = slice_starts(text, SLICE_LIT("https://"));
    if (!*ret_has_host && (text.len == 0 || text.ptr[0] != '/'))
        return rules_refuse(r, "it is no path and no https URL", "begin it with / or https://");
    if (pattern_parse(r->arena, text, ret_pattern, &why) == OK)
        return OK;
    return rules_refuse(r, why.message, why.hint);
}

static enum err rules_check_size(struct rules_reader *r, struct slice text)
{
    if (text.len <= RULES_BYTES_MAX)
        return OK;
    return rules_refuse(r, "it is too long", "it has at most 256 KiB");
}

/* A token of HTTP, in lower case. */
static struct slice rules_name(struct rules_reader *r, struct slice text)
{
    char *name = arena_alloc(r->arena, text.len + 1);
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        const bool is_upper = c >= 'A' && c <= 'Z';
        if (!is_upper && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
            !memchr("!#$%&'*+-.^_`|~", c, 15))
            return SLICE_EMPTY;
        name[i] = is_upper ? (char)(c + 32) : c;
    }
    return slice_of(name, text.len);
}

static bool rules_is_value(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' && text.ptr[i] != '\t')
            return false;
    return true;
}

/* "Name: value" or "! Name" */
static enum err rules_header(struct rules_reader *r, struct slice line, struct rule_header *ret)
{
    const bool is_removal = line.ptr[0] == '!';
    struct slice value = is_removal ? slice_trim(slice_skip(line, 1)) : line;
    const bool has_colon = slice_find(value, ':') >= 0;
    const struct slice name = rules_name(r, slice_trim(slice_split(&value, ':')));
    if (name.len == 0 || has_colon == is_removal || !rules_is_value(slice_trim(value)))
        return rules_refuse(r, "it is no header", "write Name: value, or ! Name to take one away");
    *ret = (struct rule_header){name, slice_trim(value), is_removal};
    return OK;
}

static size_t count_lines(struct slice text)
{
    size_t n = 1;
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '\n';
    return n;
}

enum err rules_headers(struct arena *a, struct slice text, struct rule_headers **ret_rules,
                       size_t *ret_len, struct error *ret_error)
{
    struct rules_reader r = {a, "_headers", 1, ret_error};
    enum err err = rules_check_size(&r, text);
    if (err)
        return err;
    struct rule_headers *rules = arena_array(a, RULES_HEADERS_MAX, sizeof(*rules));
    struct rule_header *headers = arena_array(a, count_lines(text), sizeof(*headers));
    size_t len = 0, headers_len = 0;
    for (r.line = 1; text.len > 0; r.line++) {
        const struct slice whole = slice_split(&text, '\n'), line = slice_trim(whole);
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        const bool is_inner = whole.ptr[0] == ' ' || whole.ptr[0] == '\t';
        if (is_inner && len == 0)
            return rules_refuse(&r, "a header stands before the first path",
                                "a path at the beginning of a line, then its headers, indented");
        if (is_inner) {
            err = rules_header(&r, line, &headers[headers_len]);
            headers_len += !err;
            rules[len - 1].len += !err;
        } else if (len == RULES_HEADERS_MAX) {
            return rules_refuse(&r, "there are too many rules", "at most 200");
        } else {
            rules[len] = (struct rule_headers){.headers = &headers[headers_len]};
            err = rules_pattern(&r, line, &rules[len].pattern, &rules[len].has_host);
            len++;
        }
        if (err)
            return err;
    }
    *ret_rules = rules;
    *ret_len = len;
    return OK;
}

/* The next word; "" at the end. */
static struct slice rules_word(struct slice *rest)
{
    *rest = slice_trim(*rest);
    size_t len = 0;
    while (len < rest->len && rest->ptr[len] != ' ' && rest->ptr[len] != '\t')
        len++;
    const struct slice word = slice_of(rest->ptr, len);
    *rest = slice_trim(slice_skip(*rest, len));
    return word;
}

static enum err rules_redirect(struct rules_reader *r, struct slice line, struct rule_redirect *ret)
{
    struct slice rest = line;
    const struct slice from = rules_word(&rest), to = rules_word(&rest), status = rules_word(&rest);
    uint64_t n = 302;
    if (to.len == 0 || (rest.len > 0 && rest.ptr[0] != '#'))
        return rules_refuse(r, "it is no redirect", "write /from /to 301");
    if (status.len > 0 && status.ptr[0] != '#' && !slice_to_u64(status, &n))
        n = 0;
    if (n != 200 && n != 301 && n != 302 && n != 303 && n != 307 && n != 308)
        return rules_refuse(r, "it has an impossible status",
                            "301, 302, 303, 307 or 308, or 200 to answer with another asset");
    const bool is_path = to.ptr[0] == '/';
    if (!is_path && !slice_starts(to, SLICE_LIT("https://")) &&
        !slice_starts(to, SLICE_LIT("http://")))
        return rules_refuse(r, "its goal is no path and no URL", "begin it with / or https://");
    if (n == 200 && !is_path)
        return rules_refuse(r, "a rewrite (200) of other hosts does not exist", "name a path");
    ret->to = to;
    ret->status = (int)n;
    return rules_pattern(r, from, &ret->from, &ret->has_host);
}

enum err rules_redirects(struct arena *a, struct slice text, struct rule_redirect **ret_rules,
                         size_t *ret_len, struct error *ret_error)
{
    struct rules_reader r = {a, "_redirects", 1, ret_error};
    enum err err = rules_check_size(&r, text);
    if (err)
        return err;
    const size_t lines = count_lines(text);
    const size_t max = lines < RULES_REDIRECTS_MAX ? lines : RULES_REDIRECTS_MAX;
    struct rule_redirect *rules = arena_zalloc(a, max * sizeof(*rules));
    size_t len = 0;
    for (r.line = 1; text.len > 0; r.line++) {
        const struct slice line = slice_trim(slice_split(&text, '\n'));
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        if (len == max)
            return rules_refuse(&r, "there are too many rules", "at most 2100");
        err = rules_redirect(&r, line, &rules[len++]);
        if (err)
            return err;
    }
    *ret_rules = rules;
    *ret_len = len;
    return OK;
}
