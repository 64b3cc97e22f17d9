/* SPDX-License-Identifier: Apache-2.0
 *
 * How much memory this process may use: a container's limit is not in what sysconf() says. Version
 * 2 of cgroups has memory.max in the process's own folder and in those above it, version 1 a tree
 * of its own (kernel: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst). */
#include "server/accounts.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* UINT64_MAX: no limit there ("max"), or no such file. */
static uint64_t limit_in(const char *folder, const char *file)
{
    char path[1024], text[64] = "";
    if (snprintf(path, sizeof(path), "%s/%s", folder, file) >= (int)sizeof(path))
        return UINT64_MAX;
    FILE *f = fopen(path, "re");
    if (!f)
        return UINT64_MAX;
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    (void)fclose(f);
    uint64_t value;
    return slice_to_u64(slice_trim(slice_of(text, n)), &value) ? value : UINT64_MAX;
}

/* The least limit on the way up. path: of the process in that tree, "/a/b". */
static uint64_t least_above(const char *root, const char *path, const char *file)
{
    char folder[1024];
    uint64_t least = UINT64_MAX;
    if (snprintf(folder, sizeof(folder), "%s%s", root, path) >= (int)sizeof(folder))
        return UINT64_MAX;
    for (;;) {
        uint64_t here = limit_in(folder, file);
        if (here < least)
            least = here;
        char *slash = strrchr(folder + strlen(root), '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

uint64_t machine_memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t least =
        pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_C(1024) << 20;
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[1024];
    while (f && fgets(line, sizeof(line), f)) {
        struct slice rest = slice_trim(slice_cstr(line));
        (void)slice_split(&rest, ':'); /* the hierarchy's number; 0 in version 2 */
        struct slice controllers = slice_split(&rest, ':');
        bool is_v2 = controllers.len == 0;
        if (!is_v2 && !slice_eq_cstr(controllers, "memory"))
            continue;
        char path[512];
        snprintf(path, sizeof(path), "%.*s", SLICE_ARG(rest));
        uint64_t here = is_v2 ? least_above("/sys/fs/cgroup", path, "memory.max")
                              : least_above("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes");
        if (here < least)
            least = here;
    }
    if (f)
        (void)fclose(f);
    return least;
}
