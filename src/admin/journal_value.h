/* SPDX-License-Identifier: Apache-2.0
 *
 * What the payload of a journal's record says, for people: JSON and error texts. The encodings are
 * those of the ops (host/ops.def) and of records (durable/record.h). Payloads are not trusted:
 * one that is not as it should be is shown as bytes. Any thread. */
#pragma once

#include "base/bytes.h"
#include "durable/record.h"

/* "fetch"; NULL: 0 or not known. */
const char *journal_value_op_name(uint32_t op);
bool journal_value_is_step(const struct record *r);
/* The parts of an ATTEMPT record's payload; false: it is malformed. */
bool journal_value_attempt(struct slice payload, uint32_t *ret_attempt, struct slice *ret_message);
/* Appends what went wrong; nothing if the record is of a success. */
void journal_value_error(const struct record *r, struct bytes *out);
/* Appends one JSON value, null where there is nothing to show. */
void journal_value_json(const struct record *r, struct bytes *out);
