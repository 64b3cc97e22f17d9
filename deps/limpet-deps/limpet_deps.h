/* SPDX-License-Identifier: Apache-2.0
 *
 * C face of the published crates in limpet-deps, besides Wasmtime's own C API.
 * URLs follow the WHATWG URL standard (crate `url`, module `quirks`), text its Encoding standard (crate
 * `encoding_rs`), patterns of URLs its URL Pattern standard (crate `urlpattern`); HTML is rewritten by crate
 * `lol_html`.
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

/* Bytes that this thread has allocated in crates, less those that it has freed: how it differs after a
 * call is what that holds. */
ptrdiff_t deps_memory(void);

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
    char *
        text; /* JSON, its members in the order of the source; or what is wrong. Not NUL-terminated */
    uint32_t text_len;
    uint32_t *places; /* of each member's name in the source, in the order of the JSON text */
    uint32_t places_len;
    uint32_t error_at; /* byte of the source where it is wrong */
};

/* False: it is no TOML, and text says why. Dates become strings; infinities and integers beyond 64
 * bits null. */
bool deps_toml_to_json(const char *text, size_t len, struct deps_toml *ret);
void deps_toml_done(struct deps_toml *toml);
/* ---- text ---- */

enum { DEPS_TEXT_PIECE_MAX = 1 << 20 }; /* bytes in, and room, of one call */
enum { DEPS_TEXT_ROOM_MIN = 16 };       /* with less a call may get nowhere */

/* The name of the encoding that has this label, as the standard writes it ("Shift_JIS"); static, not
 * NUL-terminated. NULL: there is none, or it is one that cannot be decoded ("replacement"). */
const char *deps_text_encoding(const char *label, size_t len, size_t *ret_len);

/* A decoder to UTF-8. A byte order mark is text to it. NULL: as above. One thread at a time. */
struct deps_text;
struct deps_text *deps_text_new(const char *label, size_t len, bool is_fatal);

enum deps_text_status {
    DEPS_TEXT_DONE,      /* all input is taken */
    DEPS_TEXT_FULL,      /* call again with more room and the rest */
    DEPS_TEXT_MALFORMED, /* a fatal one only */
    DEPS_TEXT_FAILED,    /* the crate gave up */
};
/* Decodes from the front of in. After is_last, a malformed or a failed call only deps_text_free(). */
enum deps_text_status deps_text_run(struct deps_text *text, const char *in, size_t len,
                                    bool is_last, char *out, size_t room, size_t *ret_read,
                                    size_t *ret_written);
void deps_text_free(struct deps_text *text);

/* ---- patterns of URLs ---- */

enum { DEPS_PATTERN_BYTES_MAX = 64 << 10 }; /* of a pattern, packed */
enum { DEPS_PATTERN_INPUT_MAX = 1 << 20 };  /* of what is matched */

enum deps_pattern_what {
    DEPS_PATTERN_PARSE,
    DEPS_PATTERN_PARSE_IGNORING_CASE,
    DEPS_PATTERN_MATCHED, /* the parts of what is matched, as regular expressions are to see them */
};

/* Packed texts are u32 count, then for each u32 length and its bytes; length UINT32_MAX: there is none.
 * In: a text and its base, or the nine members of a URLPatternInit: protocol, username, password,
 * hostname, port, pathname, search, hash, baseURL.
 * Out, of a pattern: "1" if it has regular expressions of its own, else "0"; then for each of the eight
 * parts its pattern, its regular expression (ECMAScript, not looked at yet), how many groups, their
 * names. Of what is matched: the eight parts; nothing at all: it matches no pattern.
 * False: *ret is the text of an error. In both cases release it with deps_pattern_done(). */
bool deps_pattern(enum deps_pattern_what what, const char *packed, size_t len, char **ret,
                  size_t *ret_len);
void deps_pattern_done(char *bytes, size_t len);

/* ---- rewriting of HTML ---- */

/* What a handler is called for; as a set of bits: what it wants. */
enum deps_html_kind {
    DEPS_HTML_ELEMENT = 1,
    DEPS_HTML_COMMENT = 2,
    DEPS_HTML_TEXT = 4,
    DEPS_HTML_DOCTYPE = 8, /* of the document only, and the next */
    DEPS_HTML_END = 16,
    DEPS_HTML_END_TAG =
        32, /* asked for by DEPS_HTML_ON_END_TAG; not of a document's or element's handler */
    DEPS_HTML_CONTENT = 64, /* what was announced with DEPS_HTML_LATER is due */
};

