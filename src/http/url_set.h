/* SPDX-License-Identifier: Apache-2.0
 *
 * Setters of URLs (https://url.spec.whatwg.org/#api). The crate knows all but one shape: that of a URL
 * without an authority whose path begins with "//", which is written with "/." in front ("foo:/.//x").
 * Its setters take that for a host, or refuse it. Any thread. */
#pragma once

#include "base/slice.h"
#include "limpet_deps.h"

/* href is one that a URL had. As deps_url_set(): false: the URL cannot take this value. */
bool url_set(struct slice href, enum deps_url_part part, struct slice value,
             struct deps_url *ret_url);
