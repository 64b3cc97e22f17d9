/* SPDX-License-Identifier: Apache-2.0
 *
 * Bundling (see bundle.h): one run of esbuild in a private temporary folder, which is removed
 * whatever happens.
 *
 * An uploaded source text must not make the server read anything else. Three doors are closed:
 *   - it is not bundled (no --bundle), so that no import, and no import() of a pattern, is ever
 * looked up on the disk; what it imports is read from the metafile afterwards and judged by us;
 *   - esbuild would load the file that a "sourceMappingURL" comment of the text names, and the last
 * one counts, so a harmless last one is appended (the map's copy of the source is the text as
 * given);
 *   - --tsconfig-raw keeps it from searching for a tsconfig.json.
 * The map's list of sources is checked to be that one text.
 *
 * Blocking; any thread. Limits: LIMIT_SOURCE_BYTES, LIMIT_BUILD_MS, LIMIT_BUILD_MEMORY_BYTES. */
#include "script/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "loop/process.h"
#include "sandbox/nested.h"
#include "script/bundle_internal.h"
#include "script/wasm_modules.h"

#define BUNDLE_NO_MAP "\n//# sourceMappingURL=data:application/json,%7B%7D"

enum {
    BUNDLE_MAP_BYTES_MAX =
        8 * LIMIT_SOURCE_BYTES, /* it holds the sources, which may have shrunk into the bundle */
    BUNDLE_OUTPUT_BYTES_MAX = 1024 * 1024, /* of esbuild's messages */
    BUNDLE_GO_MEMORY_BYTES =
        LIMIT_BUILD_MEMORY_BYTES / 4 * 3, /* Go collects harder before it is killed */
};

/* ---- the temporary folder ---- */

struct bundle_folder {
    struct bytes path; /* empty: none */
};

static enum err bundle_folder_make(struct bundle_folder *f, struct error *ret_error)
{
    const char *root = getenv("TMPDIR");
    bytes_printf(&f->path, "%s/limpet-build-XXXXXX", root && root[0] == '/' ? root : "/tmp");
    (void)bytes_cstr(&f->path);
    if (mkdtemp(f->path.ptr))
        return OK;
    enum err code = error_set(ret_error, ERR_IO, "cannot make a temporary folder %s: %s",
                              bytes_cstr(&f->path), strerror(errno));
    error_hint(ret_error,
               "set TMPDIR to a folder with some space that the server's user may write");
    bytes_done(&f->path);
    return code;
}

static int bundle_remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    (void)remove(path);
    return 0;
}

