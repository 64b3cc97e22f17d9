/* SPDX-License-Identifier: Apache-2.0
 *
 * The last words of a process that cannot go on. Formats into a fixed buffer and writes it at once:
 * memory may be out and the heap may be damaged. Any thread. */
#include "base/check.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

/* The descriptor may be closed or full; there is nobody left to tell. */
static void check_write(const char *text, size_t len)
{
    ssize_t ignored = write(STDERR_FILENO, text, len);
    (void)ignored;
}

void check_fatal(const char *format, ...)
{
    char text[512] = "fatal: ";
    const size_t prefix = strlen(text);
    const size_t room = sizeof(text) - prefix - 1; /* one byte stays for the line feed */
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(text + prefix, room, format, args);
    va_end(args);
    size_t len = wanted < 0 ? 0 : (size_t)wanted;
    if (len >= room)
        len = room - 1;
    text[prefix + len] = '\n';
    check_write(text, prefix + len + 1);
    abort();
}

void check_failed(const char *condition, const char *file, int line)
{
    check_fatal("CHECK failed: %s (%s:%d)", condition, file, line);
}

void check_out_of_memory(size_t size)
{
    check_fatal("out of memory (%zu bytes asked)", size);
}
