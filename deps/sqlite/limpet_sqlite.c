/* SPDX-License-Identifier: Apache-2.0
 *
 * SQLite's amalgamation and what we add to it, as one translation unit: tools/deps-sqlite compiles
 * it with the source that a crate ships. Additions touch internals, so they are few, and each says
 * what it relies on:
 *
 * - malloc() and friends are ours, to count, and to see large values coming (every large value is a
 *   large allocation).
 * - Scalar functions are wrapped in place when SQLite starts: FuncDef.xSFunc is the wrapper,
 *   xInverse, which only window functions have, the function itself. The wrapper announces large
 *   arguments.
 * - instr, replace, trim, like and glob are our own: theirs multiply the lengths of their
 * arguments. json_patch, which does so too, takes no large ones.
 *
 * Any thread, as SQLite itself in multi-thread mode. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void *limpet_malloc(size_t len);
static void *limpet_realloc(void *p, size_t len);
static void limpet_free(void *p);

#define malloc limpet_malloc
#define realloc limpet_realloc
#define free limpet_free
#include "sqlite3.c"
#undef malloc
#undef realloc
#undef free

#include "limpet_sqlite.h" /* after SQLite, which declares itself in its own way */

enum {
    LIMPET_BIG_BYTES = 64 * 1024,        /* an allocation that is announced */
    LIMPET_ARGS_BYTES = 16 * 1024,       /* arguments of a linear function */
    LIMPET_JSON_BYTES = 4 * 1024,        /* ... of one that parses */
    LIMPET_JSON_BYTES_MAX = 4 * 1024 * 1024, /* ... which many arguments parse again and again */
    LIMPET_PATCH_BYTES_MAX = 64 * 1024,  /* of json_patch: keys are searched one by one */
    LIMPET_STEPS_ANNOUNCED = 256 * 1024, /* steps of a search that may multiply */
    LIMPET_STEPS_A_LOOK = 64 * 1024,
};

static struct limpet_sqlite_hooks limpet_hooks;

void limpet_sqlite_set_hooks(const struct limpet_sqlite_hooks *hooks)
{
    limpet_hooks = *hooks;
}

static void limpet_ahead(void)
{
    if (limpet_hooks.ahead)
        limpet_hooks.ahead();
}

static int limpet_working(void)
{
    return limpet_hooks.working ? limpet_hooks.working() : 0;
}

/* ---- memory ---- */

static int limpet_charge(ptrdiff_t bytes)
{
    return limpet_hooks.charge ? limpet_hooks.charge(bytes) : 0;
}

static void *limpet_malloc(size_t len)
{
    if (len >= LIMPET_BIG_BYTES)
        limpet_ahead();
    if (limpet_charge((ptrdiff_t)len))
        return NULL;
    void *p = malloc(len);
    /* By what it really takes, for that is given back. */
    (void)limpet_charge(p ? (ptrdiff_t)malloc_usable_size(p) - (ptrdiff_t)len : -(ptrdiff_t)len);
    return p;
}

static void *limpet_realloc(void *old, size_t len)
{
    ptrdiff_t before = old ? (ptrdiff_t)malloc_usable_size(old) : 0;
    if (len >= LIMPET_BIG_BYTES)
        limpet_ahead();
    if ((ptrdiff_t)len > before && limpet_charge((ptrdiff_t)len - before))
        return NULL;
    void *p = realloc(old, len);
    ptrdiff_t charged = (ptrdiff_t)len > before ? (ptrdiff_t)len : before;
    (void)limpet_charge(p ? (ptrdiff_t)malloc_usable_size(p) - charged : before - charged);
    return p;
}

static void limpet_free(void *p)
{
    if (p)
        (void)limpet_charge(-(ptrdiff_t)malloc_usable_size(p));
    free(p);
}

/* ---- functions ---- */

static i64 limpet_args_bytes(int argc, sqlite3_value **argv)
{
    i64 sum = 0;
    for (int i = 0; i < argc; i++) {
        const Mem *m = argv[i];
        if (m->flags & (MEM_Str | MEM_Blob))
            sum += m->n + (m->flags & MEM_Zero ? m->u.nZero : 0);
    }
    return sum;
}

