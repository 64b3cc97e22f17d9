/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocking jobs, on libuv's pool. Nothing is ever cancelled here, so done() always follows run().
 */
#include "loop/work.h"

#include "base/check.h"
#include "loop/loop.h"

static void work_on_run(uv_work_t *req)
{
    struct work *w = container_of(req, struct work, req);
    w->run(w);
}

static void work_on_done(uv_work_t *req, int status)
{
    struct work *w = container_of(req, struct work, req);
    CHECK(status == 0); /* other values mean cancelled */
    w->done(w);
}

void work_start(struct loop *l, struct work *w)
{
    CHECK(w->run && w->done);
    CHECK(uv_queue_work(&l->uv, &w->req, work_on_run, work_on_done) == 0);
}