static void bundle_folder_remove(struct bundle_folder *f)
{
    enum { OPEN_FOLDERS = 8 };
    if (f->path.len)
        (void)nftw(bytes_cstr(&f->path), bundle_remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
    bytes_done(&f->path);
}

static void bundle_folder_path(const struct bundle_folder *f, const char *name, struct bytes *out)
{
    bytes_append_slice(out, bytes_slice(&f->path));
    bytes_append_char(out, '/');
    bytes_append_cstr(out, name);
}

enum err bundle_write_file(const char *path, struct slice first, struct slice second,
                           struct error *ret_error)
{
    FILE *file = fopen(path, "wxe");
    if (!file)
        return error_set(ret_error, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    bool is_good = fwrite(first.ptr ? first.ptr : "", 1, first.len, file) == first.len &&
                   fwrite(second.ptr, 1, second.len, file) == second.len;
    int os = errno;
    if (fclose(file) && is_good) {
        is_good = false;
        os = errno;
    }
    return is_good ? OK : error_set(ret_error, ERR_IO, "cannot write %s: %s", path, strerror(os));
}

static enum err bundle_read_file(const char *path, size_t len_max, struct bytes *out,
                                 struct error *ret_error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(ret_error, ERR_IO, "cannot read %s: %s", path, strerror(errno));
    enum err code = OK;
    char chunk[16 * 1024];
    ssize_t len = 1;
    while (code == OK && len) {
        len = read(fd, chunk, sizeof(chunk));
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            code = error_set(ret_error, ERR_IO, "cannot read %s: %s", path, strerror(errno));
        else if (bytes_try_append(out, chunk, (size_t)len, len_max) != OK)
            code = error_set(ret_error, ERR_TOO_LARGE, "the bundle is larger than %d MiB",
                             LIMIT_SOURCE_BYTES >> 20);
    }
    close(fd);
    return code;
}

static enum err bundle_read_result(const struct bundle_folder *f, const char *name, size_t len_max,
                                   struct bytes *out, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    bundle_folder_path(f, name, &path);
    return bundle_read_file(bytes_cstr(&path), len_max, out, ret_error);
}

/* ---- running esbuild ---- */

void bundle_arg(struct bundle_argv *argv, const char *format, ...)
{
    struct bytes text = BYTES_INIT;
    va_list args;
    va_start(args, format);
    bytes_vprintf(&text, format, args);
    va_end(args);
    CHECK(argv->len + 1 < ARRAY_LEN(argv->args));
    argv->args[argv->len++] = bytes_take(&text);
}

static void bundle_argv_done(struct bundle_argv *argv)
{
    for (size_t i = 0; i < argv->len; i++)
        free(argv->args[i]);
}

static void bundle_args_common(struct bundle_argv *argv, const struct bundle_config *config,
                               const struct bundle_folder *f, const char *entry)
{
    bundle_arg(argv, "%s", config->esbuild);
    bundle_arg(argv, "%s", entry);
    bundle_arg(argv, "--format=esm");
    bundle_arg(argv, "--target=es2023");
    bundle_arg(argv, "--charset=utf8");
    bundle_arg(argv, "--legal-comments=none");
    /* Names of functions and classes are what the source says, also where esbuild renames. */
    bundle_arg(argv, "--keep-names");
    bundle_arg(argv, "--define:process.env.NODE_ENV=\"production\"");
    bundle_arg(argv, "--sourcemap=external");
    /* Ours to fill in: esbuild 0.28 does not end when it quotes a source that is not UTF-8. */
    bundle_arg(argv, "--sources-content=false");
    bundle_arg(argv, "--outfile=%s/out.js", bytes_cstr((struct bytes *)&f->path));
    bundle_arg(argv, "--metafile=%s/meta.json", bytes_cstr((struct bytes *)&f->path));
    bundle_arg(argv, "--log-level=error");
    bundle_arg(argv, "--log-limit=20");
    bundle_arg(argv, "--color=false");
}

/* OK: esbuild wrote its results. ERR_BUILD_FAILED fills ret_failure. */
static enum err bundle_run(const struct bundle_argv *argv, const char *node_path, const char *cwd,
                           const struct bundle_source_reader *reader,
                           struct bundle_failure *ret_failure, struct error *ret_error)
{
    char memory[48];
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    bytes_printf(&path, "NODE_PATH=%s", node_path);
    snprintf(memory, sizeof(memory), "GOMEMLIMIT=%d", BUNDLE_GO_MEMORY_BYTES);
    const char *const env[] = {"GOMAXPROCS=2",     memory,
                               "GOTRACEBACK=none", "PATH=/usr/local/bin:/usr/bin:/bin",
                               bytes_cstr(&path),  NULL};
    struct process p = {
        .argv = (const char *const *)argv->args,
        .env = env,
        .cwd = cwd,
        .time_ms_max = LIMIT_BUILD_MS,
        .memory_bytes_max = LIMIT_BUILD_MEMORY_BYTES,
        .output_bytes_max = BUNDLE_OUTPUT_BYTES_MAX,
    };
    struct error error;
    enum err code = process_run(&p, &error);
    if (code == ERR_TIMEOUT)
        code = bundle_fail(ret_failure, ret_error, SLICE_EMPTY, 0, 0, SLICE_EMPTY,
                           "bundling took longer than %d seconds", LIMIT_BUILD_MS / 1000);
    else if (code != OK)
        code = error_set(ret_error, code, "cannot run esbuild: %s", error.message);
    else if (p.exit_code == -1)
        code = bundle_fail(ret_failure, ret_error, SLICE_EMPTY, 0, 0, SLICE_EMPTY,
                           "the bundler was killed, probably because it ran out of memory (%d MiB)",
                           LIMIT_BUILD_MEMORY_BYTES >> 20);
    else if (p.exit_code != 0)
        code = bundle_parse_failure(bytes_slice(&p.err), reader, ret_failure, ret_error);
    process_done(&p);
    return code;
}

/* ---- results ---- */

/* Where a bundle's sources come from. */
struct bundle_sources {
    /* What stack traces shall show: the name without a path of this machine. */
    void (*rename)(void *arg, const char *name, struct bytes *out);
    struct bundle_source_reader reader; /* by that name */
    bool is_upload;                     /* one source text */
    struct slice modules;               /* of WebAssembly, behind that (wasm_modules.h) */
    const char *base;                   /* where esbuild ran; NULL: nobody asks what it read */
};

/* The text of a source, with a replacement character for each byte that is not UTF-8. */
static json_t *bundle_text_json(struct slice text)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    while (text.len) {
        size_t n = slice_utf8_char(text);
        bytes_append_slice(&out, n ? slice_of(text.ptr, n) : SLICE_LIT("\xef\xbf\xbd"));
        text = slice_skip(text, n ? n : 1);
    }
    json_t *value = json_stringn(out.ptr ? out.ptr : "", out.len);
    return value ? value : json_null();
}

/* Only files that esbuild has read: a package's own source map may name any. */
static json_t *bundle_content(const struct bundle_sources *from, const json_t *inputs,
                              const struct bytes *name, size_t *total)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    if (!from->is_upload && (!json_object_getn(inputs, name->ptr ? name->ptr : "", name->len) ||
                             *total > LIMIT_SOURCE_BYTES * 4UL))
        return json_null();
    if (!from->reader.read(from->reader.arg, bytes_slice(name), &text))
        return json_null();
    *total += text.len;
    return bundle_text_json(bytes_slice(&text));
}

