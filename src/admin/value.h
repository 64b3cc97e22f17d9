/* SPDX-License-Identifier: Apache-2.0
 *
 * Serialized values (guest/values.h, docs/values.md) for people. Any thread. */
#pragma once

#include "base/bytes.h"
#include "base/slice.h"

/* Appends one JSON value, always well-formed, of not much more than bytes_max bytes: what is beyond
 * is cut, and "..." stands where it would be. What JSON does not have is shown as
 *
 *     undefined, a hole      null                 Map       {"$map":[[key,value],...]}
 *     NaN and its kin        {"$number":"NaN"}    Set       {"$set":[...]}
 *     1n                     {"$bigint":"1"}      bytes     {"$bytes":12}
 *     a date                 "2026-01-31T...Z"    a Blob    {"$bytes":12,"type":"...","name":"..."}
 *     a RegExp               "/a/g"               an error  {"name":"...","message":"...",...}
 *     an object shown above  {"$ref":3}           a sparse array  {"$length":9,"0":...}
 *
 * The bytes are not trusted: what is malformed gives {"$malformed":<number of bytes>}. */
void value_to_json(struct slice serialized, size_t bytes_max, struct bytes *out);
