/* SPDX-License-Identifier: Apache-2.0
 *
 * What code reads of a secret that is bound to hosts: PLACEHOLDER_START and so many hexadecimal digits.
 * Made by store/secret.h, replaced by http/placeholder.h. */
#pragma once

#define PLACEHOLDER_START "limpet_secret_"
enum {
    PLACEHOLDER_DIGITS = 48,
    PLACEHOLDER_BYTES = sizeof(PLACEHOLDER_START) - 1 + PLACEHOLDER_DIGITS
};
