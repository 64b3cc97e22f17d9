/* SPDX-License-Identifier: Apache-2.0
 *
 * The contract between the host and the engine module (QuickJS-ng and our glue, compiled to wasm).
 * Included by both sides; all integers are little-endian; encodings (lstr, headers) as in
 * src/host/ops.def.
 *
 * The host calls these exports. None is called while another runs.
 *
 *   _initialize()                         reactor start-up (wasi-libc)
 *   limpet_boot() -> i32                  makes the runtime and the globals; 0 is success
 *   limpet_alloc(len) -> ptr              0 if out of memory
 *   limpet_free(ptr)
 *   limpet_head() -> ptr                  address of a static buffer of ABI_HEAD_BYTES for dispatch
 * input limpet_load(kind, name, name_len, source, source_len) -> i32 enum abi_load; evaluates an ES
 * module and drains its jobs. name: of the function; also the file name in stack traces. The source
 * is NUL-terminated (not counted) and stays the host's. 0 is success; otherwise op FAIL was called.
 * For ABI_LOAD_MODULE success calls op LOADED. Top-level await that does not settle by itself is a
 * failure. limpet_dispatch(dispatch, kind, ptr, len) -> i32 starts one dispatch (number > 0) with
 * the input at ptr, which stays valid until the call returns, and runs until nothing is runnable.
 * Returns what limpet_run returns. limpet_complete(op, status, ptr, len) one completion: status 0
 * or enum err; the payload (for errors: the message) is in memory of limpet_alloc, which the guest
 * frees. Unknown op numbers are ignored. Runs no guest code. limpet_run() -> i32 drains jobs.
 * Returns the number of dispatches that are not finished: no answer yet, or waitUntil promises
 * open. limpet_abort(dispatch)                the client of this dispatch is gone: its
 * request.signal aborts in the next limpet_run, which the host calls then
 *   limpet_state(dispatch) -> i32         0: the engine has nothing more of it, 1: it is open,
 *                                         2: and waits for what was given to waitUntil()
 *   limpet_forget(dispatch)               the host has given it up: it counts no more, and no op
 *                                         that it has started will complete
 *   limpet_compile(name, source, len, ret_len) -> ptr   at build time: an ES module's bytecode. name is
 *                                         NUL-terminated; 0: it does not compile, op FAIL was called
 *   limpet_wasm(function, values, has_grown) -> i32
 *                                         WebAssembly of the guest's code, which it runs inside of wasm_call(),
 *                                         calls a function of it: parameters are at values, results go
 *                                         there. 1: it has thrown
 *
 * and provides these imports, module "limpet":
 *
 *   op(code, args, ret, ret_cap) -> i32   >= 0: result length; the result is at ret if it fits
 * ret_cap, else fetched with result(). ASYNC ops: 4 bytes, the op number (FETCH: 8). < 0: minus
 * enum err, message length by result_len(), text by result(). op_wait(code, args, ret, ret_cap) the
 * same for ASYNC ops, but returns only when completed, with the completion's payload as result. The
 * whole isolate waits. result(ptr, offset, len)              copies a part of the last result or
 * error message that did not fit; result_len() -> i32
 *
 *   wasm_call(function, values, own) -> i32  calls a function of op WASM: values are 8 bytes each,
 * parameters before, results after. own: room for ABI_WASM_VALUES_MAX, for limpet_wasm()
 *
 * Nothing secret or unique may be frozen into an image: the guest seeds Math.random at first use in
 * a dispatch (op RANDOM), reads time and env by ops. While loading, op CLOCK gives a fixed time. */
#pragma once

enum {
    ABI_VERSION = 2,
    ABI_HEAD_BYTES = 16 * 1024,
    /* Bodies above it stay in guest memory, where the host reads them piece by piece (body_kind 3). */
    ABI_INLINE_BYTES = 1024 * 1024,
    /* What is moved or digested in one call: in between others may have their turn. */
    ABI_PIECE_BYTES = 512 * 1024,
    /* What is compressed or decompressed in one call, going in and coming out: some 3 ms at the most. */
    ABI_CODEC_BYTES = 64 * 1024,
};

