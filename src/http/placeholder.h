/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets on their way out. Code has a placeholder; the values of headers of a request to a host that
 * the secret is bound to get what it stands for, and only there: nothing else of a request is looked
 * at, and on every hop it is asked anew. Any thread. */
#pragma once

#include "base/bytes.h"
#include "base/placeholder.h"
#include "http/url_pattern.h"

enum {
    PLACEHOLDER_HOSTS_MAX = 16,
    PLACEHOLDER_HOSTS_BYTES_MAX = 4096,
    PLACEHOLDER_FILLS_MAX = 64, /* in one request */
};

struct placeholder {
    struct slice text, value;
    const struct url_pattern *hosts;
    size_t hosts_len;
};

/* One host that a secret may be bound to. Without a scheme it is https, and only "http://" in front lets
 * it go unencrypted; without a port it is the scheme's. ERR_INVALID: also every host. */
NODISCARD enum err placeholder_host_parse(struct arena *a, struct slice text,
                                          struct url_pattern *ret_host, struct error *ret_error);

/* Of a list, those that may go to one target. */
struct placeholder_fill {
    const struct placeholder **list; /* in the arena */
    size_t len, fills;
    struct arena *arena;
};
struct placeholder_fill placeholder_fill_for(const struct placeholder *list, size_t len,
                                             struct url_target *t);
/* The value to send of a header: the same slice, or one in the arena. Of "Authorization: Basic" the text
 * inside is looked at. ERR_LIMIT: PLACEHOLDER_FILLS_MAX. */
NODISCARD enum err placeholder_fill(struct placeholder_fill *f, struct slice name,
                                    struct slice *value, struct error *ret_error);
