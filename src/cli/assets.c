/* SPDX-License-Identifier: Apache-2.0
 *
 * See assets.h. Files are known by the SHA-256 of their content: what is the same is sent once, and not
 * again with the next deploy. */
#include "cli/assets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "asset/assets.h"
#include "base/json.h"
#include "base/map.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"
#include "project/project.h"

enum { ASSETS_DEPTH_MAX = 64 };

struct asset_source {
    const char *path; /* "/a/b.html" */
    const char *file;
    uint64_t size, sent_bytes;
    char hash[65];
};

struct asset_walk {
    struct cli *cli;
    const struct project *p;
    const char *root;
    struct project_texts ignored; /* lines of .assetsignore */
    struct asset_source *files;
    size_t len, cap;
    uint64_t bytes;
    struct error error;
};

/* ---- files ---- */

/* A small text beside the assets; "" if there is none. */
static struct slice read_text(struct arena *a, const char *path)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    char chunk[4096];
    FILE *file = fopen(path, "re");
    if (!file)
        return SLICE_EMPTY;
    for (size_t n; text.len <= DOCUMENT_BYTES_MAX && (n = fread(chunk, 1, sizeof(chunk), file));)
        bytes_append(&text, chunk, n);
    (void)fclose(file);
    return arena_copy(a, bytes_slice(&text));
}

static void read_ignored(struct asset_walk *w)
{
    struct arena *a = w->cli->arena;
    struct slice text = read_text(a, arena_printf(a, "%s/.assetsignore", w->root));
    const char **lines = arena_array(a, text.len + 1, sizeof(*lines));
    while (text.len > 0) {
        const struct slice line = slice_trim(slice_split(&text, '\n'));
        if (line.len > 0 && line.ptr[0] != '#')
            lines[w->ignored.len++] = arena_cstr(a, line);
    }
    w->ignored.items = lines;
}

/* As in .gitignore: a line without a slash inside is a name at any depth; the last one that matches
 * decides; "!" takes back. */
static bool is_ignored(const struct asset_walk *w, const char *path, const char *name,
                       bool is_folder)
{
    static const char *const never[] = {".assetsignore", "_headers", "_redirects", "_worker.js",
                                        ".git",          ".limpet",  ".wrangler",  "node_modules"};
    bool is = false;
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        if (strcmp(name, never[i]) == 0)
            return true;
    for (size_t i = 0; i < w->ignored.len; i++) {
        const char *line = w->ignored.items[i];
        const bool takes_back = line[0] == '!';
        struct slice text = slice_cstr(line + takes_back);
        const bool is_of_folders = slice_ends(text, SLICE_LIT("/"));
        if (is_of_folders && !is_folder)
            continue;
        text.len -= is_of_folders;
        const char *glob = arena_cstr(w->cli->arena, text);
        const bool is_path = strchr(glob, '/') != NULL;
        const char *subject = is_path ? path + (glob[0] != '/') : name;
        if (fnmatch(glob, subject, FNM_PATHNAME) == 0)
            is = !takes_back;
    }
    return is;
}

static void walk_refuse(struct asset_walk *w, enum err code, const char *what, const char *path,
                        const char *hint)
{
    error_set(&w->error, code, "%s: %.300s", what, path);
    error_hint(&w->error, "%s", hint);
}

static void add_file(struct asset_walk *w, const char *path, const char *file,
                     const struct stat *st)
{
    if (st->st_size > ASSETS_FILE_BYTES_MAX) {
        walk_refuse(w, ERR_TOO_LARGE, "an asset has at most 25 MiB", file,
                    "leave it out with a line in .assetsignore");
        return;
    }
    if (w->len == ASSETS_FILES_MAX) {
        walk_refuse(w, ERR_TOO_LARGE, "there are more than 20000 assets", w->root,
                    "leave some out with lines in .assetsignore");
        return;
    }
    if (w->len == w->cap) {
        const size_t cap = w->cap ? 2 * w->cap : 64;
        struct asset_source *files = arena_array(w->cli->arena, cap, sizeof(*files));
        if (w->len > 0)
            memcpy(files, w->files, w->len * sizeof(*files));
        w->files = files;
        w->cap = cap;
    }
    w->files[w->len++] = (struct asset_source){path, file, (uint64_t)st->st_size, 0, ""};
}

