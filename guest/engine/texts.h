/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that take a list of texts and give one: URL_PATTERN. */
#pragma once

#include "quickjs.h"

enum { TEXTS_URL_PATTERN };

/* (what, texts): an array of texts, or undefined for an empty result. A text may be undefined. */
JSValue texts_ask(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv, int magic);
