/* SPDX-License-Identifier: Apache-2.0
 *
 * The format of serialized values, which the guest writes and reads (guest/engine/serialize.h) and
 * the host shows to people (src/admin/value.h). docs/values.md describes it in words. Numbers here
 * lie in journals: they are never changed or used again, new ones may be added.
 *
 *     value  = u8 VALUE_VERSION, node
 *     varint = 7 bits a byte, lowest first, high bit: more follow; at most 10 bytes
 *     string = node of a string tag */
#pragma once

enum {
    VALUE_VERSION = 1,
    VALUE_BYTES_MAX = 4 * 1024 * 1024, /* of one value, version included */
    VALUE_DEPTH_MAX = 500,             /* nodes inside each other */
};

enum value_tag {
    VALUE_UNDEFINED = 0x00,
    VALUE_NULL = 0x01,
    VALUE_FALSE = 0x02,
    VALUE_TRUE = 0x03,
    VALUE_INT = 0x04,    /* varint, zigzag; in the range of int32 */
    VALUE_DOUBLE = 0x05, /* 8 bytes */
    VALUE_BIGINT =
        0x06, /* varint length, two's complement, lowest byte first, as short as can be */
    VALUE_LATIN1 = 0x07, /* varint length, one byte a character */
    VALUE_UTF16 = 0x08,  /* varint number of units, two bytes each; some unit is above 255 */
    VALUE_REF = 0x09,    /* varint: the object of that number */

    /* Objects: numbered 0, 1, … in the order of their tags. */
    VALUE_OBJECT = 0x0A, /* members */
    VALUE_ARRAY = 0x0B,  /* varint length, so many nodes (VALUE_HOLE allowed) */
    VALUE_SPARSE = 0x0C, /* array with holes or names: varint length, members (indices are keys) */
    VALUE_HOLE = 0x0D,   /* no object: an element that is not there */
    VALUE_DATE = 0x0E,   /* 8 bytes: double, ms since 1970; NaN: invalid */
    VALUE_REGEXP = 0x0F, /* string source, string flags */
    VALUE_MAP = 0x10,    /* varint count, count × (node key, node value) */
    VALUE_SET = 0x11,    /* varint count, count × node */
    VALUE_BUFFER = 0x12, /* varint length, bytes */
    VALUE_RESIZABLE = 0x13, /* varint length, varint longest, bytes */
    VALUE_VIEW = 0x14,      /* u8 enum value_view, varint offset, varint length (elements; DataView:
                               bytes), node: its buffer */
    VALUE_ERROR = 0x15, /* u8 enum value_error, u8 flags (VALUE_HAS_*), what they say in the order
                           of the flags, members */
    VALUE_DOM_EXCEPTION = 0x16, /* string message, string name, string stack or VALUE_UNDEFINED */
    VALUE_BOXED = 0x17,         /* node: a boolean, number, bigint or string */
    VALUE_BLOB = 0x18,          /* string type, varint length, bytes */
    VALUE_FILE = 0x19,          /* string name, 8 bytes double lastModified, then as VALUE_BLOB */

    VALUE_SMALL_INT = 0x40,    /* 0x40-0x7F: the numbers 0-63 */
    VALUE_SHORT_LATIN1 = 0x80, /* 0x80-0xFF: VALUE_LATIN1 of length 0-127 */
};

/* members = (key, node)…, VALUE_KEY_END. key = varint: */
enum value_key {
    VALUE_KEY_END = 0,
    VALUE_KEY_LATIN1 = 1, /* a new key: varint length, bytes */
    VALUE_KEY_UTF16 = 2,  /* a new key: varint units, units */
    VALUE_KEY_FIRST = 3,  /* from here on: the new key of number n - 3, in order of appearance */
};

enum value_view {
    VALUE_VIEW_INT8,
    VALUE_VIEW_UINT8,
    VALUE_VIEW_UINT8_CLAMPED,
    VALUE_VIEW_INT16,
    VALUE_VIEW_UINT16,
    VALUE_VIEW_INT32,
    VALUE_VIEW_UINT32,
    VALUE_VIEW_FLOAT16,
    VALUE_VIEW_FLOAT32,
    VALUE_VIEW_FLOAT64,
    VALUE_VIEW_BIGINT64,
    VALUE_VIEW_BIGUINT64,
    VALUE_VIEW_DATA,
    VALUE_VIEW_COUNT_,
};

enum value_error {
    VALUE_ERROR_PLAIN,
    VALUE_ERROR_EVAL,
    VALUE_ERROR_RANGE,
    VALUE_ERROR_REFERENCE,
    VALUE_ERROR_SYNTAX,
    VALUE_ERROR_TYPE,
    VALUE_ERROR_URI,
    VALUE_ERROR_AGGREGATE,
    VALUE_ERROR_COUNT_,
};

enum value_error_flag {
    VALUE_HAS_NAME = 1,    /* string: a name that the class does not give */
    VALUE_HAS_MESSAGE = 2, /* string */
    VALUE_HAS_STACK = 4,   /* string */
    VALUE_HAS_CAUSE = 8,   /* node */
    VALUE_HAS_ERRORS = 16, /* node: of an AggregateError */
    VALUE_HAS_ALL_ = 31,
};
