/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two halves of the writer share: serialize_write.c has plain data and the way through a
 * value, serialize_special.c the objects of the language's and the platform's own classes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"
#include "pack.h"
#include "quickjs.h"

/* PUT_CAREFUL: start over in the careful way. PUT_SKIPPED: nothing (more) to be done. */
enum put { PUT_FAILED = -1, PUT_OK = 0, PUT_CAREFUL, PUT_SKIPPED };

enum {
    PLAIN_PROTOS = 4,  /* prototypes known to be of ordinary classes */
    TABLE_INLINE = 32, /* power of two */
};

struct slot {
    uint32_t key; /* 0: free */
    uint32_t value;
};

/* From pointers or atoms to numbers. */
struct table {
    struct slot *slots;
    uint32_t count;
    uint32_t bits; /* log2 of the number of slots */
    struct slot inline_slots[TABLE_INLINE];
};

/* Where in the value we are, for messages; lies on the stack. */
struct place {
    const struct place *up; /* NULL: the value itself */
    uint32_t depth;
    enum { PLACE_VALUE, PLACE_MEMBER, PLACE_ITEM, PLACE_ENTRY } kind;
    uint32_t key; /* atom or index */
};

struct writer {
    JSContext *ctx;
    struct buffer *out;
    uint32_t start; /* where the value begins in out */
    bool is_careful;
    uint32_t objects, keys;            /* numbers given */
    struct table seen;                 /* objects; in the careful way it owns references */
    struct table names;                /* atoms of keys; likewise */
    const struct layout_shape *looked; /* has only data properties, and no indices */
    const struct layout_object *plain[PLAIN_PROTOS];
    uint32_t plain_count;
};

enum put put(struct writer *w, JSValueConst value, const struct place *place);
enum put put_byte(struct writer *w, uint8_t byte);
/* tag < 0: only the number. */
enum put put_varint(struct writer *w, int tag, uint64_t value);
enum put put_bytes(struct writer *w, const void *data, uint32_t len);
enum put put_f64(struct writer *w, double value);
enum put put_string(struct writer *w, JSValueConst string);
/* The members of any object, careful; without those in `except`. */
enum put put_members(struct writer *w, JSValueConst object, const struct place *place,
                     const JSAtom *except, uint32_t except_count);

enum put put_too_large(struct writer *w);
enum put put_no_memory(struct writer *w);
/* DataCloneError: "<article><what> could not be cloned (at value…)". */
enum put put_refuse(struct writer *w, const struct place *place, const char *article,
                    const char *what);
/* The same for an object of a class that is not serializable. */
enum put put_refuse_object(struct writer *w, JSValueConst value, const struct place *place);

/* serialize_special.c: an object that has its number, and is neither plain nor an array. */
enum put put_special(struct writer *w, JSValueConst value, const struct place *place);
/* An object of class Object whose prototype is not Object.prototype. PUT_OK: an ordinary one;
 * PUT_SKIPPED: written here. */
enum put put_platform(struct writer *w, JSValueConst value, const struct place *place);