/* Renames the map's sources and gives it their texts. meta: esbuild's metafile. */
static enum err bundle_finish_map(struct slice json, struct slice meta,
                                  const struct bundle_sources *from, struct bytes *out,
                                  struct error *ret_error)
{
    json_t *root = json_loadb(json.ptr, json.len, JSON_ALLOW_NUL, NULL);
    json_t *read = json_loadb(meta.ptr ? meta.ptr : "", meta.len, 0, NULL);
    json_t *sources = json_object_get(root, "sources"), *contents = json_array();
    size_t total = 0;
    enum err code = OK;
    if (!json_is_array(sources))
        code = error_set(ret_error, ERR_INTERNAL, "the bundler's source map cannot be read");
    else if (from->is_upload && json_array_size(sources) > 1)
        code = error_set(ret_error, ERR_INTERNAL, "the bundler read more than the source text");
    for (size_t i = 0; code == OK && i < json_array_size(sources); i++) {
        CLEANUP(bytes_done) struct bytes name = BYTES_INIT;
        const char *given = json_string_value(json_array_get(sources, i));
        from->rename(from->reader.arg, given ? given : "", &name);
        json_t *value = json_stringn(name.ptr ? name.ptr : "",
                                     name.len); /* NULL: a file name that is not UTF-8 */
        CHECK(json_array_set_new(sources, i, value ? value : json_string("?")) == 0);
        CHECK(json_array_append_new(contents, bundle_content(from, json_object_get(read, "inputs"),
                                                             &name, &total)) == 0);
    }
    json_decref(read);
    if (code == OK)
        CHECK(json_object_set(root, "sourcesContent", contents) == 0);
    json_decref(contents);
    char *text = code == OK ? json_dumps(root, JSON_COMPACT) : NULL;
    if (text)
        bytes_append_cstr(out, text);
    else if (code == OK)
        code = error_set(ret_error, ERR_INTERNAL, "the bundler's source map cannot be written");
    free(text);
    json_decref(root);
    return code;
}

/* Appends one relative path to an absolute folder, resolving "." and ".." by text. */
static void bundle_join(struct slice folder, struct slice relative, struct bytes *out)
{
    bytes_append_slice(out, folder);
    while (out->len > 1 && out->ptr[out->len - 1] == '/')
        out->len--;
    if (relative.len && relative.ptr[0] == '/')
        bytes_clear(out);
    while (relative.len) {
        struct slice part = slice_split(&relative, '/');
        if (!part.len || slice_eq_cstr(part, "."))
            continue;
        if (slice_eq_cstr(part, "..")) {
            while (out->len && out->ptr[out->len - 1] != '/')
                out->len--;
            if (out->len)
                out->len--;
            continue;
        }
        bytes_append_char(out, '/');
        bytes_append_slice(out, part);
    }
}

