/* SPDX-License-Identifier: Apache-2.0
 *
 * See statement_calls.h. */
#include "server/statement_calls.h"

#include <stdlib.h>

#include "admin/admin.h"
#include "base/limits.h"
#include "host/database.h"
#include "host/statements.h"
#include "server/accounts.h"
#include "server/server.h"
#include "server/worker.h"

struct statement_call {
    struct post post; /* there and back */
    struct list link; /* worker->statement_calls */
    struct statements statements;
    struct admin_statements *asked;
    struct worker *worker;
    struct loop *control;
};

static void call_returned(struct post *p)
{
    struct statement_call *c = container_of(p, struct statement_call, post);
    struct admin_statements *asked = c->asked;
    struct statements *s = &c->statements;
    asked->error = s->error;
    asked->failed = s->failed;
    asked->result = s->result;
    s->result = BYTES_INIT;
    statements_release(s);
    database_unref(s->database);
    account_unref(s->account);
    free(c);
    asked->done(asked);
}

static void call_over(struct statement_call *c)
{
    if (list_is_linked(&c->link))
        list_remove(&c->link);
    c->post.fn = call_returned;
    loop_post(c->control, &c->post);
}

static void call_done(struct statements *s)
{
    call_over(container_of(s, struct statement_call, statements));
}

/* On the engine thread. */
static void call_arrived(struct post *p)
{
    struct statement_call *c = container_of(p, struct statement_call, post);
    struct worker *w = c->worker;
    if (w->is_over) {
        error_set(&c->statements.error, ERR_UNAVAILABLE, "the server is stopping");
        call_over(c);
        return;
    }
    list_push_back(&w->statement_calls, &c->link);
    if (statements_start(&c->statements, &w->loop, w->host.fiber_runner))
        call_over(c);
}

void statement_calls_start(struct loop *control, struct worker *to, struct admin_statements *asked)
{
    struct statement_call *c = calloc(1, sizeof(*c));
    CHECK(c);
    list_init(&c->link);
    c->asked = asked;
    c->worker = to;
    c->control = control;
    c->post.fn = call_arrived;
    c->statements = (struct statements){
        .done = call_done,
        .database = databases_resource(to->server, asked->space, asked->resource),
        .account = accounts_namespace(to->server->accounts, asked->space),
        .request = asked->request,
        .cpu_ns_max = LIMIT_D1_CPU_MS * UINT64_C(1000000),
    };
    loop_post(&to->loop, &c->post);
}

void statement_calls_cancel(struct worker *w)
{
    struct list left, *n;
    list_init(&left);
    list_splice_back(&left, &w->statement_calls);
    while ((n = list_pop_front(&left))) {
        list_push_back(&w->statement_calls, n);
        statements_cancel(&container_of(n, struct statement_call, link)->statements);
    }
}