/* What has come to a WebSocket: op SOCKET_NEXT. */
enum abi_socket_event {
    ABI_SOCKET_TEXT,
    ABI_SOCKET_BINARY,
    ABI_SOCKET_CLOSED,
    ABI_SOCKET_ERROR, /* a text; CLOSED follows */
};

enum abi_body {
    ABI_BODY_NONE = 0,
    ABI_BODY_INLINE = 1, /* the bytes go with the call: at most ABI_INLINE_BYTES */
    ABI_BODY_STREAM = 2, /* the guest writes them to the sink that the call returns */
    ABI_BODY_LENT = 3, /* the bytes stay as they are until the op that the call returns completes */
};

enum abi_load {
    ABI_LOAD_RUNTIME = 0, /* guest/runtime: bytecode of limpet_compile(), which is trusted */
    ABI_LOAD_MODULE = 1,  /* the user's bundle: a text */
};

enum abi_dispatch {
    /* Input: u32 flags (enum abi_http_flag), u32 source (request body stream, 0: none or inline),
     * i64 content length (-1: unknown), lstr method, lstr absolute url, lstr execution id, with
     * ABI_HTTP_ENTRYPOINT lstr export ("" is the default one) and lstr props JSON, headers, lstr inline
     * body. */
    ABI_DISPATCH_HTTP = 1,
    /* Input: lstr function name, lstr execution id, lstr body JSON, lstr metadata JSON. Answer:
       RESPOND_VALUE. */
    ABI_DISPATCH_EXECUTE = 2,
    /* Input: lstr function name, lstr execution id. Calls handler.setup(). Answer: RESPOND_VALUE
       with "null". */
    ABI_DISPATCH_SETUP = 3,
    /* A durable execution. Input: lstr workflow name, lstr execution id, lstr export ("" is the
     * default one: `default`, else `main`, else the only one, else `handler`), lstr body JSON, lstr
     * metadata JSON, i64 start (ms since 1970), lstr key of the start or "". Answer: RESPOND_VALUE or FAIL; a code that ended
     * because it was cancelled FAILs with the name "CancelledError". limpet_run() asks op NEXT
     * whenever no job is left, until there is nothing. */
    ABI_DISPATCH_WORKFLOW = 4,
    /* A method of an exported class. Input: lstr function name, lstr execution id, lstr export ("" is the
     * default one), lstr props JSON, u32 what (0: call it, 1: read the property, 3: an event, of which input
     * and answer are the handler's own bytes: guest/runtime/events.ts; ABI_METHOD_ACTOR), lstr method, lstr
     * arguments (an array, as docs/values.md says). Answer: RESPOND_VALUE with a value likewise, which says
     * also what was thrown (guest/runtime/service.ts). */
    ABI_DISPATCH_METHOD = 5,
};

enum {
    ABI_STATUS_RUN = 0xffff, /* op NEXT: not a completion, run the step's body */
    /* op(code): whose << 16 | number. whose: in a durable execution the scope of the code, else the
     * low half of the number of its dispatch. */
    ABI_CODE_SCOPE_SHIFT = 16,
};

/* Of op ACTOR_CONTROL. */
enum abi_actor {
    ABI_ACTOR_ALARM_NEXT =
        4, /* alarm() has run; message: ms since 1970 when it is next due, or "" */
    ABI_ACTOR_UNBLOCK = 0,
    ABI_ACTOR_BLOCK = 1, /* but for what this request has begun nothing goes on until UNBLOCK */
    ABI_ACTOR_OVER = 2,  /* it takes no more requests; the next one has another instance */
    ABI_ACTOR_ABORT =
        3, /* it ends here and now, and all that it was asked fails with the message */
};

/* Added to `what` of a METHOD: it is for the instance that an actor is. */
enum { ABI_METHOD_ACTOR = 256 };

enum abi_http_flag {
    ABI_HTTP_HAS_BODY = 1,
    ABI_HTTP_BODY_INLINE = 2,   /* the whole body follows the headers */
    ABI_HTTP_ENTRYPOINT = 4,    /* by a service binding: which export, and its props */
    ABI_HTTP_ACTOR = 8,         /* for the instance that an actor is */
    ABI_HTTP_VERSION_SHIFT = 8, /* a byte: of HTTP, 10, 11 or 20 */
    ABI_HTTP_TLS_SHIFT = 16,    /* a byte: of TLS, 12 or 13; 0: there is none */
};

