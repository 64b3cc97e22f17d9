/* SPDX-License-Identifier: Apache-2.0
 *
 * See document.h. */
#include "project/document.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "limpet_deps.h"

void document_place(struct slice source, size_t at, int *ret_line, int *ret_column)
{
    int line = 1, column = 1;
    for (size_t i = 0; i < at && i < source.len; i++) {
        const bool is_inner = ((unsigned char)source.ptr[i] & 0xc0) == 0x80; /* of a character */
        column = source.ptr[i] == '\n' ? 1 : column + !is_inner;
        line += source.ptr[i] == '\n';
    }
    *ret_line = line;
    *ret_column = column;
}

/* ---- JSON with comments ---- */

static void blank(char *text, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (text[i] != '\n' && text[i] != '\r')
            text[i] = ' ';
}

/* Where the string that begins at i ends: behind its quote, or at len. */
static size_t string_end(const char *text, size_t len, size_t i)
{
    for (i++; i < len && text[i] != '"'; i++)
        i += text[i] == '\\' && i + 1 < len;
    return i < len ? i + 1 : len;
}

static size_t comment_end(const char *text, size_t len, size_t i)
{
    const bool is_line = text[i + 1] == '/';
    for (i += 2; i < len; i++) {
        if (is_line && text[i] == '\n')
            return i;
        if (!is_line && text[i] == '*' && i + 1 < len && text[i + 1] == '/')
            return i + 2;
    }
    return len;
}

void document_blank_comments(char *text, size_t len)
{
    size_t comma = len; /* the last one, with nothing but space behind it so far */
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        blank(text, 0, 3);
    for (size_t i = 0; i < len;) {
        const char c = text[i];
        if (c == '/' && i + 1 < len && (text[i + 1] == '/' || text[i + 1] == '*')) {
            const size_t end = comment_end(text, len, i);
            blank(text, i, end);
            i = end;
            continue;
        }
        if ((c == ']' || c == '}') && comma < len)
            text[comma] = ' ';
        if (c == ',')
            comma = i;
        else if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            comma = len;
        i = c == '"' ? string_end(text, len, i) : i + 1;
    }
}

/* ---- the tree ---- */

struct document_reader {
    struct arena *arena;
    const char *source;     /* JSON: its places are those of the text */
    const uint32_t *places; /* TOML: of the members, in order; NULL: JSON */
    size_t places_len, place;
};

static enum err tree_value(struct document_reader *r, const struct body_value *v, size_t at,
                           int depth, struct document_value *ret, struct error *ret_error);

static size_t member_place(struct document_reader *r, const struct body_walk *before)
{
    if (r->places)
        return r->place < r->places_len ? r->places[r->place++] : 0;
    const ptrdiff_t quote = slice_find(before->rest, '"');
    return (size_t)(before->rest.ptr - r->source) + (quote > 0 ? (size_t)quote : 0);
}

static enum err tree_object(struct document_reader *r, const struct body_value *v, int depth,
                            struct document_value *ret, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    struct body_value value;
    size_t len = 0;
    for (struct body_walk walk = body_walk(v); body_next_member(&walk, &key, &value);)
        len++;
    struct document_member *members = arena_array(r->arena, len + 1, sizeof(*members));
    ret->members = members;
    ret->len = len;
    struct body_walk walk = body_walk(v);
    for (size_t i = 0; i < len; i++) {
        const struct body_walk before = walk;
        if (!body_next_member(&walk, &key, &value))
            break;
        members[i].name = arena_copy(r->arena, bytes_slice(&key));
        enum err err = tree_value(r, &value, member_place(r, &before), depth + 1, &members[i].value,
                                  ret_error);
        if (err)
            return err;
    }
    return OK;
}

static enum err tree_array(struct document_reader *r, const struct body_value *v, int depth,
                           struct document_value *ret, struct error *ret_error)
{
    struct body_value value;
    size_t len = 0;
    for (struct body_walk walk = body_walk(v); body_next_item(&walk, &value);)
        len++;
    struct document_value *items = arena_array(r->arena, len + 1, sizeof(*items));
    ret->items = items;
    ret->len = len;
    struct body_walk walk = body_walk(v);
    for (size_t i = 0; i < len && body_next_item(&walk, &value); i++) {
        const size_t at = r->places ? ret->at : (size_t)(value.text.ptr - r->source);
        enum err err = tree_value(r, &value, at, depth + 1, &items[i], ret_error);
        if (err)
            return err;
    }
    return OK;
}

