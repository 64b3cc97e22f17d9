/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules of Node.js in bundles. esbuild finds each name, with and without "node:", as a file of one
 * line in a folder that NODE_PATH names: so it is what is left when nothing else says what a name
 * is, and a package's own "browser" map has its say. As in Node, our module goes before an installed
 * package of the same name, which takes an alias. The files import "limpet:node/NAME", which stays an
 * import: the engine has it. */
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

enum err bundle_node_stubs(const char *folder, struct error *ret_error)
{
    enum err code = node_folder(folder, ret_error);
    for (size_t i = 0; code == OK && builtin_name(i).len; i++) {
        code = node_stub(folder, "node:", builtin_name(i), ret_error);
        if (code == OK)
            code = node_stub(folder, "", builtin_name(i), ret_error);
    }
    return code;
}

/* Is a package of that name installed for code in this folder? */
static bool node_is_installed(const char *folder, struct slice name)
{
    for (size_t len = strlen(folder);;) {
        CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
        while (len && folder[len - 1] == '/')
            len--;
        bytes_printf(&path, "%.*s/node_modules/%.*s", (int)len, folder, SLICE_ARG(name));
        if (access(bytes_cstr(&path), F_OK) == 0)
            return true;
        if (!len)
            return false;
        while (len && folder[len - 1] != '/')
            len--;
    }
}

void bundle_node_args(struct bundle_argv *argv, const char *base, const char *folder)
{
    struct slice name;
    bundle_arg(argv, "--external:%s*", bundle_node_prefix);
    for (size_t i = 0; (name = builtin_name(i)).len; i++)
        if (slice_find(name, '/') < 0 && node_is_installed(base, name))
            bundle_arg(argv, "--alias:%.*s=%s/%.*s", SLICE_ARG(name), folder, SLICE_ARG(name));
}
