/* SPDX-License-Identifier: Apache-2.0
 *
 * The functions' databases that are open, by path. All versions of a function and all threads share
 * one sql_file, because its commit counter is what the output gate compares. An entry stays open
 * until the function is deleted or the server stops. Any thread; under a mutex, on first use of a
 * thread only. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "host/sql.h"
#include "server/server.h"

struct databases {
    pthread_mutex_t mutex;
    struct map files;   /* path -> struct sql_file */
    uint64_t bytes_max; /* of each */
};

struct databases *databases_new(uint64_t bytes_max)
{
    struct databases *d = calloc(1, sizeof(*d));
    CHECK(d);
    CHECK(pthread_mutex_init(&d->mutex, NULL) == 0);
    d->bytes_max = bytes_max;
    return d;
}

void databases_free(struct databases *d)
{
    size_t cursor = 0;
    struct slice path;
    void *file;
    if (!d)
        return;
    while (map_next(&d->files, &cursor, &path, &file))
        sql_file_unref(file);
    map_done(&d->files);
    pthread_mutex_destroy(&d->mutex);
    free(d);
}

enum err databases_open(struct databases *d, const char *path, struct sql_file **ret_file,
                        struct error *ret_error)
{
    enum err err = OK;
    pthread_mutex_lock(&d->mutex);
    struct sql_file *file = map_get(&d->files, slice_cstr(path));
    if (!file) {
        err = sql_file_open(path, d->bytes_max, &file, ret_error);
        if (err == OK)
            (void)map_put(&d->files, slice_cstr(path), file);
    }
    if (err == OK)
        *ret_file = sql_file_ref(file);
    pthread_mutex_unlock(&d->mutex);
    return err;
}

void databases_remove(struct databases *d, const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    pthread_mutex_lock(&d->mutex);
    struct sql_file *file = map_remove(&d->files, slice_cstr(path));
    pthread_mutex_unlock(&d->mutex);
    sql_file_unref(file);
    CLEANUP(bytes_done) struct bytes name = BYTES_INIT;
    for (size_t k = 0; k < ARRAY_LEN(suffixes); k++) {
        bytes_clear(&name);
        bytes_append_cstr(&name, path);
        bytes_append_cstr(&name, suffixes[k]);
        (void)unlink(bytes_cstr(&name)); /* it may never have been made */
    }
}
