/* SPDX-License-Identifier: Apache-2.0 */
#include "script/wasm_modules.h"

#include <openssl/evp.h>
#include <string.h>

static const struct slice line_start = {.ptr = "//# limpet-wasm=", .len = 16};

/* The last line of a text that ends with a newline, without that. */
static struct slice last_line(struct slice text)
{
    size_t at = text.len - 1;
    while (at > 0 && text.ptr[at - 1] != '\n')
        at--;
    return slice_of(text.ptr + at, text.len - 1 - at);
}

void wasm_modules_split(struct slice bundle, struct slice *ret_code, struct slice *ret_modules)
{
    struct slice code = bundle;
    while (code.len > 0 && code.ptr[code.len - 1] == '\n') {
        struct slice line = last_line(code);
        if (!slice_starts(line, line_start))
            break;
        code.len = (size_t)(line.ptr - code.ptr);
    }
    *ret_code = code;
    *ret_modules = slice_skip(bundle, code.len);
}

void wasm_modules_append(struct bytes *bundle, struct slice name, struct slice wasm)
{
    if (bundle->len > 0 && bundle->ptr[bundle->len - 1] != '\n')
        bytes_append_char(bundle, '\n');
    bytes_append_slice(bundle, line_start);
    bytes_append_slice(bundle, name);
    bytes_append_char(bundle, ',');
    bytes_reserve(bundle, wasm.len / 3 * 4 + 8); /* with a NUL */
    int len = EVP_EncodeBlock((unsigned char *)bundle->ptr + bundle->len,
                              (const unsigned char *)(wasm.ptr ? wasm.ptr : ""), (int)wasm.len);
    bundle->len += (size_t)len;
    bytes_append_char(bundle, '\n');
}

bool wasm_modules_next(struct slice *modules, struct slice *ret_name, struct slice *ret_base64)
{
    while (modules->len > 0) {
        struct slice line = slice_split(modules, '\n');
        if (!slice_starts(line, line_start))
            continue;
        line = slice_skip(line, line_start.len);
        *ret_name = slice_split(&line, ',');
        *ret_base64 = line;
        return true;
    }
    return false;
}

bool wasm_modules_has(struct slice modules, struct slice name)
{
    struct slice is, ignored;
    name = slice_split(&name, '?');
    while (wasm_modules_next(&modules, &is, &ignored))
        if (slice_eq(is, name))
            return true;
    return false;
}

enum err wasm_modules_decode(struct slice base64, struct bytes *out)
{
    if (base64.len % 4 != 0)
        return ERR_INVALID;
    bytes_reserve(out, base64.len / 4 * 3 + 4);
    int len = base64.len == 0 ? 0
                              : EVP_DecodeBlock((unsigned char *)out->ptr + out->len,
                                                (const unsigned char *)base64.ptr, (int)base64.len);
    if (len < 0)
        return ERR_INVALID;
    for (size_t pads = 0; pads < 2 && base64.len > pads && base64.ptr[base64.len - 1 - pads] == '=';
         pads++)
        len--;
    out->len += (size_t)len;
    return OK;
}
