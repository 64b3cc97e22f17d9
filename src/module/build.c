/* SPDX-License-Identifier: Apache-2.0 */
#include "module/build.h"

void build_output_done(struct build_output *b)
{
    bytes_done(&b->artifact);
    bytes_done(&b->detail);
}

void build_failure_done(struct build_failure *f)
{
    bytes_done(&f->message);
    bytes_done(&f->file);
    bytes_done(&f->frame);
}