static void walk_folder(struct asset_walk *w, const char *at, int depth)
{
    struct arena *a = w->cli->arena;
    const char *folder = arena_printf(a, "%s%s", w->root, at);
    DIR *dir = opendir(folder);
    if (!dir || depth > ASSETS_DEPTH_MAX) {
        if (dir)
            closedir(dir);
        walk_refuse(w, ERR_IO, dir ? "a folder lies too deep" : "a folder cannot be read", folder,
                    "check assets.directory");
        return;
    }
    for (struct dirent *e; !w->error.code && (e = readdir(dir));) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        const char *path = arena_printf(a, "%s/%s", at, e->d_name);
        const char *file = arena_printf(a, "%s%s", w->root, path);
        if (stat(file, &st))
            continue; /* a link that leads nowhere */
        if (is_ignored(w, path, e->d_name, S_ISDIR(st.st_mode)))
            continue;
        if (S_ISDIR(st.st_mode))
            walk_folder(w, path, depth + 1);
        else if (S_ISREG(st.st_mode))
            add_file(w, path, file, &st);
    }
    closedir(dir);
}

static enum err read_file(const struct asset_source *f, struct bytes *out, struct error *ret_error)
{
    const int fd = open(f->file, O_RDONLY | O_CLOEXEC);
    bytes_clear(out);
    bytes_reserve(out, (size_t)f->size + 1);
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0 && out->len <= f->size) {
        n = read(fd, out->ptr + out->len, (size_t)f->size + 1 - out->len);
        out->len += n > 0 ? (size_t)n : 0;
    }
    const int os = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return error_set(ret_error, ERR_IO, "cannot read %.300s: %s", f->file, strerror(os));
    if (out->len == f->size)
        return OK;
    error_set(ret_error, ERR_IO, "%.300s changes while it is read", f->file);
    error_hint(ret_error, "deploy when the project's own build is over");
    return ERR_IO;
}

static bool is_page(const char *path)
{
    return slice_ends(slice_cstr(path), SLICE_LIT(".html"));
}

/* As it is sent. */
static enum err read_content(const struct asset_walk *w, const struct asset_source *f,
                             struct bytes *out, struct error *ret_error)
{
    enum err err = read_file(f, out, ret_error);
    if (!err && w->p->page_script && is_page(f->path))
        bytes_append_cstr(out, w->p->page_script);
    return err;
}

static void hash_of(struct slice content, char ret_hash[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    CHECK(EVP_Digest(content.ptr ? content.ptr : "", content.len, digest, &len, EVP_sha256(),
                     NULL) == 1);
    for (unsigned i = 0; i < len; i++)
        snprintf(ret_hash + 2 * (size_t)i, 3, "%02x", digest[i]);
}

static int compare_sources(const void *a, const void *b)
{
    return strcmp(((const struct asset_source *)a)->path, ((const struct asset_source *)b)->path);
}

static enum err find_files(struct asset_walk *w)
{
    CLEANUP(bytes_done) struct bytes content = BYTES_INIT;
    read_ignored(w);
    walk_folder(w, "", 0);
    if (!w->error.code && w->len > 0)
        qsort(w->files, w->len, sizeof(*w->files), compare_sources);
    for (size_t i = 0; i < w->len && !w->error.code; i++) {
        if (read_content(w, &w->files[i], &content, &w->error) == OK)
            hash_of(bytes_slice(&content), w->files[i].hash);
        w->files[i].sent_bytes = content.len;
        w->bytes += content.len;
    }
    return w->error.code;
}

/* ---- to the server ---- */

static int ask_missing(struct asset_walk *w, struct reply *ret_reply)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct json_writer j = json_writer(&body);
    json_open(&j, '{');
    json_key(&j, "hashes");
    json_open(&j, '[');
    for (size_t i = 0; i < w->len; i++)
        json_cstr(&j, w->files[i].hash);
    json_close(&j, ']');
    json_close(&j, '}');
    return client_send(w->cli, "POST", client_path(w->cli, "/assets", NULL, NULL),
                       bytes_slice(&body), 0, ret_reply);
}

static int send_file(struct asset_walk *w, const struct asset_source *f)
{
    CLEANUP(bytes_done) struct bytes content = BYTES_INIT;
    struct error error = {0};
    struct reply reply;
    if (read_content(w, f, &content, &error))
        return say_error(w->cli->is_json, &error, EXIT_FAILED);
    return client_send_bytes(w->cli, "PUT", client_path(w->cli, "/assets/%s", f->hash, NULL),
                             bytes_slice(&content), &reply);
}

