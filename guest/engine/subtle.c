/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops CRYPTO, CRYPTO_RANDOM and CIPHER. Most end in their call. What takes long completes later; main
 * code of a workflow stands still for it, so that a replay learns the result at the same place. */
#include "subtle.h"

#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "op.h"
#include "text.h"
#include "workflow.h"

enum { CIPHER_MORE_BYTES = 16 /* that an encryption adds at most */ };

static uint32_t subtle_u32(JSContext *ctx, int argc, JSValueConst *argv, int index)
{
    uint32_t value = 0;
    if (index < argc)
        JS_ToUint32(ctx, &value, argv[index]);
    return value;
}

/* False: it is no buffer, and an exception is pending. */
static bool subtle_bytes(JSContext *ctx, int argc, JSValueConst *argv, int index,
                         struct text *ret_bytes)
{
    *ret_bytes = (struct text){.at = ""};
    if (index >= argc || JS_IsUndefined(argv[index]))
        return true;
    *ret_bytes = text_of_buffer(ctx, argv[index]);
    if (!ret_bytes->at && !JS_HasException(ctx))
        JS_ThrowTypeError(ctx, "expected an ArrayBuffer or a view on one");
    return ret_bytes->at != NULL;
}

/* Calls; *ret_number 0: it is done and the reply is the result, else the op that is under way, if it
 * need not be waited for. */
static bool subtle_ask(JSContext *ctx, bool waits, enum op_code code, const void *args,
                       struct op_reply *ret_reply, uint32_t *ret_number, struct text *ret_result)
{
    waits = waits || workflow_is_main();
    if (!(waits ? op_ask_wait(ctx, code, args, ret_reply) : op_ask(ctx, code, args, ret_reply)))
        return false;
    struct reader in = reader_of(ret_reply->data, ret_reply->len);
    *ret_number = waits ? 0 : reader_u32(&in);
    *ret_result = (struct text){.at = (const char *)in.at, .len = (uint32_t)(in.end - in.at)};
    return true;
}

static void subtle_crypto_done(JSContext *ctx, struct op_pending *op, uint32_t status,
                               const uint8_t *payload, uint32_t len)
{
    if (status)
        op_settle(ctx, op, true, op_error(ctx, status, (const char *)payload, len));
    else
        op_settle(ctx, op, false, JS_NewArrayBufferCopy(ctx, payload, len));
}

JSValue subtle_crypto(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                      int waits)
{
    struct text bytes[4], result;
    struct op_reply reply;
    struct op_pending *op;
    uint32_t number = 0, function = subtle_u32(ctx, argc, argv, 0);
    for (int i = 0; i < 4; i++)
        if (!subtle_bytes(ctx, argc, argv, 4 + i, &bytes[i]))
            return JS_EXCEPTION;
    struct op_crypto args = {.function = function,
                             .hash = subtle_u32(ctx, argc, argv, 1),
                             .a = subtle_u32(ctx, argc, argv, 2),
                             .b = subtle_u32(ctx, argc, argv, 3),
                             .key = op_bytes(bytes[0].at, bytes[0].len),
                             .salt = op_bytes(bytes[1].at, bytes[1].len),
                             .info = op_bytes(bytes[2].at, bytes[2].len),
                             .data = op_bytes(bytes[3].at, bytes[3].len)};
    _Static_assert(sizeof(struct op_crypto) == sizeof(struct op_crypto_random), "the same fields");
    enum op_code code = function >= ABI_CRYPTO_RSA_GENERATE ? OP_CRYPTO_RANDOM : OP_CRYPTO;
    if (!subtle_ask(ctx, waits, code, &args, &reply, &number, &result))
        return JS_EXCEPTION;
    JSValue value = number ? op_promise(ctx, number, subtle_crypto_done, &op)
                           : JS_NewArrayBufferCopy(ctx, (const uint8_t *)result.at, result.len);
    op_reply_done(&reply);
    return value;
}

/* --- ciphers -------------------------------------------------------------------------------------
 */

static void *subtle_realloc(JSRuntime *rt, void *opaque, void *block, size_t size)
{
    if (size)
        return realloc(block, size);
    free(block);
    return NULL;
}

/* Of a buffer that nobody sees: it keeps the block until it is taken. */
static void *subtle_hold(JSRuntime *rt, void *opaque, void *block, size_t size)
{
    bool *is_taken = opaque;
    if (size)
        return NULL;
    if (!*is_taken)
        free(block);
    free(is_taken);
    return NULL;
}