static void limpet_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    if (limpet_args_bytes(argc, argv) > LIMPET_ARGS_BYTES)
        limpet_ahead();
    ctx->pFunc->xInverse(ctx, argc, argv);
}

static void limpet_json_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    i64 len = limpet_args_bytes(argc, argv);
    if (len > LIMPET_JSON_BYTES_MAX) {
        sqlite3_result_error(ctx, "JSON functions take at most 4 MiB in all arguments", -1);
        return;
    }
    if (len > LIMPET_JSON_BYTES)
        limpet_ahead();
    ctx->pFunc->xInverse(ctx, argc, argv);
}

static void limpet_json_patch(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    i64 len = limpet_args_bytes(argc, argv);
    if (len > LIMPET_PATCH_BYTES_MAX) {
        sqlite3_result_error(ctx, "json_patch() takes at most 64 KiB in both arguments", -1);
        return;
    }
    if (len > LIMPET_JSON_BYTES)
        limpet_ahead();
    ctx->pFunc->xInverse(ctx, argc, argv);
}

/* The arguments as text or both as blobs. False: one is NULL, or out of memory. */
struct limpet_pair {
    const unsigned char *a, *b;
    int a_len, b_len;
    int is_text;
    sqlite3_value *copy_a, *copy_b;
};

static int limpet_pair_get(struct limpet_pair *p, sqlite3_value **argv)
{
    int ta = sqlite3_value_type(argv[0]), tb = sqlite3_value_type(argv[1]);
    memset(p, 0, sizeof(*p));
    p->is_text = !(ta == SQLITE_BLOB && tb == SQLITE_BLOB);
    sqlite3_value *a = argv[0], *b = argv[1];
    if (p->is_text &&
        (ta == SQLITE_BLOB || tb == SQLITE_BLOB)) { /* the originals keep their type */
        a = p->copy_a = sqlite3_value_dup(a);
        b = p->copy_b = sqlite3_value_dup(b);
        if (!a || !b)
            return 0;
    }
    p->a = p->is_text ? sqlite3_value_text(a) : sqlite3_value_blob(a);
    p->b = p->is_text ? sqlite3_value_text(b) : sqlite3_value_blob(b);
    p->a_len = sqlite3_value_bytes(a);
    p->b_len = sqlite3_value_bytes(b);
    return (p->a || !p->a_len) && (p->b || !p->b_len);
}

/* instr(): memmem() is linear. A match of text begins at a character: if the needle begins with a
 * continuation byte, only the very beginning is one where it can. */
static void limpet_instr(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    struct limpet_pair p;
    if (sqlite3_value_type(argv[0]) == SQLITE_NULL || sqlite3_value_type(argv[1]) == SQLITE_NULL)
        return;
    if (limpet_args_bytes(argc, argv) > LIMPET_ARGS_BYTES)
        limpet_ahead();
    if (!limpet_pair_get(&p, argv)) {
        sqlite3_result_error_nomem(ctx);
    } else if (p.b_len == 0) {
        sqlite3_result_int(ctx, 1);
    } else {
        const unsigned char *at = NULL;
        if (p.a_len >= p.b_len && p.is_text && (p.b[0] & 0xc0) == 0x80)
            at = memcmp(p.a, p.b, (size_t)p.b_len) == 0 ? p.a : NULL;
        else if (p.a_len >= p.b_len)
            at = memmem(p.a, (size_t)p.a_len, p.b, (size_t)p.b_len);
        int n = 0;
        if (at && p.is_text) {
            n = 1;
            for (const unsigned char *z = p.a; z < at; n++) {
                do
                    z++;
                while ((*z & 0xc0) == 0x80);
            }
        } else if (at) {
            n = (int)(at - p.a) + 1;
        }
        sqlite3_result_int(ctx, n);
    }
    sqlite3_value_free(p.copy_a);
    sqlite3_value_free(p.copy_b);
}