/* The files that esbuild has read, from its metafile, whose names are relative to the folder that it
 * ran in. */
static void bundle_list_inputs(struct slice meta, const char *base, struct bytes *out)
{
    json_t *root = json_loadb(meta.ptr ? meta.ptr : "", meta.len, 0, NULL), *input;
    const char *name;
    json_object_foreach(json_object_get(root, "inputs"), name, input)
    {
        if (strchr(name, '\n') || strchr(name, ':')) /* "(disabled):…", "data:…" */
            continue;
        bundle_join(slice_cstr(base), slice_cstr(name), out);
        bytes_append_char(out, '\n');
    }
    json_decref(root);
}

/* A file of WebAssembly that esbuild has put beside its output. */
static enum err bundle_add_module(const struct bundle_folder *f, const char *output,
                                  struct bytes *code, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes wasm = BYTES_INIT, name = BYTES_INIT;
    const char *slash = strrchr(output, '/');
    const char *file = slash ? slash + 1 : output;
    enum err err = bundle_read_result(f, file, NESTED_MODULE_BYTES_MAX, &wasm, ret_error);
    if (err != OK)
        return error_context(ret_error, err, "%s", file);
    bytes_printf(&name, "./%s", file);
    wasm_modules_append(code, bytes_slice(&name), bytes_slice(&wasm));
    if (code->len > LIMIT_SOURCE_BYTES)
        return error_set(ret_error, ERR_TOO_LARGE,
                         "the bundle with its WebAssembly modules is larger than %d MiB",
                         LIMIT_SOURCE_BYTES >> 20);
    return OK;
}

/* Behind the code: those that stood behind the source, and those that esbuild found. */
static enum err bundle_add_modules(const struct bundle_folder *f, struct slice meta,
                                   struct slice modules, struct bytes *code,
                                   struct error *ret_error)
{
    json_t *root = json_loadb(meta.ptr ? meta.ptr : "", meta.len, 0, NULL), *output;
    const char *name;
    enum err err = OK;
    if (modules.len > 0 && code->len > 0 && code->ptr[code->len - 1] != '\n')
        bytes_append_char(code, '\n');
    bytes_append_slice(code, modules);
    json_object_foreach(json_object_get(root, "outputs"), name, output)
    {
        if (err == OK && slice_ends(slice_cstr(name), SLICE_LIT(".wasm")))
            err = bundle_add_module(f, name, code, ret_error);
    }
    json_decref(root);
    return err;
}

static struct bundle bundle_take(struct bundle *b)
{
    struct bundle taken = *b;
    *b = (struct bundle){0};
    return taken;
}

/* Takes esbuild's results from the folder and checks them. */
static enum err bundle_collect(const struct bundle_folder *f, const struct bundle_sources *from,
                               struct bundle *ret_bundle, struct bundle_failure *ret_failure,
                               struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes meta = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes map = BYTES_INIT;
    CLEANUP(bundle_done) struct bundle bundle = {0};
    enum err code = bundle_read_result(f, "meta.json", BUNDLE_MAP_BYTES_MAX, &meta, ret_error);
    if (code == OK)
        code = bundle_read_result(f, "out.js", LIMIT_SOURCE_BYTES, &bundle.code, ret_error);
    if (code == OK)
        code = bundle_read_result(f, "out.js.map", BUNDLE_MAP_BYTES_MAX, &map, ret_error);
    if (code == OK)
        code = bundle_finish_map(bytes_slice(&map), bytes_slice(&meta), from, &bundle.source_map,
                                 ret_error);
    if (code == OK)
        code = bundle_check_imports(bytes_slice(&meta), bytes_slice(&bundle.code),
                                    bytes_slice(&bundle.source_map), from->is_upload, from->modules,
                                    ret_failure, ret_error);
    if (code == OK)
        code = bundle_add_modules(f, bytes_slice(&meta), from->modules, &bundle.code, ret_error);
    if (code == OK && from->base)
        bundle_list_inputs(bytes_slice(&meta), from->base, &bundle.inputs);
    if (code == OK)
        *ret_bundle = bundle_take(&bundle);
    return code;
}