/* The result; takes the block. */
static JSValue subtle_buffer(JSContext *ctx, uint8_t *block, uint32_t len)
{
    JSValue buffer = JS_NewArrayBuffer(ctx, block, len, 0, subtle_realloc, NULL, false);
    if (JS_IsException(buffer))
        free(block);
    return buffer;
}

static void subtle_cipher_done(JSContext *ctx, struct op_pending *op, uint32_t status,
                               const uint8_t *payload, uint32_t len)
{
    struct reader in = reader_of(payload, len);
    size_t size;
    if (status) {
        op_settle(ctx, op, true, op_error(ctx, status, (const char *)payload, len));
        return;
    }
    uint8_t *block = JS_GetArrayBuffer(ctx, &size, op->values[OP_VALUE_OWN]);
    *(bool *)op->data = true;
    op_settle(ctx, op, false, subtle_buffer(ctx, block, reader_u32(&in)));
}

/* A promise for the op that works on the block, which is the op's until then. */
static JSValue subtle_cipher_later(JSContext *ctx, uint32_t number, uint8_t *block, uint32_t size)
{
    struct op_pending *op;
    bool *is_taken = calloc(1, sizeof *is_taken);
    if (!is_taken) {
        op_cancel(ctx, number);
        free(block);
        return JS_ThrowOutOfMemory(ctx);
    }
    JSValue holder = JS_NewArrayBuffer(ctx, block, size, 0, subtle_hold, is_taken, false);
    JSValue promise =
        JS_IsException(holder) ? JS_EXCEPTION : op_promise(ctx, number, subtle_cipher_done, &op);
    if (JS_IsException(promise)) {
        op_cancel(ctx, number);
        JS_FreeValue(ctx, holder);
        return promise;
    }
    op->values[OP_VALUE_OWN] = holder;
    op->data = is_taken;
    return promise;
}

static JSValue subtle_cipher_run(JSContext *ctx, struct op_cipher *args, struct text data)
{
    struct text result;
    struct op_reply reply;
    uint32_t number = 0, size = data.len + (args->is_decryption ? 0 : CIPHER_MORE_BYTES);
    uint8_t *block = malloc(size ? size : 1);
    if (!block || size < data.len) {
        free(block);
        return JS_ThrowOutOfMemory(ctx);
    }
    args->out = op_bytes(block, size);
    if (data.len > ABI_CIPHER_INLINE_BYTES) {
        memcpy(block, data.at, data.len);
        args->data = op_bytes(block, data.len);
    }
    if (!subtle_ask(ctx, false, OP_CIPHER, args, &reply, &number, &result)) {
        free(block);
        return JS_EXCEPTION;
    }
    struct reader in = reader_of(result.at, result.len);
    JSValue value = number ? subtle_cipher_later(ctx, number, block, size)
                           : subtle_buffer(ctx, block, reader_u32(&in));
    op_reply_done(&reply);
    return value;
}

JSValue subtle_cipher(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct text bytes[4];
    for (int i = 0; i < 4; i++)
        if (!subtle_bytes(ctx, argc, argv, 3 + i, &bytes[i]))
            return JS_EXCEPTION;
    struct op_cipher args = {.mode = subtle_u32(ctx, argc, argv, 0),
                             .is_decryption = subtle_u32(ctx, argc, argv, 1),
                             .bits = subtle_u32(ctx, argc, argv, 2),
                             .key = op_bytes(bytes[0].at, bytes[0].len),
                             .iv = op_bytes(bytes[1].at, bytes[1].len),
                             .aad = op_bytes(bytes[2].at, bytes[2].len),
                             .data = op_bytes(bytes[3].at, bytes[3].len)};
    return subtle_cipher_run(ctx, &args, bytes[3]);
}

JSValue subtle_equal(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct text a, b;
    if (!subtle_bytes(ctx, argc, argv, 0, &a) || !subtle_bytes(ctx, argc, argv, 1, &b))
        return JS_EXCEPTION;
    volatile uint8_t difference = a.len != b.len;
    for (uint32_t i = 0; i < a.len && i < b.len; i++)
        difference |= (uint8_t)a.at[i] ^ (uint8_t)b.at[i];
    return JS_NewBool(ctx, !difference);
}
