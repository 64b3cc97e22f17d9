/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared inside bucket/: an exchange (exchange.c), and the texts of its answers (answer.c). */
#pragma once

#include "base/budget.h"
#include "bucket/bucket.h"
#include "bucket/rules.h"
#include "http/client.h"
#include "http/transport.h"
#include "loop/timer.h"
#include "loop/work.h"
#include "store/ask.h"

enum bucket_op {
    BUCKET_GET,
    BUCKET_HEAD,
    BUCKET_PUT,
    BUCKET_DELETE,
    BUCKET_LIST,
    BUCKET_UPLOAD,
    BUCKET_UPLOAD_PART,
    BUCKET_COMPLETE,
    BUCKET_PARTS,
    BUCKET_ABORT,
    BUCKET_OPS,
};

enum bucket_state {
    BUCKET_TAKE,   /* the body comes */
    BUCKET_DROP,   /* it is read to its end, for nothing */
    BUCKET_SYNC,   /* pool: the file is whole */
    BUCKET_EXPECT, /* store: it is about to have its name */
    BUCKET_NAME,   /* pool: it has it */
    BUCKET_LOOK,   /* store: what there is */
    BUCKET_STORE,  /* store: the change */
    BUCKET_ANSWER, /* the answer is known */
    BUCKET_SEND,   /* its body goes out */
    BUCKET_DONE,
};

struct bucket_exchange {
    struct http_transport transport; /* of the fetch */
    struct http_fetch *fetch;        /* NULL: it has been told all */
    struct asks *asks;
    struct arena *arena; /* holds the texts below */
    struct timer step;
    enum bucket_op op;
    enum bucket_state state;
    bool is_cancelled, is_paused, is_full, is_waiting; /* is_waiting: for pool or store */
    struct error failure;                              /* on_done says it */
    struct allowance held;
    int64_t bucket;
    struct slice key, upload, prefix, after, delimiter;
    uint64_t number, limit;
    struct bucket_headers request;
    /* the body that comes */
    struct bytes taken;
    size_t lent_at;
    bool is_end;
    int64_t size;
    struct bucket_sums sums;
    struct store_blob *blob;
    struct bytes piece; /* the pool's, while it works */
    char hash[65];
    /* the pool and the store */
    struct work work;
    struct error worked;
    struct ask *ask;
    struct store_op store_op;
    /* what there is, or is made */
    struct object_row row;
    bool has_row; /* an object was found */
    struct object_file part;
    struct bytes metadata, numbers;
    char etag[48];
    /* the answer */
    struct http_header headers[8];
    size_t headers_len;
    struct bytes json, object; /* a body, or of "limpet-object" */
    int64_t at, end;           /* of the content: what is to be sent */
    int fd;                    /* of file number `file` of the row; -1 */
    size_t file;
};

void bucket_answer_header(struct bucket_exchange *x, const char *name, struct slice value);
/* With "limpet-object" of its row; to < 0: no range. */
void bucket_answer_object(struct bucket_exchange *x, int64_t from, int64_t to);
/* An error that is no failure of the server. */
void bucket_answer_refusal(struct bucket_exchange *x, const struct error *error);
void bucket_answer_list(struct bucket_exchange *x, const struct store_query *q);
void bucket_answer_upload(struct bucket_exchange *x);
void bucket_answer_part(struct bucket_exchange *x);
void bucket_answer_parts(struct bucket_exchange *x, const struct store_query *q);
/* The parts that a body names, of those that there are: their numbers, size and etag. ERR_INVALID. */
NODISCARD enum err bucket_read_parts(struct bucket_exchange *x, const struct store_query *q,
                                     struct error *ret_error);