/* replace(): matches are counted first, so that the result is allocated once. */
static void limpet_replace(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    if (limpet_args_bytes(argc, argv) > LIMPET_ARGS_BYTES)
        limpet_ahead();
    const char *text = (const char *)sqlite3_value_text(argv[0]);
    const char *what = text ? (const char *)sqlite3_value_text(argv[1]) : NULL;
    const char *with = what ? (const char *)sqlite3_value_text(argv[2]) : NULL;
    if (!text || !what)
        return;
    size_t text_len = (size_t)sqlite3_value_bytes(argv[0]);
    if (what[0] == 0) {
        sqlite3_result_text(ctx, text, (int)text_len, SQLITE_TRANSIENT);
        return;
    }
    if (!with)
        return;
    size_t what_len = (size_t)sqlite3_value_bytes(argv[1]);
    size_t with_len = (size_t)sqlite3_value_bytes(argv[2]), found = 0;
    const char *end = text + text_len, *at;
    for (const char *z = text; (at = memmem(z, (size_t)(end - z), what, what_len));
         z = at + what_len)
        found++;
    u64 len = text_len - found * what_len + (u64)found * with_len;
    if (len > (u64)sqlite3_context_db_handle(ctx)->aLimit[SQLITE_LIMIT_LENGTH]) {
        sqlite3_result_error_toobig(ctx);
        return;
    }
    char *out = sqlite3_malloc64(len + 1), *to = out;
    if (!out) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    const char *z = text;
    for (; (at = memmem(z, (size_t)(end - z), what, what_len)); z = at + what_len) {
        memcpy(to, z, (size_t)(at - z));
        to += at - z;
        if (with_len)
            memcpy(to, with, with_len);
        to += with_len;
    }
    memcpy(to, z, (size_t)(end - z));
    out[len] = 0;
    sqlite3_result_text64(ctx, out, len, sqlite3_free, SQLITE_UTF8);
}

/* trim(): the set of characters is sorted once. */
struct limpet_char {
    unsigned char len, bytes[7];
};

static int limpet_char_order(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct limpet_char));
}

/* One character as SQLITE_SKIP_UTF8 sees it, as far as it can matter. */
static const unsigned char *limpet_char_at(const unsigned char *z, const unsigned char *end,
                                           struct limpet_char *ret)
{
    const unsigned char *start = z;
    memset(ret, 0, sizeof(*ret));
    if (*z++ >= 0xc0) {
        while (z < end && (*z & 0xc0) == 0x80)
            z++;
    }
    ret->len = (unsigned char)(z - start < 7 ? z - start : 7);
    memcpy(ret->bytes, start, ret->len);
    return z;
}

static int limpet_char_in(const struct limpet_char *set, size_t len, const struct limpet_char *c)
{
    return bsearch(c, set, len, sizeof(*set), limpet_char_order) != NULL;
}

static void limpet_trim(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    if (limpet_args_bytes(argc, argv) > LIMPET_ARGS_BYTES)
        limpet_ahead();
    const unsigned char *z = sqlite3_value_text(argv[0]), *end, *set_text;
    struct limpet_char space = {1, " "}, *set = &space, c;
    size_t set_len = 1;
    int sides = SQLITE_PTR_TO_INT(sqlite3_user_data(ctx));
    if (!z)
        return;
    end = z + sqlite3_value_bytes(argv[0]);
    if (argc > 1) {
        if (!(set_text = sqlite3_value_text(argv[1])))
            return;
        const unsigned char *set_end = set_text + strlen((const char *)set_text);
        set = sqlite3_malloc64((u64)(set_end - set_text + 1) * sizeof(*set));
        if (!set) {
            sqlite3_result_error_nomem(ctx);
            return;
        }
        for (set_len = 0; set_text < set_end; set_len++)
            set_text = limpet_char_at(set_text, set_end, &set[set_len]);
        qsort(set, set_len, sizeof(*set), limpet_char_order);
    }
    while (sides & 1 && z < end) {
        const unsigned char *next = limpet_char_at(z, end, &c);
        if (!limpet_char_in(set, set_len, &c))
            break;
        z = next;
    }
    while (sides & 2 && z < end) {
        const unsigned char *last = end - 1;
        while (last > z && (*last & 0xc0) == 0x80)
            last--;
        if (limpet_char_at(last, end, &c) != end || !limpet_char_in(set, set_len, &c))
            break;
        end = last;
    }
    sqlite3_result_text64(ctx, (const char *)z, (u64)(end - z), SQLITE_TRANSIENT, SQLITE_UTF8);
    if (set != &space)
        sqlite3_free(set);
}

