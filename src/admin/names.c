/* SPDX-License-Identifier: Apache-2.0
 *
 * Character rules, ranges, and the edit distance behind "did you mean". */
#include "admin/names.h"

#include <jansson.h>
#include <string.h>

#include "base/limits.h"
#include "flow/request.h"
#include "module/binding.h"
#include "store/store.h"

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_label(struct slice name)
{
    bool is_good = name.len > 0 && name.len <= LIMIT_NAME_BYTES && name.ptr[0] != '-' &&
                   name.ptr[name.len - 1] != '-';
    for (size_t i = 0; is_good && i < name.len; i++)
        is_good = is_lower_or_digit(name.ptr[i]) || name.ptr[i] == '-';
    return is_good;
}

enum err names_check_namespace(struct slice name, struct error *ret_error)
{
    if (is_label(name) && !slice_eq_cstr(name, "localhost"))
        return OK;
    error_set(ret_error, ERR_INVALID, "'%.*s' is not the name of a namespace",
              SLICE_ARG(slice_utf8_clip(name, 80)));
    error_hint(ret_error,
               "a name is a part of hosts: 1 to %d lower-case letters, digits and inner hyphens, "
               "such as 'shop', but not 'localhost'",
               LIMIT_NAME_BYTES);
    return ERR_INVALID;
}

enum err names_check_function(struct slice name, struct error *ret_error)
{
    if (is_label(name))
        return OK;
    struct slice shown = slice_of(name.ptr, name.len < 80 ? name.len : 80);
    error_set(ret_error, ERR_INVALID, "'%.*s' is not the name of a function or workflow",
              SLICE_ARG(shown));
    error_hint(ret_error,
               "a name is a host: 1 to %d lower-case letters, digits and inner hyphens, such as "
               "'hello-world'",
               LIMIT_NAME_BYTES);
    return ERR_INVALID;
}

/* A JavaScript identifier; letters beyond ASCII are let through. */
static bool is_identifier(struct slice s)
{
    bool is_good = s.len > 0 && !(s.ptr[0] >= '0' && s.ptr[0] <= '9') && slice_is_utf8(s);
    for (size_t i = 0; is_good && i < s.len; i++) {
        char c = s.ptr[i];
        is_good = is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
                  (unsigned char)c >= 0x80;
    }
    return is_good;
}

enum err names_check_workflow(struct slice name, struct slice *ret_name, struct error *ret_error)
{
    struct slice export = name, base;
    bool has_export = slice_find(name, '.') >= 0;
    base = slice_split(&export, '.');
    struct slice bare = base;
    enum err err = OK;
    if (slice_find(base, '/') >= 0)
        err = names_check_namespace(slice_split(&bare, '/'), ret_error);
    if (!err)
        err = names_check_function(bare, ret_error);
    if (err)
        return err;
    if (has_export && (!is_identifier(export) || export.len > NAMES_EXPORT_BYTES_MAX)) {
        error_set(ret_error, ERR_INVALID, "'%.*s' is not the name of an export",
                  SLICE_ARG(slice_utf8_clip(export, 80)));
        error_hint(ret_error, "write NAME for the default workflow of a module, or NAME.EXPORT, "
                              "such as 'shop.checkout'");
        return ERR_INVALID;
    }
    *ret_name = base;
    return OK;
}

static enum err check_text(const char *what, struct slice text, size_t bytes_max,
                           struct error *ret_error)
{
    bool is_good = text.len > 0 && text.len <= bytes_max && slice_is_utf8(text);
    for (size_t i = 0; is_good && i < text.len; i++)
        is_good = (unsigned char)text.ptr[i] >= 0x20 && text.ptr[i] != 0x7f;
    if (is_good)
        return OK;
    error_set(ret_error, ERR_INVALID,
              "%s is empty, longer than %zu bytes, or has control characters", what, bytes_max);
    error_hint(ret_error, "use a short text, such as 'approved' or 'order-1234'");
    return ERR_INVALID;
}

enum err names_check_signal(struct slice name, struct error *ret_error)
{
    return check_text("the name of the signal", name, REQUEST_SIGNAL_NAME_BYTES_MAX, ret_error);
}

enum err names_check_key(struct slice key, struct error *ret_error)
{
    return check_text("the id", key, NAMES_KEY_BYTES_MAX, ret_error);
}

enum err names_check_env(struct slice name, struct error *ret_error)
{
    bool is_good = name.len > 0 && name.len <= NAMES_ENV_BYTES_MAX &&
                   !(name.ptr[0] >= '0' && name.ptr[0] <= '9');
    for (size_t i = 0; is_good && i < name.len; i++) {
        char c = name.ptr[i];
        is_good = is_letter(c) || (c >= '0' && c <= '9') || c == '_';
    }
    if (is_good)
        return OK;
    struct slice shown = slice_of(name.ptr, name.len < 80 ? name.len : 80);
    error_set(ret_error, ERR_INVALID, "'%.*s' is not the name of a variable", SLICE_ARG(shown));
    error_hint(ret_error, "use letters, digits and '_', not starting with a digit, at most %d",
               NAMES_ENV_BYTES_MAX);
    return ERR_INVALID;
}

