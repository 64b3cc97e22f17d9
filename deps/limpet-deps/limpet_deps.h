/* SPDX-License-Identifier: Apache-2.0
 *
 * C face of the published crates in limpet-deps, besides Wasmtime's own C API.
 * URLs follow the WHATWG URL standard (crate `url`, module `quirks`).
 *
 * The contract of every function here: any bytes may be passed, a result is either right or
 * refused, and no input ends the process. A panic in a crate is caught in the face, refuses that
 * one call and is counted. Inputs above DEPS_URL_BYTES_MAX are refused. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DEPS_URL_BYTES_MAX = 64 << 20 }; /* offsets of a result fit into 31 bits */

/* Tells of the first panic that was caught in this process ("src/parser.rs:12:3: message"), on the
 * thread that had it; those that follow are only counted. Once, before other threads exist. */
void deps_on_panic(void (*told)(const char *text, size_t len));
uint64_t deps_panics(void);
/* Panics, on purpose. True: it was caught, so this build can unwind. For tests. */
bool deps_panic_is_caught(void);

/* A parsed URL: its serialization and byte offsets into it. Owned; release with deps_url_done(). */
struct deps_url {
    char *href; /* not NUL-terminated */
    uint32_t href_len;
    uint32_t scheme_end; /* "https" ends here, before the colon */
    uint32_t username_start, username_end;
    uint32_t password_start, password_end; /* empty where there is none */
    uint32_t host_start, host_end;         /* an IPv6 host includes its brackets */
    int32_t port;                          /* -1: none, or the default of the scheme */
    uint32_t path_start, path_end;
    int32_t query_start;    /* first byte after '?', -1: no query */
    int32_t fragment_start; /* first byte after '#', -1: no fragment */
    char *origin;           /* "null" for opaque origins; not NUL-terminated */
    uint32_t origin_len;
};

enum deps_url_part {
    DEPS_URL_PROTOCOL,
    DEPS_URL_USERNAME,
    DEPS_URL_PASSWORD,
    DEPS_URL_HOST,
    DEPS_URL_HOSTNAME,
    DEPS_URL_PORT,
    DEPS_URL_PATHNAME,
    DEPS_URL_SEARCH,
    DEPS_URL_HASH,
};

/* Parses input against base (base_len 0: none). False: not a URL, or not UTF-8; *ret is
 * untouched. */
bool deps_url_parse(const char *input, size_t input_len, const char *base, size_t base_len,
                    struct deps_url *ret);

/* The URL API's setter for one part. False: the standard ignores this value, or what came of it
 * would not be a URL that parses to itself; *ret is untouched. */
bool deps_url_set(const char *href, size_t href_len, enum deps_url_part part, const char *value,
                  size_t value_len, struct deps_url *ret);

void deps_url_done(struct deps_url *url);

/* TOML as JSON (crate `toml`). Owned; release with deps_toml_done(). */
enum { DEPS_TOML_BYTES_MAX = 4 << 20 };
struct deps_toml {
    char *text; /* JSON, its members in the order of the source; or what is wrong. Not NUL-terminated */
    uint32_t text_len;
    uint32_t *places; /* of each member's name in the source, in the order of the JSON text */
    uint32_t places_len;
    uint32_t error_at; /* byte of the source where it is wrong */
};

/* False: it is no TOML, and text says why. Dates become strings; infinities and integers beyond 64
 * bits null. */
bool deps_toml_to_json(const char *text, size_t len, struct deps_toml *ret);
void deps_toml_done(struct deps_toml *toml);