/* LIKE and GLOB: with one place to go back to, the last wildcard, which is enough: what an earlier
 * one could match differently the last one can, too. */
struct limpet_pattern {
    const struct compareInfo *info;
    u32 one, all, other;
    i64 steps;
    int is_stopped;
};

/* A set in brackets, from behind the '['. Moves past it. False also if it does not end. */
static int limpet_set_has(const u8 **pattern, u32 c)
{
    u32 prior = 0, c2 = sqlite3Utf8Read(pattern);
    int seen = 0, invert = 0;
    if (c2 == '^') {
        invert = 1;
        c2 = sqlite3Utf8Read(pattern);
    }
    if (c2 == ']') {
        seen = c == ']';
        c2 = sqlite3Utf8Read(pattern);
    }
    while (c2 && c2 != ']') {
        if (c2 == '-' && **pattern != ']' && **pattern != 0 && prior > 0) {
            c2 = sqlite3Utf8Read(pattern);
            seen |= c >= prior && c <= c2;
            prior = 0;
        } else {
            seen |= c == c2;
            prior = c2;
        }
        c2 = sqlite3Utf8Read(pattern);
    }
    return c2 && (seen ^ invert);
}

/* One character of the text against one element of the pattern, which is not the wildcard. */
static int limpet_element_is(const struct limpet_pattern *m, const u8 **pattern, const u8 **text)
{
    u32 c = sqlite3Utf8Read(pattern), c2 = sqlite3Utf8Read(text);
    if (c2 == 0)
        return 0;
    if (c == m->other && m->info->matchSet)
        return limpet_set_has(pattern, c2);
    if (c == m->other) {
        c = sqlite3Utf8Read(pattern);
        if (c == 0)
            return 0;
    } else if (c == m->one && m->one) {
        return 1;
    }
    return c == c2 ||
           (m->info->noCase && c < 0x80 && c2 < 0x80 && sqlite3Tolower(c) == sqlite3Tolower(c2));
}

static int limpet_match(struct limpet_pattern *m, const u8 *pattern, const u8 *text)
{
    const u8 *star = NULL, *from = NULL;
    i64 look = LIMPET_STEPS_A_LOOK;
    for (;;) {
        if (m->all && *pattern == m->all) {
            star = ++pattern;
            from = text;
            if (!*star)
                return 1;
            continue;
        }
        if (!*pattern && !*text)
            return 1;
        m->steps++;
        if (*pattern && limpet_element_is(m, &pattern, &text))
            continue;
        if (!star || !*from)
            return 0;
        if (m->steps > look) {
            look = m->steps + LIMPET_STEPS_A_LOOK;
            if (m->steps > LIMPET_STEPS_ANNOUNCED)
                limpet_ahead();
            if (limpet_working()) {
                m->is_stopped = 1;
                return 0;
            }
        }
        SQLITE_SKIP_UTF8(from);
        if (*star < 0x80 && *star != m->other && *star != m->one &&
            *from) { /* to where it may be */
            char stop[3] = {(char)*star, 0, 0};
            if (m->info->noCase) {
                stop[0] = (char)sqlite3Toupper(*star);
                stop[1] = (char)sqlite3Tolower(*star);
            }
            from += strcspn((const char *)from, stop);
        }
        pattern = star;
        text = from;
    }
}

static void limpet_like(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    sqlite3 *db = sqlite3_context_db_handle(ctx);
    const struct compareInfo *info = sqlite3_user_data(ctx);
    struct limpet_pattern m = {info, info->matchOne, info->matchAll, info->matchSet, 0, 0};
    if (sqlite3_value_type(argv[0]) == SQLITE_BLOB || sqlite3_value_type(argv[1]) == SQLITE_BLOB) {
        sqlite3_result_int(ctx, 0); /* SQLITE_LIKE_DOESNT_MATCH_BLOBS */
        return;
    }
    if (sqlite3_value_bytes(argv[0]) > db->aLimit[SQLITE_LIMIT_LIKE_PATTERN_LENGTH]) {
        sqlite3_result_error(ctx, "LIKE or GLOB pattern too complex", -1);
        return;
    }
    if (argc == 3) {
        const unsigned char *escape = sqlite3_value_text(argv[2]);
        if (!escape)
            return;
        if (sqlite3Utf8CharLen((const char *)escape, -1) != 1) {
            sqlite3_result_error(ctx, "ESCAPE expression must be a single character", -1);
            return;
        }
        m.other = sqlite3Utf8Read(&escape);
        if (m.other == m.all)
            m.all = 0;
        if (m.other == m.one)
            m.one = 0;
    }
    if (limpet_args_bytes(argc, argv) > LIMPET_ARGS_BYTES)
        limpet_ahead();
    const unsigned char *pattern = sqlite3_value_text(argv[0]);
    const unsigned char *text = sqlite3_value_text(argv[1]);
    if (!pattern || !text)
        return;
    int is_match = limpet_match(&m, pattern, text);
    if (m.is_stopped)
        sqlite3_result_error_code(ctx, SQLITE_INTERRUPT);
    else
        sqlite3_result_int(ctx, is_match);
}

