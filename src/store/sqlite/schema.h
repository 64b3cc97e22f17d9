/* SPDX-License-Identifier: Apache-2.0
 *
 * The migrations of src/store/schema, built into the program. Step i (from 0) brings the schema to
 * number i + 1. A step that has been released is never edited; changes are new steps. */
#pragma once

struct schema_step {
    const char *name;
    const char *sql;
};

extern const struct schema_step schema_steps[];
extern const int schema_steps_len;
