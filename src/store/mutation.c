/* SPDX-License-Identifier: Apache-2.0
 *
 * The mutations of store.h: each row of mutations.def becomes the function that asks for it. Its
 * arguments are copied, with their texts and steps, into one allocation and queued. Any thread; nothing
 * here waits. */
#include "store/internal.h"

enum { MUTATION_TEXTS_MAX = 12 }; /* of a mutation or step */

/* ---- generated: where the texts are ---- */

#define T(name) +1
#define N(member) +1
#define V(type, name)
#define R(type, name)
#define STEPS
#define MUTATION(KIND, name, guard, fields)                                                        \
    _Static_assert(0 fields <= MUTATION_TEXTS_MAX, "room for the texts of " #name);
#include "store/mutations.def"
#define STEP(KIND, name, guard, fields)                                                            \
    _Static_assert(0 fields <= MUTATION_TEXTS_MAX, "room for the texts of " #name);
#include "store/mutations.def"
#undef T
#undef N
#undef V
#undef R
#undef STEPS

#define T(name) ret_texts[len++] = &a->name;
#define N(member) ret_texts[len++] = &a->member;
#define V(type, name)
#define R(type, name)
#define STEPS
#define MUTATION(KIND, name, guard, fields)                                                        \
    static size_t texts_##name(struct mutation *m, struct slice **ret_texts)                       \
    {                                                                                              \
        struct mutation_##name *a = &m->name;                                                      \
        size_t len = 0;                                                                            \
        (void)a;                                                                                   \
        fields return len;                                                                         \
    }
#include "store/mutations.def"
#define STEP(KIND, name, guard, fields)                                                            \
    static size_t step_texts_##name(struct store_step *s, struct slice **ret_texts)                \
    {                                                                                              \
        __auto_type a = &s->name;                                                                  \
        size_t len = 0;                                                                            \
        (void)a, (void)ret_texts;                                                                  \
        fields return len;                                                                         \
    }
#include "store/mutations.def"
#undef T
#undef N
#undef V
#undef R
#undef STEPS

static size_t (*const texts_of[])(struct mutation *m, struct slice **ret_texts) = {
#define MUTATION(KIND, name, guard, fields) [MUTATION_##KIND] = texts_##name,
#include "store/mutations.def"
};

static size_t (*const step_texts_of[])(struct store_step *s, struct slice **ret_texts) = {
#define STEP(KIND, name, guard, fields) [STORE_STEP_##KIND] = step_texts_##name,
#include "store/mutations.def"
};

static const char *const mutation_names[] = {
#define MUTATION(KIND, name, guard, fields) [MUTATION_##KIND] = #name,
#include "store/mutations.def"
};

const char *mutation_text(const struct mutation *m)
{
    return mutation_names[m->kind];
}

struct slice mutation_subject(const struct mutation *m)
{
    struct slice *texts[MUTATION_TEXTS_MAX];
    struct mutation copy = *m;
    return texts_of[m->kind](&copy, texts) > 0 ? *texts[0] : SLICE_EMPTY;
}

int64_t mutation_records(const struct mutation *m)
{
    int64_t records = 0;
    for (size_t i = 0; i < m->steps_len; i++)
        if (m->steps[i].kind == STORE_STEP_APPEND)
            records += m->steps[i].append.count;
    return records;
}

/* ---- copying ---- */

static size_t texts_bytes(struct slice *const *texts, size_t len)
{
    size_t bytes = 0;
    for (size_t i = 0; i < len; i++)
        bytes += texts[i]->len;
    return bytes;
}

static char *texts_copy(struct slice *const *texts, size_t len, char *at)
{
    for (size_t i = 0; i < len; i++) {
        if (texts[i]->len)
            memcpy(at, texts[i]->ptr, texts[i]->len);
        texts[i]->ptr = at;
        at += texts[i]->len;
    }
    return at;
}

static size_t step_bytes(const struct store_step *step)
{
    struct slice *texts[MUTATION_TEXTS_MAX];
    struct store_step copy = *step;
    return texts_bytes(texts, step_texts_of[step->kind](&copy, texts));
}

/* An op without a callback may be gone before the writer gets to it, so it is as good as none. */
static void mutation_push(struct store *s, struct store_op *op, struct mutation *template)
{
    struct slice *texts[MUTATION_TEXTS_MAX];
    const struct store_step *steps = template->steps;
    size_t steps_len = template->steps_len;
    size_t len = texts_of[template->kind](template, texts);
    size_t bytes =
        texts_bytes(texts, len) + steps_len * sizeof(*steps) + sizeof(struct mutation_progress);
    for (size_t i = 0; i < steps_len; i++)
        bytes += step_bytes(&steps[i]);
    if (template->kind == MUTATION_LOG && !queue_take_log(s, template->log.row.function, bytes))
        return;
    const struct store_audit *audit = op ? op->audit : NULL;
    if (audit)
        bytes += sizeof(*audit) + audit->actor.len + audit->space.len + audit->action.len +
                 audit->target.len;
    struct mutation *m = malloc(sizeof(*m) + bytes);
    CHECK(m);
    *m = *template;
    m->op = op && op->done ? op : NULL;
    m->bytes = bytes;
    m->is_applied = false;
    m->progress = (struct mutation_progress *)(m + 1);
    *m->progress = (struct mutation_progress){0};
    struct store_step *copies = (struct store_step *)(m->progress + 1);
    struct store_audit *log = (struct store_audit *)(copies + steps_len);
    char *at = (char *)(log + (audit != NULL));
    if (audit) {
        *log = *audit;
        struct slice *const parts[] = {&log->actor, &log->space, &log->action, &log->target};
        at = texts_copy(parts, ARRAY_LEN(parts), at);
        m->log_audit = log;
    }
    at = texts_copy(texts, texts_of[m->kind](m, texts), at);
    for (size_t i = 0; i < steps_len; i++) {
        copies[i] = steps[i];
        at = texts_copy(texts, step_texts_of[steps[i].kind](&copies[i], texts), at);
    }
    m->steps = copies;
    mutation_enqueue(s, m);
}

/* ---- generated: the mutations ---- */

/* Each field becomes (parameter's type, its name, what puts it into the mutation), and a list of these is
 * gone through twice: A and B take turns, since no macro may name itself; what is left at the end is
 * pasted with _END, which is nothing. */
#define T(name) (struct slice, name, a->name = name)
#define V(type, name) (type, name, a->name = name)
#define R(type, name) (const type *, name, a->name = *name)
#define N(member)
#define STEPS                                                                                      \
    (const struct store_step *, steps, m.steps = steps)(size_t, steps_len, m.steps_len = steps_len)
#define PARAM_A(type, name, set) , type name PARAM_B
#define PARAM_B(type, name, set) , type name PARAM_A
#define PARAM_A_END
#define PARAM_B_END
#define FIELD_A(type, name, set)                                                                   \
    set;                                                                                           \
    FIELD_B
#define FIELD_B(type, name, set)                                                                   \
    set;                                                                                           \
    FIELD_A
#define FIELD_A_END
#define FIELD_B_END
#define ALL(...) ALL_OF(__VA_ARGS__)
#define ALL_OF(...) __VA_ARGS__##_END
#define MUTATION(KIND, name, guard, fields)                                                        \
    void store_##name(struct store *s, struct store_op *op ALL(PARAM_A fields))                    \
    {                                                                                              \
        struct mutation m = {.kind = MUTATION_##KIND};                                             \
        struct mutation_##name *a = &m.name;                                                       \
        ALL(FIELD_A fields) mutation_push(s, op, &m);                                              \
    }
#include "store/mutations.def"