static enum err bundle_too_large(struct bundle_failure *ret_failure, struct error *ret_error,
                                 size_t len)
{
    *ret_failure = (struct bundle_failure){0};
    return error_set(ret_error, ERR_TOO_LARGE,
                     "the source has %zu bytes, at most %d MiB are allowed", len,
                     LIMIT_SOURCE_BYTES >> 20);
}

static enum err bundle_check_program(const struct bundle_config *config, struct error *ret_error)
{
    if (config->esbuild)
        return OK;
    enum err code =
        error_set(ret_error, ERR_UNAVAILABLE, "esbuild, which bundles TypeScript, was not found");
    error_hint(ret_error, "install it (npm install -g esbuild), or set LIMPET_ESBUILD to its path");
    return code;
}

/* ---- one source text ---- */

struct bundle_text {
    struct slice source;
    const char *file; /* "NAME.ts" */
};

static bool bundle_text_read(void *arg, struct slice file, struct bytes *out)
{
    const struct bundle_text *t = arg;
    if (!slice_eq_cstr(file, t->file))
        return false;
    bytes_append_slice(out, t->source);
    return true;
}

static void bundle_text_name(void *arg, const char *name, struct bytes *out)
{
    (void)name;
    bytes_append_cstr(out, ((const struct bundle_text *)arg)->file);
}

static bool bundle_is_name(const char *name)
{
    return name[0] && name[0] != '.' && name[0] != '-' && strlen(name) <= 200 && !strchr(name, '/');
}

enum err bundle_source(const struct bundle_config *config, struct slice source,
                       struct bundle *ret_bundle, struct bundle_failure *ret_failure,
                       struct error *ret_error)
{
    *ret_failure = (struct bundle_failure){0};
    if (source.len > LIMIT_SOURCE_BYTES)
        return bundle_too_large(ret_failure, ret_error, source.len);
    if (!bundle_is_name(config->name))
        return error_set(ret_error, ERR_INVALID, "'%.64s' cannot be the name of a source",
                         config->name);
    if (!slice_is_utf8(source))
        return bundle_fail(ret_failure, ret_error, SLICE_EMPTY, 0, 0, SLICE_EMPTY,
                           "the source is not UTF-8 text");

    CLEANUP(bundle_folder_remove) struct bundle_folder folder = {BYTES_INIT};
    CLEANUP(bundle_argv_done) struct bundle_argv argv = {.len = 0};
    CLEANUP(bytes_done) struct bytes file = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    enum err code = bundle_check_program(config, ret_error);
    if (code == OK)
        code = bundle_folder_make(&folder, ret_error);
    if (code != OK)
        return code;
    bytes_printf(&file, "%s.ts", config->name);
    bundle_folder_path(&folder, bytes_cstr(&file), &path);
    struct slice modules;
    wasm_modules_split(source, &source, &modules);
    code = bundle_write_file(bytes_cstr(&path), source, SLICE_LIT(BUNDLE_NO_MAP), ret_error);
    if (code != OK)
        return code;
    bytes_clear(&path);
    bytes_printf(&path, "./%s", bytes_cstr(&file));
    bundle_args_common(&argv, config, &folder, bytes_cstr(&path));
    bundle_arg(&argv, "--tsconfig-raw={}");
    struct bundle_text text = {.source = source, .file = bytes_cstr(&file)};
    const struct bundle_sources from = {
        bundle_text_name, {bundle_text_read, &text}, true, modules, NULL};
    code = bundle_run(&argv, "", bytes_cstr(&folder.path), &from.reader, ret_failure, ret_error);
    if (code != OK)
        return code;
    return bundle_collect(&folder, &from, ret_bundle, ret_failure, ret_error);
}

/* ---- a file with what it imports ---- */

struct bundle_project {
    char base[PATH_MAX];        /* sources are named relative to this */
    const struct bytes *folder; /* of the results; esbuild names sources relative to it */
};

/* The nearest folder above the entry that has a package.json, else the entry's own: names in stack
 * traces then do not depend on where the command was run. */