static enum err tree_value(struct document_reader *r, const struct body_value *v, size_t at,
                           int depth, struct document_value *ret, struct error *ret_error)
{
    *ret = (struct document_value){.kind = v->kind, .text = v->text, .at = at};
    if (depth > DOCUMENT_DEPTH_MAX)
        return error_set(ret_error, ERR_INVALID, "it is more than %d tables deep",
                         DOCUMENT_DEPTH_MAX);
    if (v->kind == BODY_OBJECT)
        return tree_object(r, v, depth, ret, ret_error);
    if (v->kind == BODY_ARRAY)
        return tree_array(r, v, depth, ret, ret_error);
    if (v->kind == BODY_STRING) {
        CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
        body_string(v, &text);
        ret->text = arena_copy(r->arena, bytes_slice(&text));
    }
    return OK;
}

/* ---- files ---- */

static enum err parse_toml(struct arena *a, struct document *c, struct error *ret_error)
{
    struct deps_toml toml;
    if (!deps_toml_to_json(c->source.ptr, c->source.len, &toml)) {
        int line, column;
        document_place(c->source, toml.error_at, &line, &column);
        error_set(ret_error, ERR_INVALID, "%s:%d:%d: %.*s", c->file, line, column,
                  SLICE_ARG(slice_of(toml.text, toml.text_len)));
        error_hint(ret_error, "it must be TOML (https://toml.io)");
        deps_toml_done(&toml);
        return ERR_INVALID;
    }
    const struct slice json = arena_copy(a, slice_of(toml.text, toml.text_len));
    struct body_value root;
    enum err err = body_parse(json, &root, ret_error);
    struct document_reader r = {
        .arena = a, .places = toml.places, .places_len = toml.places_len, .source = json.ptr};
    if (!err)
        err = tree_value(&r, &root, 0, 0, &c->root, ret_error);
    deps_toml_done(&toml);
    return err ? error_context(ret_error, err, "%s", c->file) : OK;
}

static enum err parse_json(struct arena *a, struct document *c, struct error *ret_error)
{
    const struct slice json = arena_copy(a, c->source);
    struct body_value root;
    if (json.len > 0)
        document_blank_comments((char *)json.ptr, json.len);
    struct document_reader r = {.arena = a, .source = json.ptr};
    enum err err = body_parse(json, &root, ret_error);
    if (err) {
        CLEANUP(bytes_done) struct bytes why = BYTES_INIT;
        const char *place = ret_error ? strstr(ret_error->message, "line ") : NULL;
        bytes_append_cstr(&why, place ? place : "it cannot be read");
        error_set(ret_error, err, "%s: %s", c->file, bytes_cstr(&why));
        error_hint(ret_error, "it must be JSON; comments and trailing commas are allowed");
        return err;
    }
    err = tree_value(&r, &root, 0, 0, &c->root, ret_error);
    if (!err && root.kind != BODY_OBJECT) {
        err = error_set(ret_error, ERR_INVALID, "%s is %s, not an object", c->file,
                        body_kind_text(root.kind));
        error_hint(ret_error, "begin it with {");
    }
    return err;
}

enum err document_parse(struct arena *a, const char *file, struct slice source,
                        struct document *ret_document, struct error *ret_error)
{
    *ret_document = (struct document){.file = file, .source = source};
    if (source.len > DOCUMENT_BYTES_MAX) {
        error_set(ret_error, ERR_TOO_LARGE, "%s has more than %d KiB", file,
                  DOCUMENT_BYTES_MAX >> 10);
        error_hint(ret_error, "a project file is a short text");
        return ERR_TOO_LARGE;
    }
    return slice_ends(slice_cstr(file), SLICE_LIT(".toml"))
               ? parse_toml(a, ret_document, ret_error)
               : parse_json(a, ret_document, ret_error);
}

enum err document_read(struct arena *a, const char *path, struct document *ret_document,
                       struct error *ret_error)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st = {0};
    if (fd < 0 || fstat(fd, &st)) {
        const int os = errno;
        if (fd >= 0)
            close(fd);
        return error_set(ret_error, os == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot read %s: %s",
                         path, strerror(os));
    }
    size_t size = st.st_size > 0 && st.st_size <= DOCUMENT_BYTES_MAX ? (size_t)st.st_size
                                                                     : DOCUMENT_BYTES_MAX + 1;
    char *text = arena_alloc(a, size + 1);
    size_t len = 0;
    for (ssize_t n = 1; n > 0 && len < size; len += n > 0 ? (size_t)n : 0)
        n = read(fd, text + len, size - len);
    close(fd);
    const char *slash = strrchr(path, '/');
    return document_parse(a, slash ? slash + 1 : path, slice_of(text, len), ret_document,
                          ret_error);
}

const struct document_value *document_member(const struct document_value *object, const char *name)
{
    for (size_t i = 0; object->kind == BODY_OBJECT && i < object->len; i++)
        if (slice_eq_cstr(object->members[i].name, name))
            return &object->members[i].value;
    return NULL;
}
