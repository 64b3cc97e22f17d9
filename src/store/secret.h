/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealing of secrets at rest: AES-256-GCM under one key of the server, a new nonce each time. What is
 * sealed is bound to a text that says what it is (the additional data), so that a sealed value moved
 * to another place does not open. The key comes from the environment or from a file in the data
 * folder; it is never stored beside what it seals in the database. Any thread. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "base/placeholder.h"
#include "base/slice.h"

enum { SECRET_KEY_BYTES = 32 };

struct secret_key {
    unsigned char bytes[SECRET_KEY_BYTES];
    bool is_given; /* not by the file */
};

/* text: 64 hexadecimal digits, or base64; NULL: that of FOLDER/secret.key, made with mode 0600 if it is
 * not there and may_make. ERR_INVALID, ERR_NOT_FOUND (it may not be made), ERR_IO. */
NODISCARD enum err secret_key_load(const char *text, const char *folder, bool may_make,
                                   struct secret_key *ret_key, struct error *ret_error);
/* Appends hexadecimal digits. */
void secret_seal(const struct secret_key *key, struct slice what, struct slice value,
                 struct bytes *out);
/* Appends the value. ERR_CORRUPT: it was sealed as something else, with another key, or is damaged. */
NODISCARD enum err secret_open(const struct secret_key *key, struct slice what, struct slice sealed,
                               struct bytes *out, struct error *ret_error);
/* Appends what code reads of a secret that is bound to hosts: PLACEHOLDER_BYTES that nobody can guess who
 * does not have the key, the same for each value that it has. */
void secret_placeholder(const struct secret_key *key, struct slice owner, int64_t owner_id,
                        struct slice name, struct bytes *out);
/* Appends 64 hexadecimal digits that nobody can make who does not have the key (HMAC). */
void secret_sign(const struct secret_key *key, struct slice text, struct bytes *out);
/* What a variable of a module is sealed as. */
void secret_what(struct slice module, int64_t function_id, struct slice name, int64_t version,
                 struct bytes *out);
