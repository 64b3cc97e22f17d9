/* SPDX-License-Identifier: Apache-2.0
 *
 * See the header. Any thread. */
#include "http/grammar.h"

enum {
    T = GRAMMAR_TOKEN,
    F = GRAMMAR_FIELD,
    A = GRAMMAR_AUTHORITY,
    H = GRAMMAR_HOST,
    U = GRAMMAR_TARGET,
};

/* clang-format off */
const uint8_t grammar_table[256] = {
    ['\t'] = F, [' '] = F,
    ['a' ... 'z'] = T | F | A | H | U,
    ['0' ... '9'] = T | F | A | H | U,
    ['-'] = T | F | A | H | U,  ['.'] = T | F | A | H | U,  ['_'] = T | F | A | H | U,
    ['A' ... 'Z'] = T | F | A | U,
    ['!'] = T | F | A | U,      ['$'] = T | F | A | U,      ['%'] = T | F | A | U,
    ['&'] = T | F | A | U,      ['*'] = T | F | A | U,      ['+'] = T | F | A | U,
    ['~'] = T | F | A | U,
    ['\''] = T | F | A,         ['#'] = T | F,              ['^'] = T | F,
    ['`'] = T | F,              ['|'] = T | F,
    ['('] = F | A | U,          [')'] = F | A | U,          [','] = F | A | U,
    [':'] = F | A | U,          [';'] = F | A | U,          ['='] = F | A | U,
    ['['] = F | A | U,          [']'] = F | A | U,
    ['/'] = F | U,              ['?'] = F | U,              ['@'] = F | U,
    ['"'] = F,                  ['<'] = F,                  ['>'] = F,
    ['\\'] = F,                 ['{'] = F,                  ['}'] = F,
    [0x80 ... 0xff] = F,
};
/* clang-format on */

bool grammar_all(struct slice text, enum grammar_class class)
{
    for (size_t i = 0; i < text.len; i++)
        if (!grammar_has(text.ptr[i], class))
            return false;
    return true;
}

bool grammar_is_token(struct slice text)
{
    return text.len && grammar_all(text, GRAMMAR_TOKEN);
}