static void bundle_find_base(char *path)
{
    char *slash = strrchr(path, '/');
    size_t own = slash == path ? 1 : (size_t)(slash - path);
    for (size_t len = own;;) {
        CLEANUP(bytes_done) struct bytes at = BYTES_INIT;
        bytes_printf(&at, "%.*s%spackage.json", (int)len, path, len == 1 ? "" : "/");
        if (access(bytes_cstr(&at), F_OK) == 0) {
            own = len;
            break;
        }
        if (len == 1)
            break;
        while (path[--len] != '/')
            ;
        if (!len)
            len = 1;
    }
    path[own] = '\0';
}

/* The path of an absolute file seen from base: "src/a.ts", "../shared/b.ts". */
static void bundle_relative(struct slice base, struct slice file, struct bytes *out)
{
    size_t common = 0;
    for (size_t i = 0; i <= base.len && i <= file.len; i++) {
        bool base_ends = i == base.len || base.ptr[i] == '/',
             file_ends = i == file.len || file.ptr[i] == '/';
        if (base_ends && file_ends)
            common = i;
        if (i == base.len || i == file.len || base.ptr[i] != file.ptr[i])
            break;
    }
    struct slice above = slice_skip(base, common);
    while (above.len)
        if (slice_split(&above, '/').len)
            bytes_append_cstr(out, "../");
    bytes_append_slice(out, slice_skip(file, common + (common < file.len)));
}

/* As wrangler has it, so that packages give the code that they have for Workers, else for browsers
 * (https://developers.cloudflare.com/workers/wrangler/bundling/). Files that are no code are their
 * text or their bytes. */
static void bundle_args_project(struct bundle_argv *argv)
{
    static const char *const texts[] = {"txt", "html", "htm", "sql", "md", "csv", "svg", NULL};
    static const char *const bytes[] = {"bin", "png", "jpg",   "jpeg", "gif", "webp", "avif",
                                        "ico", "pdf", "woff2", "woff", "ttf", "otf",  NULL};
    bundle_arg(argv, "--bundle");
    bundle_arg(argv, "--platform=browser");
    bundle_arg(argv, "--conditions=workerd,worker,browser");
    for (size_t i = 0; texts[i]; i++)
        bundle_arg(argv, "--loader:.%s=text", texts[i]);
    for (size_t i = 0; bytes[i]; i++)
        bundle_arg(argv, "--loader:.%s=binary", bytes[i]);
    bundle_arg(argv, "--loader:.wasm=copy");
    bundle_arg(argv, "--asset-names=[name]-[hash]");
    for (size_t i = 0; bundle_platform[i]; i++)
        bundle_arg(argv, "--external:%s", bundle_platform[i]);
}

static void bundle_project_name(void *arg, const char *name, struct bytes *out)
{
    const struct bundle_project *p = arg;
    CLEANUP(bytes_done) struct bytes absolute = BYTES_INIT;
    bundle_join(bytes_slice(p->folder), slice_cstr(name), &absolute);
    struct slice base = slice_cstr(p->base);
    if (slice_eq_cstr(base, "/"))
        base = SLICE_EMPTY;
    bundle_relative(base, bytes_slice(&absolute), out);
}

static bool bundle_project_read(void *arg, struct slice file, struct bytes *out)
{
    const struct bundle_project *p = arg;
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    bundle_join(slice_cstr(p->base), file, &path);
    return bundle_read_file(bytes_cstr(&path), LIMIT_SOURCE_BYTES, out, NULL) == OK;
}

