/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules of Node.js in bundles. esbuild finds each name, with and without "node:", as a file of one
 * line in a folder that NODE_PATH names: so it is what is left when nothing else says what a name
 * is, and a package's own "browser" map has its say. As in Node, our module goes before an installed
 * package of the same name, which takes an alias. The files import "limpet:node/NAME", which stays an
 * import: the engine has it. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "script/builtin.h"
#include "script/bundle_internal.h"

static enum err node_folder(const char *path, struct error *ret_error)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return OK;
    return error_set(ret_error, ERR_IO, "cannot make %s: %s", path, strerror(errno));
}

static enum err node_stub(const char *folder, const char *prefix, struct slice name,
                          struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    const ptrdiff_t slash = slice_find(name, '/');
    if (slash > 0) {
        bytes_printf(&path, "%s/%s%.*s", folder, prefix, (int)slash, name.ptr);
        enum err code = node_folder(bytes_cstr(&path), ret_error);
        if (code != OK)
            return code;
        bytes_clear(&path);
    }
    bytes_printf(&path, "%s/%s%.*s.js", folder, prefix, SLICE_ARG(name));
    /* require() gives the default export, as in Node; a name that is not there is undefined. */
    bytes_printf(&text, "import module_ from \"%s%.*s\";\nmodule.exports = module_;\n",
                 bundle_node_prefix, SLICE_ARG(name));
    return bundle_write_file(bytes_cstr(&path), bytes_slice(&text), SLICE_LIT(""), ret_error);
}

/* As in Node: without the prefix these are packages. */
static bool node_needs_prefix(struct slice name)
{
    return slice_eq_cstr(name, "sqlite") || slice_eq_cstr(name, "test");
}

enum err bundle_node_stubs(const char *folder, struct error *ret_error)
{
    enum err code = node_folder(folder, ret_error);
    for (size_t i = 0; code == OK && builtin_name(i).len; i++) {
        code = node_stub(folder, "node:", builtin_name(i), ret_error);
        if (code == OK && !node_needs_prefix(builtin_name(i)))
            code = node_stub(folder, "", builtin_name(i), ret_error);
    }
    return code;
}

/* The folder of the package of that name that is installed for code in this folder. */
static bool node_find_installed(const char *folder, struct slice name, struct bytes *out)
{
    for (size_t len = strlen(folder);;) {
        while (len && folder[len - 1] == '/')
            len--;
        bytes_clear(out);
        bytes_printf(out, "%.*s/node_modules/%.*s", (int)len, folder, SLICE_ARG(name));
        if (access(bytes_cstr(out), F_OK) == 0)
            return true;
        if (!len)
            return false;
        while (len && folder[len - 1] != '/')
            len--;
    }
}

static enum err node_link(const char *folder, const char *name, const char *target,
                          struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    bytes_printf(&path, "%s/%s", folder, name);
    if (symlink(target, bytes_cstr(&path)) == 0 || errno == EEXIST)
        return OK; /* what is there already is ours and goes first */
    return error_set(ret_error, ERR_IO, "cannot make %s: %s", bytes_cstr(&path), strerror(errno));
}

static void node_close_folder(DIR **folder)
{
    if (*folder)
        closedir(*folder);
}

/* The alias of a name takes what is below it along ("events/events.js"), which is the package's. So
 * that stands in a folder beside our file, for which esbuild looks first. The folder may
 * have modules of ours ("util/types"), hence a link for each entry. */
static enum err node_link_package(const char *folder, struct slice name, const char *package,
                                  struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes own = BYTES_INIT;
    CLEANUP(node_close_folder) DIR *entries = opendir(package);
    bytes_printf(&own, "%s/%.*s", folder, SLICE_ARG(name));
    enum err code = node_folder(bytes_cstr(&own), ret_error);
    for (struct dirent *entry; code == OK && entries && (entry = readdir(entries));) {
        CLEANUP(bytes_done) struct bytes target = BYTES_INIT;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        bytes_printf(&target, "%s/%s", package, entry->d_name);
        code = node_link(bytes_cstr(&own), entry->d_name, bytes_cstr(&target), ret_error);
    }
    return code;
}

enum err bundle_node_args(struct bundle_argv *argv, const char *base, const char *folder,
                          struct error *ret_error)
{
    struct slice name;
    enum err code = OK;
    bundle_arg(argv, "--external:%s*", bundle_node_prefix);
    for (size_t i = 0; code == OK && (name = builtin_name(i)).len; i++) {
        CLEANUP(bytes_done) struct bytes package = BYTES_INIT;
        if (slice_find(name, '/') >= 0 || node_needs_prefix(name) ||
            !node_find_installed(base, name, &package))
            continue;
        bundle_arg(argv, "--alias:%.*s=%s/%.*s", SLICE_ARG(name), folder, SLICE_ARG(name));
        code = node_link_package(folder, name, bytes_cstr(&package), ret_error);
    }
    return code;
}