/* What may be asked of what a handler is given. a, b: texts. Result: nothing; a flag, u32; a text, u32 1
 * and its bytes, or u32 0 for none; or packed texts as below. */
enum deps_html_what {
    DEPS_HTML_NAME,          /* text: of an element, an end tag, a doctype */
    DEPS_HTML_NAME_SET,      /* a */
    DEPS_HTML_NAMESPACE,     /* text */
    DEPS_HTML_REMOVED,       /* flag */
    DEPS_HTML_ATTRIBUTES,    /* packed texts: name, value, … */
    DEPS_HTML_ATTRIBUTE,     /* a: name; text */
    DEPS_HTML_ATTRIBUTE_HAS, /* a: name; flag */
    DEPS_HTML_ATTRIBUTE_SET, /* a: name, b: value */
    DEPS_HTML_ATTRIBUTE_REMOVE,
    DEPS_HTML_BEFORE, /* a: content; so are those up to INNER. flags, id: see below */
    DEPS_HTML_AFTER,
    DEPS_HTML_PREPEND,
    DEPS_HTML_APPEND, /* also at the end of the document */
    DEPS_HTML_REPLACE,
    DEPS_HTML_INNER,
    DEPS_HTML_REMOVE,
    DEPS_HTML_REMOVE_TAGS,
    DEPS_HTML_ON_END_TAG, /* id: that of the handler; takes the place of an earlier one */
    DEPS_HTML_TEXT_OF,    /* text: of a comment or a text */
    DEPS_HTML_TEXT_SET,   /* a: of a comment */
    DEPS_HTML_IS_LAST,    /* flag: the text node ends with this piece */
    DEPS_HTML_PUBLIC_ID,  /* text: of a doctype */
    DEPS_HTML_SYSTEM_ID,
    DEPS_HTML_WRITE, /* a: a piece of content that is due; need not end with a character */
};

enum {
    DEPS_HTML_IS_HTML = 1, /* flags: content is markup, not text */
    DEPS_HTML_LATER = 2,   /* content comes when it is due: handle(id, DEPS_HTML_CONTENT) */
};

struct deps_html;

/* Called from inside of deps_html_run() only. handle() may be left by a switch of the stack, and be gone
 * on with later, on the same thread; until it returns, deps_html_token() takes what it was given. False:
 * stop. */
struct deps_html_calls {
    void *ctx;
    bool (*handle)(void *ctx, uint32_t id, uint32_t kind, void *token);
    void (*output)(void *ctx, const char *bytes, size_t len);
};

struct deps_html_handler {
    const char *selector; /* NULL: of the document */
    size_t selector_len;
    uint32_t kinds; /* bits of enum deps_html_kind */
    uint32_t id;
};

struct deps_html_ask {
    uint32_t what, flags, id;
    const char *a;
    size_t a_len;
    const char *b;
    size_t b_len;
};

/* ret() gets what is made or what is wrong, and copies it. */
typedef void deps_html_ret_fn(void *ctx, const char *bytes, size_t len);

/* Is it a selector? It nests no deeper than its parentheses and brackets do, on the stack, too: it is for
 * the caller to bound them. False: ret_error was called. */
bool deps_html_selector(const char *text, size_t len, void *ctx, deps_html_ret_fn *ret_error);
/* calls is copied. memory_max: of what the crate holds between two calls, as it counts. NULL: ret_error
 * was called with calls->ctx. One thread at a time. */
struct deps_html *deps_html_new(const char *encoding, size_t encoding_len,
                                const struct deps_html_handler *handlers, size_t handlers_len,
                                size_t memory_max, const struct deps_html_calls *calls,
                                deps_html_ret_fn *ret_error);
/* The next piece of the document; is_end: it is the last. After false and after the end only
 * deps_html_error() and deps_html_free(). */
bool deps_html_run(struct deps_html *html, const char *bytes, size_t len, bool is_end);
const char *deps_html_error(const struct deps_html *html, size_t *ret_len);
/* Asks what the handler that waits was given. False: ret() gets why not. */
bool deps_html_token(const struct deps_html *html, uint32_t kind, void *token,
                     const struct deps_html_ask *ask, void *ctx, deps_html_ret_fn *ret);
void deps_html_free(struct deps_html *html); /* not in the middle of deps_html_run() */