/* It names a folder. */
static enum err check_renamed(const struct binding *b, struct error *ret_error)
{
    json_t *renamed = json_loadb(b->details.ptr ? b->details.ptr : "", b->details.len, 0, NULL);
    const char *from = json_string_value(json_object_get(renamed, "from"));
    const bool is_good = from && json_object_size(renamed) == 1 &&
                         is_identifier(slice_cstr(from)) && strlen(from) <= NAMES_EXPORT_BYTES_MAX;
    json_decref(renamed);
    if (is_good)
        return OK;
    error_set(ret_error, ERR_INVALID, "binding '%.*s': 'renamed' needs 'from', the name of a class",
              SLICE_ARG(b->name));
    error_hint(ret_error, "it is what class '%.*s' was called at first, such as 'Counter'",
               SLICE_ARG(slice_utf8_clip(b->target, 80)));
    return ERR_INVALID;
}

enum err names_check_binding(const struct binding *b, struct error *ret_error)
{
    const struct binding_kind_info *kind = &binding_kinds[b->kind];
    enum err err = names_check_env(b->name, ret_error);
    const struct slice module = binding_module(b);
    const struct slice export = kind->is_part_module ? b->target : b->part;
    if (err == OK && (module.len > 0 || (kind->is_module && !kind->is_own)))
        err = names_check_function(module, ret_error);
    if (err == OK && b->kind == BINDING_ACTOR && b->details.len > 0)
        err = check_renamed(b, ret_error);
    if (err == OK && kind->is_resource &&
        b->target.len > 0) /* "": a project has not named it yet */
        err = resource_name_check(kind->resource, b->target, ret_error);
    if (err != OK || export.len == 0 ||
        (is_identifier(export) && export.len <= NAMES_EXPORT_BYTES_MAX))
        return err;
    error_set(ret_error, ERR_INVALID, "binding '%.*s': '%.*s' is not the name of an export",
              SLICE_ARG(b->name), SLICE_ARG(slice_utf8_clip(export, 80)));
    error_hint(ret_error, "'%s' is the name of an exported class, such as 'Admin'",
               kind->is_part_module ? kind->target : kind->part);
    return ERR_INVALID;
}

static bool is_domain_name(struct slice s)
{
    if (slice_starts(s, SLICE_LIT("*.")))
        s = slice_skip(s, 2);
    if (s.len == 0)
        return false;
    while (s.len > 0) {
        bool is_last = slice_find(s, '.') < 0;
        struct slice label = slice_split(&s, '.');
        if (label.len == 0 || label.len > 63 || (!is_last && s.len == 0))
            return false;
        for (size_t i = 0; i < label.len; i++) {
            char c = label.ptr[i];
            if (!is_lower_or_digit(c) && c != '-' && c != '_')
                return false;
        }
    }
    return true;
}

enum err names_check_domain(struct slice domain, struct error *ret_error)
{
    struct slice name = domain;
    uint64_t port = 443;
    bool is_good = domain.len > 0 && domain.len <= NAMES_DOMAIN_BYTES_MAX;
    ptrdiff_t colon = slice_find(domain, ':');
    if (is_good && colon >= 0) {
        name = slice_of(domain.ptr, (size_t)colon);
        is_good =
            slice_to_u64(slice_skip(domain, (size_t)colon + 1), &port) && port > 0 && port < 65536;
    }
    if (is_good && is_domain_name(name))
        return OK;
    struct slice shown = slice_of(domain.ptr, domain.len < 80 ? domain.len : 80);
    error_set(ret_error, ERR_INVALID, "'%.*s' is not an egress domain", SLICE_ARG(shown));
    error_hint(ret_error, "write 'api.example.com', '*.example.com' or 'example.com:8443', in "
                          "lower case and without a scheme or path");
    return ERR_INVALID;
}

static enum err check_range(const char *what, uint64_t value, uint64_t least, uint64_t most,
                            struct error *ret_error)
{
    if (value == 0 || (value >= least && value <= most))
        return OK;
    error_set(ret_error, ERR_INVALID, "%s is %llu, outside its range", what,
              (unsigned long long)value);
    error_hint(ret_error, "%s may be %llu to %llu; leave it out for the default", what,
               (unsigned long long)least, (unsigned long long)most);
    return ERR_INVALID;
}

enum err names_check_limits(const struct version_options *options, struct error *ret_error)
{
    enum err err = check_range("memory_mb", options->memory_mb, NAMES_MEMORY_MB_MIN,
                               NAMES_MEMORY_MB_MAX, ret_error);
    if (!err)
        err = check_range("cpu_ms", options->cpu_ms, 1, NAMES_CPU_MS_MAX, ret_error);
    if (!err)
        err = check_range("wall_ms", options->wall_ms, 1, NAMES_WALL_MS_MAX, ret_error);
    if (!err)
        err = check_range("sql_transaction_ms", options->sql_transaction_ms, 1,
                          NAMES_SQL_TRANSACTION_MS_MAX, ret_error);
    return err;
}

/* Optimal string alignment distance (a swap of neighbors counts once), bounded to short texts. */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    enum { SIDE_MAX = 40 };
    size_t rows[3][SIDE_MAX + 1];
    if (a_len > SIDE_MAX || b_len > SIDE_MAX)
        return SIDE_MAX;
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b_len; j++)
        before[j] = last[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b_len];
}

const char *names_nearest(struct slice text, const char *const *choices, size_t count)
{
    const char *best = NULL;
    if (text.len == 0)
        return NULL;
    size_t best_distance = text.len < 4 ? 2 : text.len < 8 ? 3 : 4; /* must be below */
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(choices[i]);
        size_t distance = edit_distance(text.ptr, text.len, choices[i], len);
        /* A beginning of the word is as good as a slip of one key. */
        if (text.len >= 3 && len > text.len && memcmp(text.ptr, choices[i], text.len) == 0)
            distance = 1;
        if (distance < best_distance) {
            best = choices[i];
            best_distance = distance;
        }
    }
    return best;
}
