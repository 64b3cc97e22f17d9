/* SPDX-License-Identifier: Apache-2.0
 *
 * Intl of guests. In workflows what ICU answers is recorded: its data change from release to release. */
#include "host/internal.h"

#include "intl/intl.h"

enum err op_intl(struct guest *g, const struct op_intl_args *a)
{
    if (a->what >= INTL_WHATS)
        return op_refuse(g, ERR_INVALID, "Intl has no function %u", a->what);
    return intl_ask((enum intl_what)a->what, a->request, &g->result, &g->op_error);
}
