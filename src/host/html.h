/* SPDX-License-Identifier: Apache-2.0
 *
 * One HTML document that is rewritten, for HTMLRewriter: bytes in, bytes out, and in between handlers,
 * which are the guest's and may take as long as they like. The parser (deps/limpet-deps, crate lol_html)
 * calls them in the middle of a piece; so a piece runs on a stack of its own, which is left there and
 * entered again when the handler is done. Of what waits, only that stack and the parser's heap are
 * kept, and both are accounted for.
 *
 * Time: a call does not go on for longer than HTML_CALL_NS, since it gives the parser little at a time.
 * What one tag costs grows with the depth of the document and the number of selectors; a document in
 * which it is more than HTML_TAG_NS_MAX is refused. Pieces end before a '<' where there is one, so that
 * handlers see the same whatever a call took.
 *
 * Knows no guest. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "coding/memory.h"
#include "limpet_deps.h"

struct fiber_runner;
struct html;

enum html_status {
    HTML_WANTS, /* all is taken: more of the document, or its end */
    HTML_LEFT,  /* not all is taken, or there is more output: call again */
    HTML_EVENT, /* a handler is due: html_ask(), then html_run() without input */
    HTML_OVER,  /* the document has ended, and all output is out */
};

struct html_result {
    enum html_status status;
    uint32_t id, kind; /* of the handler that is due */
    size_t taken;      /* of the input */
};

/* Is this text a selector? ERR_INVALID says why not. */
NODISCARD enum err html_selector(struct slice text, struct error *ret_error);
/* handlers: at most LIMIT_HTML_HANDLERS; they and memory are copied. runner: whose stacks it takes.
 * ERR_INVALID, ERR_LIMIT_MEMORY. */
NODISCARD enum err html_new(struct fiber_runner *runner, struct slice encoding,
                            const struct deps_html_handler *handlers, size_t handlers_len,
                            const struct coding_memory *memory, struct html **ret_html,
                            struct error *ret_error);
/* Also in the middle of a handler. NULL is fine. */
void html_free(struct html *h);
/* Gives it the next bytes of the document (is_end: the last), or, while a handler is due, says that it
 * has returned, without bytes. Writes at most `room` bytes to out. After an error only html_free(). */
NODISCARD enum err html_run(struct html *h, struct slice in, bool is_end, char *out, size_t room,
                            size_t *ret_len, struct html_result *ret_result,
                            struct error *ret_error);
/* Asks what the handler that is due was given; its answer is appended to out. ERR_INVALID: what it does not
 * have or take; ERR_CONFLICT: no handler is due. */
struct bytes;
NODISCARD enum err html_ask(struct html *h, const struct deps_html_ask *ask, struct bytes *out,
                            struct error *ret_error);
