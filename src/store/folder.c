/* SPDX-License-Identifier: Apache-2.0
 *
 * The data folder: made when missing, private to the server's user, and locked against a second
 * server. The lock is a flock() on a file of its own: SQLite's own locks are on the database file
 * and would be lost if anyone here closed another descriptor of it. The kernel drops the lock when
 * the process ends, however it ends; the process number in the file is only for the message. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/internal.h"

enum err folder_error(struct error *ret_error, int os, const char *doing, const char *path)
{
    bool is_full = os == ENOSPC || os == EDQUOT || os == EFBIG;
    enum err code = error_set(ret_error, is_full ? ERR_UNAVAILABLE : ERR_IO, "cannot %s %s: %s",
                              doing, path, strerror(os));
    if (is_full)
        error_hint(ret_error, "free some space");
    else if (os == EACCES || os == EPERM)
        error_hint(
            ret_error,
            "give the server's user (uid %d) the right to write there, or choose another folder",
            (int)geteuid());
    else if (os == EROFS)
        error_hint(ret_error, "the file system is read-only; choose a folder elsewhere");
    else if (os == ENOTDIR)
        error_hint(ret_error, "a part of this path is a file, not a folder");
    return code;
}

enum err folder_make(const char *path, const char *what, struct error *ret_error)
{
    char doing[64];
    snprintf(doing, sizeof(doing), "make %s", what);
    CLEANUP(bytes_done) struct bytes at = BYTES_INIT;
    for (const char *end = path; *end;) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        bytes_clear(&at);
        bytes_append(&at, path, (size_t)(end - path));
        if (mkdir(bytes_cstr(&at), 0700) == 0 || errno == EEXIST)
            continue;
        int os = errno;
        struct stat st;
        /* Folders above may be read-only for us (EROFS, EACCES) and still be there. */
        if (stat(bytes_cstr(&at), &st) || !S_ISDIR(st.st_mode))
            return folder_error(ret_error, os, doing, bytes_cstr(&at));
    }
    struct stat st;
    if (stat(path, &st))
        return folder_error(ret_error, errno, doing, path);
    if (!S_ISDIR(st.st_mode))
        return folder_error(ret_error, ENOTDIR, doing, path);
    if (access(path, W_OK | X_OK))
        return folder_error(ret_error, errno, "write to the folder", path);
    return OK;
}

enum err folder_sync(const char *path, struct error *ret_error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return folder_error(ret_error, errno, "open the folder", path);
    int rc = fsync(fd), os = errno;
    close(fd);
    return rc ? folder_error(ret_error, os, "sync the folder", path) : OK;
}

enum err folder_lock(const char *path, const char *what, const char *option, int *ret_fd,
                     struct error *ret_error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return folder_error(ret_error, errno, "open the lock file", path);
    char text[32] = "";
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        int os = errno;
        if (os != EWOULDBLOCK) {
            close(fd);
            return folder_error(ret_error, os, "lock", path);
        }
        ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
        close(fd);
        text[len > 0 ? strspn(text, "0123456789") : 0] = '\0';
        enum err code = error_set(ret_error, ERR_CONFLICT, "another server%s%s%s uses %s",
                                  text[0] ? " (process " : "", text, text[0] ? ")" : "", what);
        error_hint(ret_error, "stop it, or start this one with another %s", option);
        return code;
    }
    int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)len, 0) != len) {
        int os = errno;
        close(fd);
        return folder_error(ret_error, os, "write the lock file", path);
    }
    *ret_fd = fd;
    return OK;
}
