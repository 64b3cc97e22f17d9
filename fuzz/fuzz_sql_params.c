/* SPDX-License-Identifier: Apache-2.0
 *
 * Parameters of a SQL statement as a guest encodes them. What is accepted comes back as a result
 * whose values are themselves acceptable parameters, and those come back unchanged. */
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "host/sql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sql_file *file;
static struct sql_conn *conn;

static void open_once(void)
{
    char folder[] = "/tmp/limpet-fuzz-XXXXXX", path[64];
    if (conn)
        return;
    CHECK(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/db", folder);
    CHECK(sql_file_open(path, 0, &file, NULL) == OK);
    CHECK(sql_conn_open(file, &conn, NULL) == OK);
    /* They live on in the open descriptors. */
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        (void)snprintf(path, sizeof(path), "%s/db%s", folder, ends[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

/* The values of the one row, without the names before and the tail after. */
static struct slice values_of(const struct bytes *result, unsigned columns)
{
    struct slice rest = slice_skip(bytes_slice(result), 4);
    for (unsigned i = 0; i < columns; i++) {
        uint32_t len;
        memcpy(&len, rest.ptr, 4);
        rest = slice_skip(rest, 4 + le32toh(len));
    }
    rest = slice_skip(rest, 4);
    CHECK(rest.len >= 16);
    return slice_of(rest.ptr, rest.len - 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const selects[] = {"SELECT 0",          "SELECT ?",       "SELECT ?,?",
                                          "SELECT ?,?,?",      "SELECT ?,?,?,?", "SELECT ?,?,?,?,?",
                                          "SELECT ?,?,?,?,?,?"};
    open_once();
    unsigned columns = size ? data[0] % ARRAY_LEN(selects) : 0;
    struct slice sql = slice_cstr(selects[columns]);
    CLEANUP(bytes_done) struct bytes first = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes again = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes params = BYTES_INIT;
    enum err err = sql_exec(conn, sql, slice_of((const char *)data, size), &first, NULL);
    CHECK(err == OK || first.len == 0);
    if (err != OK || columns == 0)
        return 0;
    bytes_append_u32(&params, columns);
    bytes_append_slice(&params, values_of(&first, columns));
    CHECK(sql_exec(conn, sql, bytes_slice(&params), &again, NULL) == OK);
    CHECK(slice_eq(bytes_slice(&first), bytes_slice(&again)));
    return 0;
}
