/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include <string.h>

#include "engine.h"

#if QJS_VERSION_MAJOR != 0 || QJS_VERSION_MINOR != 16
#error "layout.c knows QuickJS-ng 0.16; check the struct offsets against the new version"
#endif

enum { RUNTIME_BYTES = 1024 }; /* searched; the struct is larger */

static uint32_t *stack_limit;

/* stack_size, stack_top and stack_limit lie in a row in the runtime. A size that is set for a
 * moment shows where. */
static bool layout_find_stack_limit(void)
{
    const uint32_t mark = 0x5A17ACE5;
    uint32_t *words = (uint32_t *)eng.rt;
    JS_SetMaxStackSize(eng.rt, mark);
    for (uint32_t i = 0; i + 2 < RUNTIME_BYTES / 4; i++)
        if (words[i] == mark && words[i + 2] == 0)
            stack_limit = &words[i + 2];
    JS_SetMaxStackSize(eng.rt, 0);
    return stack_limit != NULL && stack_limit[-2] == 0;
}

void layout_set_stack_limit(uint32_t reserve)
{
    *stack_limit = reserve; /* the stack is the lowest part of memory (--stack-first) */
}

bool layout_init(JSContext *ctx)
{
    return layout_find_stack_limit();
}