static void limpet_wrap(FuncDef *def)
{
    static const struct {
        const char *name;
        void (*fn)(sqlite3_context *, int, sqlite3_value **);
    } own[] = {{"instr", limpet_instr},
               {"replace", limpet_replace},
               {"trim", limpet_trim},
               {"ltrim", limpet_trim},
               {"rtrim", limpet_trim},
               {"like", limpet_like},
               {"glob", limpet_like},
               {"json_patch", limpet_json_patch},
               {"jsonb_patch", limpet_json_patch}};
    if (!def->xSFunc || def->xFinalize || def->xValue || def->xInverse ||
        def->funcFlags & SQLITE_FUNC_INLINE)
        return;
    def->xInverse = def->xSFunc;
    def->xSFunc = strncmp(def->zName, "json", 4) == 0 || def->zName[0] == '-' ? limpet_json_function
                                                                              : limpet_function;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (strcmp(def->zName, own[i].name) == 0)
            def->xSFunc = own[i].fn;
    }
}

/* SQLITE_EXTRA_INIT_MUTEXED: the end of sqlite3_initialize(). */
int limpet_sqlite_start(const char *unused)
{
    (void)unused;
    for (int i = 0; i < SQLITE_FUNC_HASH_SZ; i++) {
        for (FuncDef *p = sqlite3BuiltinFunctions.a[i]; p; p = p->u.pHash) {
            for (FuncDef *same = p; same; same = same->pNext)
                limpet_wrap(same);
        }
    }
    return SQLITE_OK;
}

/* ---- connections and statements ---- */

void limpet_sqlite_set_changes(sqlite3 *db, sqlite3_int64 changes, sqlite3_int64 total)
{
    db->nChange = changes;
    db->nTotalChange = total;
}

static enum limpet_sqlite_weight limpet_weight_of(const VdbeOp *ops, int len)
{
    enum limpet_sqlite_weight weight = LIMPET_SQLITE_LIGHT;
    for (int i = 0; i < len; i++) {
        switch (ops[i].opcode) {
        case OP_SorterOpen:
            weight = LIMPET_SQLITE_SORTS;
            break;
        case OP_VOpen: {
            const char *name = ops[i].p4type == P4_VTAB ? ops[i].p4.pVtab->pMod->zName : "";
            if (strncmp(name, "json_", 5) != 0 && strncmp(name, "jsonb_", 6) != 0)
                return LIMPET_SQLITE_HEAVY;
            break;
        }
        case OP_VUpdate:
        case OP_VCreate:
        case OP_VDestroy:
        case OP_VRename:
        case OP_VCheck:
        case OP_IntegrityCk:
        case OP_SqlExec:
        case OP_ParseSchema:
            return LIMPET_SQLITE_HEAVY;
        default:
            break;
        }
    }
    return weight;
}

enum limpet_sqlite_weight limpet_sqlite_weight(sqlite3_stmt *stmt)
{
    const Vdbe *v = (const Vdbe *)stmt;
    enum limpet_sqlite_weight weight = limpet_weight_of(v->aOp, v->nOp);
    for (const SubProgram *p = v->pProgram; p && weight != LIMPET_SQLITE_HEAVY; p = p->pNext) {
        enum limpet_sqlite_weight w = limpet_weight_of(p->aOp, p->nOp);
        weight = w > weight ? w : weight;
    }
    return weight;
}
