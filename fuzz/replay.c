/* SPDX-License-Identifier: Apache-2.0
 *
 * A main() for fuzz_*.c without libFuzzer: runs each file given as argument, and each file of a
 * folder given as argument, through LLVMFuzzerTestOneInput. So a corpus is also a plain test, for
 * every compiler and sanitizer. Input stands in a heap block of its exact size, for
 * AddressSanitizer to see a read past its end. Fails if there was nothing to run: a corpus that
 * moved must not pass. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t replayed;

static _Noreturn void replay_fail(const char *path)
{
    (void)fprintf(stderr, "cannot read '%s': %s\n", path, strerror(errno));
    exit(1);
}

static void replay_bytes(struct slice input)
{
    uint8_t *copy = malloc(input.len ? input.len : 1);
    CHECK(copy);
    if (input.len)
        memcpy(copy, input.ptr, input.len);
    (void)LLVMFuzzerTestOneInput(copy, input.len); /* it answers 0, or -1 for "of no interest" */
    free(copy);
    replayed++;
}

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        replay_fail(path);
    CLEANUP(bytes_done) struct bytes input = BYTES_INIT;
    char part[16 * 1024];
    size_t got;
    while ((got = fread(part, 1, sizeof(part), file)) > 0)
        bytes_append(&input, part, got);
    if (ferror(file))
        replay_fail(path);
    (void)fclose(file); /* only read from */
    (void)printf("%s\n", path);
    (void)fflush(stdout); /* the last name printed is the input that crashed */
    replay_bytes(bytes_slice(&input));
}

static void replay_folder(const char *path)
{
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort); /* the same order everywhere */
    if (count < 0)
        replay_fail(path);
    for (int i = 0; i < count; i++) {
        CLEANUP(bytes_done) struct bytes inside = BYTES_INIT;
        bytes_printf(&inside, "%s/%s", path, names[i]->d_name);
        struct stat info;
        if (stat(bytes_cstr(&inside), &info) < 0)
            replay_fail(bytes_cstr(&inside));
        if (S_ISREG(info.st_mode))
            replay_file(bytes_cstr(&inside));
        free(names[i]);
    }
    free(names);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct stat info;
        if (stat(argv[i], &info) < 0)
            replay_fail(argv[i]);
        if (S_ISDIR(info.st_mode))
            replay_folder(argv[i]);
        else
            replay_file(argv[i]);
    }
    (void)printf("%zu inputs\n", replayed);
    return replayed ? 0 : 1;
}