enum abi_export {
    ABI_EXPORT_FETCH = 1,       /* export default { fetch } */
    ABI_EXPORT_FUNCTION = 2,    /* export default function */
    ABI_EXPORT_HANDLER = 4,     /* export const handler = { handle } or export function handler */
    ABI_EXPORT_SETUP = 8,       /* handler.setup */
    ABI_EXPORT_WORKFLOW = 16,   /* at least one export is a workflow: workflow(), { run }, a class
                                 that extends WorkflowEntrypoint */
    ABI_EXPORT_ENTRYPOINT = 32, /* at least one export is a class that extends WorkerEntrypoint */
    ABI_EXPORT_EVENT = 64,      /* export default { scheduled } or { queue } */
};

/* A url record: u32 each of scheme_end, username_start, username_end, password_start, password_end,
 * host_start, host_end, path_start, path_end; i32 port, query_start, fragment_start (-1: none);
 * lstr origin; lstr href. Offsets are bytes into href; see deps/limpet-deps/limpet_deps.h. */
enum { ABI_URL_FIXED_BYTES = 12 * 4 };

/* What the ops CRYPTO and CRYPTO_RANDOM compute. hash: 1, 256, 384 or 512 (SHA-1, SHA-2). A verification's
 * result is one byte, 1 or 0. A key is what CRYPTO_IMPORT or a generator gave (src/crypto/crypto.h). */
enum abi_crypto {
    ABI_CRYPTO_IMPORT = 1, /* a: enum abi_key, b: enum abi_key_format; data: the key. Result: the
                              key's bytes */
    ABI_CRYPTO_EXPORT = 2, /* a, b: as above; key. Result: the key in that format */
    ABI_CRYPTO_HASH_BLOCKS = 3, /* hash; salt: the state so far, or empty; data: whole blocks.
                                   Result: the state after them */
    ABI_CRYPTO_HKDF = 4,        /* hash, key, salt, info; a: bytes wanted */
    ABI_CRYPTO_PBKDF2 = 5,      /* hash, key, salt; a: rounds, b: bytes wanted */
    ABI_CRYPTO_DERIVE = 6,     /* a: enum abi_key; key: the private one, data: the other's public */
    ABI_CRYPTO_RSA_SIGN = 7,   /* PKCS #1 v1.5. hash; key; data: the digest */
    ABI_CRYPTO_RSA_VERIFY = 8, /* likewise; salt: the signature */
    ABI_CRYPTO_PSS_VERIFY = 9, /* likewise; a: bytes of PSS's salt */
    ABI_CRYPTO_OAEP_DECRYPT = 10, /* hash; key; info: the label; data */
    ABI_CRYPTO_EC_VERIFY = 11,    /* a: enum abi_key; key; data: the digest, salt: the signature */
    ABI_CRYPTO_ED25519_SIGN = 12, /* key; data */
    ABI_CRYPTO_ED25519_VERIFY = 13, /* key; data; salt: the signature */
    /* By OpenSSL's names, in `info`: what Node's crypto has (src/crypto/named.c). */
    ABI_CRYPTO_NAMED_DIGEST = 14, /* data; a: bytes wanted of an extendable one, 0: the usual */
    ABI_CRYPTO_NAMED_HMAC = 15,   /* key, data */
    ABI_CRYPTO_NAMED_CIPHER =
        16,                 /* key; salt: iv; a: 1 decrypts, 2 without padding, 4 data begins with
                                     lstr aad and lstr tag; b: bytes of a tag to give, behind the rest */
    ABI_CRYPTO_SCRYPT = 17, /* key, salt; a: N, b: bytes wanted; data: u32 r, u32 p */
    /* of CRYPTO_RANDOM */
    ABI_CRYPTO_RSA_GENERATE = 32, /* a: bits, data: the exponent, big-endian. Result: lstr private,
                                     lstr public; likewise the next */
    ABI_CRYPTO_EC_GENERATE = 33,  /* a: enum abi_key */
    ABI_CRYPTO_PSS_SIGN = 34,     /* as RSA_SIGN; a: bytes of PSS's salt */
    ABI_CRYPTO_OAEP_ENCRYPT = 35, /* as OAEP_DECRYPT */
    ABI_CRYPTO_EC_SIGN = 36,      /* a: enum abi_key; key; data: the digest. Result: r, s */
};

