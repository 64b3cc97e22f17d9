/* SPDX-License-Identifier: Apache-2.0
 *
 * See module_kind.h. */
#include "base/module_kind.h"

#include <string.h>

#include "base/bytes.h"

const struct module_kind_info module_kinds[MODULE_KINDS] = {
    [MODULE_FUNCTION] =
        {
            .word = "function",
            .words = "functions",
            .started_by = MODULE_EXPORT_FETCH | MODULE_EXPORT_FUNCTION | MODULE_EXPORT_HANDLER |
                          MODULE_EXPORT_ENTRYPOINT | MODULE_EXPORT_EVENT,
            .does = "answer requests",
            .is_routed = true,
        },
    [MODULE_WORKFLOW] =
        {
            .word = "workflow",
            .words = "workflows",
            .started_by = MODULE_EXPORT_WORKFLOW | MODULE_EXPORT_HANDLER,
            .example = "import { workflow } from \"limpet\"; export default "
                       "workflow(async (input) => { … })",
            .does = "be started",
            .has_isolates = true,
            .is_durable = true,
        },
};

bool module_is_durable(enum module_kind kind, uint32_t exports)
{
    return module_kinds[kind].is_durable || (exports & MODULE_EXPORT_WORKFLOW) != 0;
}

enum module_kind module_kind_of_path(struct slice path)
{
    for (unsigned k = 0; k < MODULE_KINDS; k++)
        if (path.len > 0 && slice_starts(slice_skip(path, 1), slice_cstr(module_kinds[k].words)))
            return (enum module_kind)k;
    return MODULE_FUNCTION;
}

void module_kinds_words(struct bytes *out)
{
    for (unsigned k = 0; k < MODULE_KINDS; k++) {
        if (k > 0)
            bytes_append_cstr(out, k + 1 < MODULE_KINDS ? ", " : " or ");
        bytes_append_cstr(out, module_kinds[k].word);
    }
}

/* What code that exports these could be instead. */
static const struct module_kind_info *other_kind(enum module_kind kind, uint32_t exports)
{
    for (unsigned k = 0; k < MODULE_KINDS; k++)
        if (k != kind && (exports & module_kinds[k].started_by))
            return &module_kinds[k];
    return NULL;
}

enum err module_kind_check(enum module_kind kind, struct slice module, uint32_t exports,
                           struct error *ret_error)
{
    const struct module_kind_info *of = &module_kinds[kind], *other = other_kind(kind, exports);
    if ((exports & of->started_by) || (!of->example && !other))
        return OK;
    if (of->example)
        error_set(ret_error, ERR_BUILD_FAILED, "the module exports no %s", of->word);
    else
        error_set(ret_error, ERR_BUILD_FAILED, "the module exports only %s, no %s that could %s",
                  other->words, of->word, of->does);
    if (of->example && other)
        error_hint(ret_error, "export one: %s; %s are uploaded with 'limpet %s upload'",
                   of->example, other->words, other->word);
    else if (of->example)
        error_hint(ret_error, "export one: %s", of->example);
    else
        error_hint(ret_error, "upload it with 'limpet %s upload %.*s FILE'", other->word,
                   SLICE_ARG(module));
    return ERR_BUILD_FAILED;
}