enum err bundle_file(const struct bundle_config *config, const char *entry,
                     struct bundle *ret_bundle, struct bundle_failure *ret_failure,
                     struct error *ret_error)
{
    *ret_failure = (struct bundle_failure){0};
    struct bundle_project project;
    char path[PATH_MAX];
    struct stat st;
    if (!realpath(entry, path) || stat(path, &st))
        return error_set(ret_error, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot read %s: %s",
                         entry, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return error_set(ret_error, ERR_INVALID, "%s is not a file", entry);
    if (st.st_size > LIMIT_SOURCE_BYTES)
        return bundle_too_large(ret_failure, ret_error, (size_t)st.st_size);
    memcpy(project.base, path, sizeof(path));
    if (!config->base || !realpath(config->base, project.base))
        bundle_find_base(project.base);

    CLEANUP(bundle_folder_remove) struct bundle_folder folder = {BYTES_INIT};
    CLEANUP(bundle_argv_done) struct bundle_argv argv = {.len = 0};
    CLEANUP(bytes_done) struct bytes name = BYTES_INIT;
    enum err code = bundle_check_program(config, ret_error);
    if (code == OK)
        code = bundle_folder_make(&folder, ret_error);
    if (code != OK)
        return code;
    project.folder = &folder.path;
    CLEANUP(bytes_done) struct bytes stubs = BYTES_INIT;
    bundle_folder_path(&folder, "node", &stubs);
    code = bundle_node_stubs(bytes_cstr(&stubs), ret_error);
    if (code != OK)
        return code;
    bytes_append_cstr(&name, "./");
    bundle_relative(slice_cstr(project.base[1] ? project.base : ""), slice_cstr(path), &name);
    bundle_args_common(&argv, config, &folder, bytes_cstr(&name));
    bundle_args_project(&argv);
    code = bundle_node_args(&argv, project.base, bytes_cstr(&stubs), ret_error);
    if (code != OK)
        return code;
    for (size_t i = 0; config->args && config->args[i]; i++) {
        if (i == BUNDLE_ARGS_MAX)
            return error_set(ret_error, ERR_TOO_LARGE,
                             "there are more than %d settings of bundling", BUNDLE_ARGS_MAX);
        bundle_arg(&argv, "%s", config->args[i]);
    }
    const struct bundle_sources from = {
        bundle_project_name, {bundle_project_read, &project}, false, SLICE_EMPTY, project.base};
    code =
        bundle_run(&argv, bytes_cstr(&stubs), project.base, &from.reader, ret_failure, ret_error);
    if (code != OK)
        return code;
    return bundle_collect(&folder, &from, ret_bundle, ret_failure, ret_error);
}

void bundle_done(struct bundle *b)
{
    bytes_done(&b->code);
    bytes_done(&b->source_map);
    bytes_done(&b->inputs);
}

/* ---- finding the program ---- */

#if defined(__x86_64__)
#define BUNDLE_ARCH "x64"
#elif defined(__aarch64__)
#define BUNDLE_ARCH "arm64"
#else
#define BUNDLE_ARCH "unknown"
#endif

static char *bundle_executable(struct slice folder, const char *name)
{
    struct bytes path = BYTES_INIT;
    struct stat st;
    bytes_printf(&path, "%.*s/%s", SLICE_ARG(folder), name);
    if (stat(bytes_cstr(&path), &st) == 0 && S_ISREG(st.st_mode) &&
        access(bytes_cstr(&path), X_OK) == 0)
        return bytes_take(&path);
    bytes_done(&path);
    return NULL;
}

/* The native program before the one in .bin, which may be a script that needs Node.js. */
static char *bundle_find_above(struct slice folder)
{
    for (;;) {
        char *found =
            bundle_executable(folder, "node_modules/@esbuild/linux-" BUNDLE_ARCH "/bin/esbuild");
        if (!found)
            found = bundle_executable(folder, "node_modules/.bin/esbuild");
        if (found || !folder.len)
            return found;
        while (folder.len && folder.ptr[folder.len - 1] != '/')
            folder.len--;
        folder.len -= folder.len > 0;
    }
}

char *bundle_find_esbuild(void)
{
    const char *chosen = getenv("LIMPET_ESBUILD");
    if (chosen && chosen[0])
        return strdup(chosen); /* if it is wrong, running it says so by its name */
    char program[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", program, sizeof(program));
    char *found = NULL;
    if (len > 0) {
        struct slice folder = slice_of(program, (size_t)len);
        while (folder.len && folder.ptr[folder.len - 1] != '/')
            folder.len--;
        folder.len -= folder.len > 0;
        found = bundle_executable(folder, "esbuild");
        if (!found)
            found = bundle_find_above(folder);
    }
    struct slice rest = slice_cstr(getenv("PATH"));
    while (!found && rest.len) {
        struct slice folder = slice_split(&rest, ':');
        if (folder.len)
            found = bundle_executable(folder, "esbuild");
    }
    return found;
}
