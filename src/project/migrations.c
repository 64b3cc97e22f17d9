/* SPDX-License-Identifier: Apache-2.0
 *
 * Migrations of classes of actors. A project file keeps all of them, in their order; what they come to is, for each
 * class that there is now, what it was called at first: by that its instances and their data are known.
 * A class that is made again after it was deleted begins anew, by another name. */
#include "base/json.h"
#include "project/internal.h"

static struct project_class *class_find(struct project *p, struct slice name)
{
    for (size_t i = 0; i < p->classes_len; i++)
        if (slice_eq(p->classes[i].name, name))
            return &p->classes[i];
    return NULL;
}

static bool was_there(const struct project *p, struct slice origin)
{
    for (size_t i = 0; i < p->classes_len; i++)
        if (slice_eq(p->classes[i].origin, origin))
            return true;
    return false;
}

static enum err class_new(struct project_reader *r, const struct document_value *v,
                          struct slice name)
{
    struct project *p = r->p;
    if (class_find(p, name))
        return reader_error(r, v->at, "the class '%.*s' is there already", SLICE_ARG(name));
    struct project_class *all = arena_array(p->arena, p->classes_len + 1, sizeof(*all));
    for (size_t i = 0; i < p->classes_len; i++)
        all[i] = p->classes[i];
    struct slice origin = name;
    for (unsigned n = 2; was_there(p, origin); n++)
        origin = slice_cstr(arena_printf(p->arena, "%.*s_%u", SLICE_ARG(name), n));
    all[p->classes_len++] = (struct project_class){.name = name, .origin = origin};
    p->classes = all;
    return OK;
}

static enum err class_missing(struct project_reader *r, const struct document_value *v,
                              struct slice name)
{
    enum err err =
        reader_error(r, v->at, "there is no class '%.*s' at this migration", SLICE_ARG(name));
    error_hint(r->error, "name it in new_sqlite_classes of an earlier one");
    return err;
}

static enum err take_new(struct project_reader *r, const struct document_value *v)
{
    enum err err = OK;
    for (size_t i = 0; i < v->len && err == OK; i++)
        err = class_new(r, &v->items[i], v->items[i].text);
    return err;
}

static enum err take_renamed(struct project_reader *r, const struct document_value *v)
{
    for (size_t i = 0; i < v->len; i++) {
        const struct document_value *from = document_member(&v->items[i], "from");
        const struct document_value *to = document_member(&v->items[i], "to");
        enum err err = reader_object(r, SHAPE_RENAMED, &v->items[i]);
        if (err == OK && (!from || !to))
            err = reader_error(r, v->items[i].at, "a renamed class needs 'from' and 'to'");
        if (err != OK)
            return err;
        struct project_class *c = class_find(r->p, from->text);
        if (!c)
            return class_missing(r, from, from->text);
        if (class_find(r->p, to->text))
            return reader_error(r, to->at, "the class '%.*s' is there already",
                                SLICE_ARG(to->text));
        c->name = to->text;
    }
    return OK;
}

static enum err take_deleted(struct project_reader *r, const struct document_value *v)
{
    for (size_t i = 0; i < v->len; i++) {
        struct project_class *c = class_find(r->p, v->items[i].text);
        if (!c)
            return class_missing(r, &v->items[i], v->items[i].text);
        c->name = SLICE_EMPTY;
    }
    return OK;
}

static enum err refuse_transferred(struct project_reader *r, const struct document_value *v)
{
    if (v->len == 0)
        return OK;
    enum err err = reader_error(r, v->at, "classes cannot be transferred from another function");
    error_hint(r->error,
               "leave the class where its instances are, and bind to it by 'script_name'");
    return err;
}

enum err project_take_migrations(struct project_reader *r, enum key_id id,
                                 const struct document_value *v)
{
    enum err err = OK;
    switch (id) {
    case KEY_ROOT_migrations:
        r->p->classes_len = 0; /* of an environment: instead */
        for (size_t i = 0; i < v->len && err == OK; i++)
            err = reader_object(r, SHAPE_MIGRATION, &v->items[i]);
        return err;
    case KEY_MIGRATION_new_sqlite_classes:
    case KEY_MIGRATION_new_classes:
        return take_new(r, v);
    case KEY_MIGRATION_renamed_classes:
        return take_renamed(r, v);
    case KEY_MIGRATION_deleted_classes:
        return take_deleted(r, v);
    case KEY_MIGRATION_transferred_classes:
        return refuse_transferred(r, v);
    default:
        return OK; /* its tag; the parts of a renaming are read where that is */
    }
}

void project_name_classes(struct project *p)
{
    for (size_t i = 0; i < p->bindings.len; i++) {
        struct binding *b = &p->bindings.items[i];
        const bool is_own = b->part.len == 0 || (p->name && slice_eq_cstr(b->part, p->name));
        const struct project_class *c =
            b->kind == BINDING_ACTOR && is_own ? class_find(p, b->target) : NULL;
        if (!c || slice_eq(c->origin, c->name))
            continue;
        b->details =
            slice_cstr(arena_printf(p->arena, "{\"from\":\"%.*s\"}", SLICE_ARG(c->origin)));
    }
}