static int send_missing(struct asset_walk *w)
{
    struct reply reply;
    struct body_value item;
    size_t sent = 0;
    int code = ask_missing(w, &reply);
    if (code)
        return code;
    struct map by_hash = {0};
    for (size_t i = 0; i < w->len; i++)
        (void)map_put(&by_hash, slice_cstr(w->files[i].hash), &w->files[i]);
    struct body_value missing = json_member(&reply.json, "missing");
    struct body_walk walk = {0};
    if (missing.kind == BODY_ARRAY)
        walk = body_walk(&missing);
    CLEANUP(bytes_done) struct bytes hash = BYTES_INIT;
    while (!code && missing.kind == BODY_ARRAY && body_next_item(&walk, &item)) {
        bytes_clear(&hash);
        if (item.kind == BODY_STRING)
            body_string(&item, &hash);
        const struct asset_source *f = map_remove(&by_hash, bytes_slice(&hash)); /* once */
        if (!f)
            continue;
        code = send_file(w, f);
        sent++;
    }
    map_done(&by_hash);
    char size[32];
    say_bytes(w->bytes, size, sizeof(size));
    if (!code)
        say_progress(w->cli->is_json || w->cli->is_quiet, "%zu assets (%s), %zu of them new",
                     w->len, size, sent);
    return code;
}

static void patterns_json(struct json_writer *j, const char *key, const struct project_texts *t)
{
    json_key(j, key);
    json_open(j, '[');
    for (size_t i = 0; i < t->len; i++)
        json_cstr(j, t->items[i]);
    json_close(j, ']');
}

static void text_json(struct json_writer *j, const char *key, struct slice text)
{
    if (text.len == 0)
        return;
    json_key(j, key);
    json_slice(j, text);
}

static void manifest_json(const struct asset_walk *w, struct bytes *out)
{
    const struct project_assets *pa = &w->p->assets;
    struct arena *a = w->cli->arena;
    struct json_writer j = json_writer(out);
    json_open(&j, '{');
    json_key(&j, "files");
    json_open(&j, '[');
    for (size_t i = 0; i < w->len; i++) {
        json_open(&j, '[');
        json_cstr(&j, w->files[i].path);
        json_cstr(&j, w->files[i].hash);
        json_int(&j, (int64_t)w->files[i].sent_bytes);
        json_close(&j, ']');
    }
    json_close(&j, ']');
    text_json(&j, "html", slice_cstr(pa->html));
    text_json(&j, "not_found", slice_cstr(pa->not_found));
    json_key(&j, "code");
    json_bool(&j, w->p->main != NULL);
    if (pa->is_code_first) {
        json_key(&j, "first");
        json_bool(&j, true);
    } else if (pa->code_first.len > 0) {
        patterns_json(&j, "first", &pa->code_first);
    }
    if (pa->immutable.len > 0)
        patterns_json(&j, "immutable", &pa->immutable);
    /* Workers before that day ask the code first. */
    if (w->p->is_foreign && w->p->compatibility_date &&
        strcmp(w->p->compatibility_date, "2025-04-01") < 0) {
        json_key(&j, "navigation");
        json_bool(&j, false);
    }
    text_json(&j, "headers", read_text(a, arena_printf(a, "%s/_headers", w->root)));
    text_json(&j, "redirects", read_text(a, arena_printf(a, "%s/_redirects", w->root)));
    json_close(&j, '}');
}

int assets_upload(struct cli *cli, const struct project *p, struct bytes *out)
{
    struct asset_walk *w = arena_new_struct(cli->arena, struct asset_walk);
    struct assets *checked;
    struct stat st;
    if (!p->assets.directory)
        return EXIT_OK;
    *w = (struct asset_walk){.cli = cli, .p = p, .root = project_path(p, p->assets.directory)};
    if (stat(w->root, &st) || !S_ISDIR(st.st_mode)) {
        walk_refuse(w, ERR_NOT_FOUND, "assets.directory is no folder", w->root,
                    "is it made by the project's own build? Run that first, or name it in "
                    "build.command");
        return say_error(cli->is_json, &w->error, EXIT_FAILED);
    }
    if (find_files(w))
        return say_error(cli->is_json, &w->error, EXIT_FAILED);
    manifest_json(w, out);
    if (assets_parse(bytes_slice(out), &checked, &w->error))
        return say_error(cli->is_json, &w->error, EXIT_FAILED);
    assets_unref(checked);
    return w->len > 0 ? send_missing(w) : EXIT_OK;
}
