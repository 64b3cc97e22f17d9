/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of the language as they were made, for C code that must not depend on what user code
 * puts in their places later, and the class numbers that QuickJS's API does not name. */
#pragma once

#include <stdbool.h>

#include "quickjs.h"

/* Each with the expression that finds it; G is the getter of a property. */
#define INTRINSICS(X)                                                                              \
    X(DATE_GET_TIME, "Date.prototype.getTime")                                                     \
    X(MAP, "Map")                                                                                  \
    X(MAP_SET, "Map.prototype.set")                                                                \
    X(MAP_FOR_EACH, "Map.prototype.forEach")                                                       \
    X(SET, "Set")                                                                                  \
    X(SET_ADD, "Set.prototype.add")                                                                \
    X(SET_FOR_EACH, "Set.prototype.forEach")                                                       \
    X(REGEXP, "RegExp")                                                                            \
    X(REGEXP_SOURCE, "G(RegExp, 'source')")                                                        \
    X(REGEXP_FLAGS, "G(RegExp, 'flags')")                                                          \
    X(BUFFER, "ArrayBuffer")                                                                       \
    X(BUFFER_DETACHED, "G(ArrayBuffer, 'detached')")                                               \
    X(BUFFER_RESIZABLE, "G(ArrayBuffer, 'resizable')")                                             \
    X(BUFFER_LONGEST, "G(ArrayBuffer, 'maxByteLength')")                                           \
    X(VIEW_LENGTH, "G(Object.getPrototypeOf(Int8Array), 'length')")                                \
    X(DATA_VIEW, "DataView")                                                                       \
    X(DATA_VIEW_BUFFER, "G(DataView, 'buffer')")                                                   \
    X(DATA_VIEW_OFFSET, "G(DataView, 'byteOffset')")                                               \
    X(DATA_VIEW_LENGTH, "G(DataView, 'byteLength')")                                               \
    X(BIGINT, "BigInt")                                                                            \
    X(BIGINT_AS_INT, "BigInt.asIntN")                                                              \
    X(BIGINT_TO_STRING, "BigInt.prototype.toString")                                               \
    X(BIGINT_VALUE, "BigInt.prototype.valueOf")                                                    \
    X(BOOLEAN_VALUE, "Boolean.prototype.valueOf")                                                  \
    X(NUMBER_VALUE, "Number.prototype.valueOf")                                                    \
    X(STRING_VALUE, "String.prototype.valueOf")                                                    \
    X(DOM_EXCEPTION, "DOMException")                                                               \
    X(ERROR_PROTO, "Error.prototype") /* from here on in the order of enum value_error */          \
    X(EVAL_ERROR_PROTO, "EvalError.prototype")                                                     \
    X(RANGE_ERROR_PROTO, "RangeError.prototype")                                                   \
    X(REFERENCE_ERROR_PROTO, "ReferenceError.prototype")                                           \
    X(SYNTAX_ERROR_PROTO, "SyntaxError.prototype")                                                 \
    X(TYPE_ERROR_PROTO, "TypeError.prototype")                                                     \
    X(URI_ERROR_PROTO, "URIError.prototype")                                                       \
    X(AGGREGATE_ERROR_PROTO, "AggregateError.prototype")

enum intrinsic {
#define X(name, expression) INTRINSIC_##name,
    INTRINSICS(X)
#undef X
        INTRINSIC_COUNT_
};

#define INTRINSIC_CLASSES(X)                                                                       \
    X(ERROR, "new Error")                                                                          \
    X(DOM_EXCEPTION, "new DOMException('')")                                                       \
    X(BOOLEAN, "Object(true)")                                                                     \
    X(NUMBER, "Object(0)")                                                                         \
    X(STRING, "Object('')")                                                                        \
    X(BIGINT, "Object(0n)")                                                                        \
    X(ARGUMENTS, "(function () { 'use strict'; return arguments })()")                             \
    X(MAPPED_ARGUMENTS, "(function (a) { return arguments })(0)")

enum intrinsic_class {
#define X(name, expression) INTRINSIC_CLASS_##name,
    INTRINSIC_CLASSES(X)
#undef X
        INTRINSIC_CLASS_COUNT_
};

/* False: a JS exception is pending. Before any code of a user runs. */
bool intrinsic_init(JSContext *ctx);
JSValueConst intrinsic_value(enum intrinsic which);
JSClassID intrinsic_class_id(enum intrinsic_class which);
JSValue intrinsic_call(JSContext *ctx, enum intrinsic which, JSValueConst this_value, int argc,
                       JSValueConst *argv);
JSValue intrinsic_new(JSContext *ctx, enum intrinsic which, int argc, JSValueConst *argv);
