/* SPDX-License-Identifier: Apache-2.0
 *
 * Who answers a struct http_fetch that is not for the network: what http_fetch_write() and its kin call then. It
 * sets f->transport when it takes the fetch, calls its callbacks as client.h says, from the loop, and
 * sets it to NULL before on_done(). */
#pragma once

#include <stdbool.h>

#include "base/slice.h"

struct http_fetch;

struct http_transport {
    bool (*write)(struct http_fetch *f, struct slice data, bool is_end);
    void (*resume)(struct http_fetch *f);
    bool (*has_sent)(const struct http_fetch *f);
    void (*cancel)(struct http_fetch *f);
};