enum abi_key {
    ABI_KEY_RSA = 1,
    ABI_KEY_P256 = 2,
    ABI_KEY_P384 = 3,
    ABI_KEY_P521 = 4,
    ABI_KEY_ED25519 = 5,
    ABI_KEY_X25519 = 6,
};

enum abi_key_format {
    ABI_FORMAT_SPKI = 1,
    ABI_FORMAT_PKCS8 = 2,
    ABI_FORMAT_RAW = 3, /* public: a point, compressed or not; 32 bytes */
    /* lstr each, big-endian. RSA: n, e; then d, p, q, dp, dq, qi. Curves: x, y; then d. 25519: x; d */
    ABI_FORMAT_PUBLIC_PARTS = 4,
    ABI_FORMAT_PRIVATE_PARTS = 5,
};

/* Of op CIPHER. */
enum abi_cipher {
    ABI_CIPHER_AES_CBC = 1,
    ABI_CIPHER_AES_CTR = 2, /* bits: of the counter */
    ABI_CIPHER_AES_GCM = 3, /* bits: of the tag, which stands behind the ciphertext */
    ABI_CIPHER_AES_KW = 4,
};

/* Up to here a cipher gives its result at once, from `data` to `out`. More of it has to lie in `out` already,
 * and is worked on there, piece by piece, until the op completes. */
enum { ABI_CIPHER_INLINE_BYTES = 1024 * 1024 };

/* Of op WASM. Objects have numbers (src/sandbox/nested.h, where types are described, too); "value": 8 bytes, a number in
 * its own form, of a function its number, of another reference what wasm.c has numbered it by; 0: null. */
enum abi_wasm {
    ABI_WASM_VALIDATE = 1, /* data: bytes. Result: u8 1 or 0 */
    ABI_WASM_DESCRIBE = 2, /* a: module. Result: imports and exports */
    ABI_WASM_SECTIONS = 3, /* a: module; data: name. Result: lstr each */
    ABI_WASM_INSTANTIATE =
        4,             /* a: module; data: u32 each import. Result: u32 instance, u32 start function
                                 (0: none), u32 count, u32 each export */
    ABI_WASM_TYPE = 5, /* a: object. Result: its type */
    ABI_WASM_FUNC = 6, /* a: import; data: a function's type. Result: u32 function */
    ABI_WASM_MEMORY = 7,        /* a: min, b: max. Result: u32 memory; of the next as well */
    ABI_WASM_TABLE = 8,         /* a: min, b: max; data: value, u8 type. */
    ABI_WASM_GLOBAL = 9,        /* a: type, b: mutable; data: value */
    ABI_WASM_MEMORY_STATE = 10, /* a: memory. Result: u32 address, u32 pages */
    ABI_WASM_MEMORY_GROW = 11,  /* a: memory, b: pages. Result: u32 pages before */
    ABI_WASM_TABLE_LEN = 12,    /* a: table. Result: u32 */
    ABI_WASM_TABLE_GROW = 13,   /* a: table, b: elements; data: value. Result: u32 length before */
    ABI_WASM_TABLE_GET = 14,    /* a: table, b: at. Result: value */
    ABI_WASM_TABLE_SET = 15,    /* likewise; data: value */
    ABI_WASM_GLOBAL_GET = 16,   /* a: global. Result: value */
    ABI_WASM_GLOBAL_SET = 17,   /* a: global; data: value */
    ABI_WASM_BUNDLED =
        18, /* those that come with the bundle. Result: lstr name, u32 module, each */
};

/* What import wasm_call returns: how it ended (enum nested_outcome), and whether a memory has grown. */
enum {
    ABI_WASM_RETURNED,
    ABI_WASM_TRAPPED,
    ABI_WASM_OVERFLOW,
    ABI_WASM_THROWN,
    ABI_WASM_GROWN = 256
};
enum { ABI_WASM_VALUES_MAX = 1000 };
