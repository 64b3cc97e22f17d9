/* SPDX-License-Identifier: Apache-2.0
 *
 * See cron.h. */
#include "schedule/cron.h"

#include <string.h>
#include <strings.h>

enum {
    DAY_S = 24 * 60 * 60,
    CRON_MONTHS_MAX = 100 * 12, /* looked through */
    CRON_STEPS_MAX = 256,       /* changes of the clocks on the way to one time */
};

/* ---- reading ---- */

struct cron_field {
    const char *name;
    int min, max;
    const char *const *words; /* for min … max, or NULL */
    const char *how;
};

static const char *const month_words[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                          "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
static const char *const day_words[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

enum { SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };
static const struct cron_field fields[FIELDS] = {
    [SECOND] = {"second", 0, 59, NULL, "0 to 59"},
    [MINUTE] = {"minute", 0, 59, NULL, "0 to 59"},
    [HOUR] = {"hour", 0, 23, NULL, "0 to 23"},
    [DAY] = {"day of the month", 1, 31, NULL, "1 to 31, L, L-3, 15W or LW"},
    [MONTH] = {"month", 1, 12, month_words, "1 to 12, or JAN to DEC"},
    [WEEKDAY] = {"day of the week", 1, 7, day_words, "1 (Sunday) to 7, SUN to SAT, 6L or 2#1"},
};

static enum err cron_bad(int field, struct slice item, struct error *ret_error)
{
    error_set(ret_error, ERR_INVALID, "'%.*s' is no %s of a cron expression",
              SLICE_ARG(slice_utf8_clip(item, 60)), fields[field].name);
    error_hint(ret_error, "write %s; lists with commas, ranges as 1-5, steps as */5",
               fields[field].how);
    return ERR_INVALID;
}

/* A number or a word at the start of *text, which is skipped. False: neither, or out of range. */
static bool take_number(const struct cron_field *f, struct slice *text, int *ret)
{
    size_t len = 0;
    int n = 0;
    for (; len < text->len && len < 3 && text->ptr[len] >= '0' && text->ptr[len] <= '9'; len++)
        n = 10 * n + (text->ptr[len] - '0');
    for (int k = f->min; len == 0 && f->words && text->len >= 3 && k <= f->max; k++)
        if (strncasecmp(text->ptr, f->words[k - f->min], 3) == 0) {
            n = k;
            len = 3;
        }
    *text = slice_skip(*text, len);
    *ret = n;
    return len > 0 && n >= f->min && n <= f->max;
}

static bool take_char(struct slice *text, char c)
{
    bool is_letter = c >= 'A' && c <= 'Z';
    bool is_there =
        text->len > 0 && (text->ptr[0] == c || (is_letter && text->ptr[0] == (c | 0x20)));
    if (is_there)
        *text = slice_skip(*text, 1);
    return is_there;
}

static uint64_t bits(int from, int to, int step)
{
    uint64_t set = 0;
    for (int k = from; k <= to; k += step)
        set |= UINT64_C(1) << k;
    return set;
}

/* `*`, N or A-B, with a step or not, in *set. */
static bool read_range(int field, struct slice item, uint64_t *set)
{
    const struct cron_field *f = &fields[field];
    int from = f->min, to = f->max, step = 1;
    bool is_all = take_char(&item, '*') || take_char(&item, '?');
    if (!is_all) {
        if (!take_number(f, &item, &from))
            return false;
        to = from;
        if (take_char(&item, '-') && !take_number(f, &item, &to))
            return false;
    }
    if (take_char(&item, '/')) {
        const struct cron_field steps = {.min = 1, .max = f->max};
        if (!take_number(&steps, &item, &step))
            return false;
        if (!is_all && to == from)
            to = f->max;
    }
    if (item.len > 0)
        return false;
    if (from <= to) {
        *set |= bits(from, to, step);
        return true;
    }
    /* FRI-MON, 22-2: over the end. */
    int span = f->max - f->min + 1;
    for (int k = from; k <= to + span; k += step)
        *set |= UINT64_C(1) << (f->min + (k - f->min) % span);
    return true;
}

/* L, L-N, LW, NW. False: it is none of these. */
static bool read_special_day(struct slice item, struct cron *c)
{
    int n = 0;
    if (take_char(&item, 'L')) {
        if (item.len == 0) {
            c->last_minus |= 1;
            return true;
        }
        if (take_char(&item, 'W')) {
            c->is_last_weekday = true;
            return item.len == 0;
        }
        const struct cron_field before = {.min = 1, .max = 30};
        if (!take_char(&item, '-') || !take_number(&before, &item, &n) || item.len > 0)
            return false;
        c->last_minus |= UINT32_C(1) << n;
        return true;
    }
    if (!take_number(&fields[DAY], &item, &n) || !take_char(&item, 'W') || item.len > 0)
        return false;
    c->weekdays_near |= UINT32_C(1) << n;
    return true;
}

/* NL, N#K, L. */
static bool read_special_weekday(struct slice item, struct cron *c)
{
    int n = 0, nth = 0;
    if (item.len == 1 && take_char(&item, 'L')) {
        c->weekdays |= 1 << 6;
        return true;
    }
    if (!take_number(&fields[WEEKDAY], &item, &n))
        return false;
    if (take_char(&item, 'L')) {
        c->weekdays_last |= (uint8_t)(1 << (n - 1));
        return item.len == 0;
    }
    const struct cron_field weeks = {.min = 1, .max = 5};
    if (!take_char(&item, '#') || !take_number(&weeks, &item, &nth) || item.len > 0)
        return false;
    c->weekdays_nth[nth - 1] |= (uint8_t)(1 << (n - 1));
    return true;
}

static enum err read_field(int field, struct slice text, struct cron *c, uint64_t *ret_set,
                           struct error *ret_error)
{
    uint64_t set = 0;
    do {
        struct slice item = slice_split(&text, ',');
        bool is_special = (field == DAY && read_special_day(item, c)) ||
                          (field == WEEKDAY && read_special_weekday(item, c));
        if (!is_special && !read_range(field, item, &set))
            return cron_bad(field, item, ret_error);
    } while (text.len > 0);
    *ret_set = set;
    return OK;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The next word of *text. */
static struct slice take_word(struct slice *text)
{
    size_t len = 0;
    while (text->len > 0 && is_blank(text->ptr[0]))
        *text = slice_skip(*text, 1);
    while (len < text->len && !is_blank(text->ptr[len]))
        len++;
    struct slice word = slice_of(text->ptr, len);
    *text = slice_skip(*text, len);
    return word;
}

static bool is_star(struct slice word)
{
    return slice_eq_cstr(word, "*") || slice_eq_cstr(word, "?");
}

static enum err read_words(const struct slice words[FIELDS], struct cron *ret,
                           struct error *ret_error)
{
    struct cron c = {.is_any_day = is_star(words[DAY]), .is_any_weekday = is_star(words[WEEKDAY])};
    uint64_t sets[FIELDS];
    for (int k = 0; k < FIELDS; k++) {
        enum err err = read_field(k, words[k], &c, &sets[k], ret_error);
        if (err != OK)
            return err;
    }
    c.seconds = sets[SECOND];
    c.minutes = sets[MINUTE];
    c.hours = (uint32_t)sets[HOUR];
    c.days = (uint32_t)sets[DAY];
    c.months = (uint32_t)sets[MONTH];
    c.weekdays |= (uint8_t)(sets[WEEKDAY] >> 1);
    c.is_every_hour = c.hours == (1 << 24) - 1;
    *ret = c;
    return OK;
}

enum err cron_parse(struct slice text, struct cron *ret_cron, struct error *ret_error)
{
    struct slice words[FIELDS + 1], rest = text;
    size_t len = 0;
    while (text.len <= CRON_BYTES_MAX && len <= FIELDS) {
        struct slice word = take_word(&rest);
        if (word.len == 0)
            break;
        words[len++] = word;
    }
    if (len == FIELDS)
        return read_words(words, ret_cron, ret_error);
    if (len == FIELDS - 1) {
        memmove(words + 1, words, len * sizeof(*words));
        words[0] = SLICE_LIT("0");
        return read_words(words, ret_cron, ret_error);
    }
    error_set(ret_error, ERR_INVALID, "'%.*s' is no cron expression: it has not five or six fields",
              SLICE_ARG(slice_utf8_clip(text, 100)));
    error_hint(ret_error, "write minute, hour, day of the month, month, day of the week, as "
                          "\"30 4 * * MON-FRI\"; seconds may stand in front");
    return ERR_INVALID;
}

/* ---- days ---- */

/* Days since 1970 of a date of the proleptic Gregorian calendar, and back. */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    const int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    const int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
    days += 719468;
    const int64_t era = (days >= 0 ? days : days - 146096) / 146097, of_era = days - era * 146097;
    const int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    const int64_t month = (5 * of_year + 2) / 153;
    *ret_day = (int)(of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int)(month < 10 ? month + 3 : month - 9);
    *ret_year = year + era * 400 + (*ret_month <= 2);
}

static int month_len(int64_t year, int month)
{
    static const int lens[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return lens[month - 1] + (month == 2 && is_leap);
}

static int weekday_of(int64_t days) /* 0: Sunday */
{
    return (int)(((days + 4) % 7 + 7) % 7);
}

/* Of a month that has so many days and whose first is this weekday. */
static int nearest_weekday(int day, int len, int first)
{
    int weekday = (first + day - 1) % 7;
    if (weekday == 6) /* Saturday: the Friday, unless that is in the month before */
        return day > 1 ? day - 1 : day + 2;
    if (weekday == 0)
        return day < len ? day + 1 : day - 2;
    return day;
}

static uint32_t month_days(const struct cron *c, int len, int first)
{
    uint32_t set = c->days;
    for (int n = 1; n <= 31; n++)
        if ((c->weekdays_near >> n & 1) && n <= len)
            set |= UINT32_C(1) << nearest_weekday(n, len, first);
    for (int n = 0; n < len; n++)
        if (c->last_minus >> n & 1)
            set |= UINT32_C(1) << (len - n);
    int last = len;
    for (int weekday = (first + last - 1) % 7; weekday == 0 || weekday == 6;
         weekday = (first + last - 1) % 7)
        last--;
    if (c->is_last_weekday)
        set |= UINT32_C(1) << last;
    return set;
}

static uint32_t month_weekdays(const struct cron *c, int len, int first)
{
    uint32_t set = 0;
    for (int day = 1; day <= len; day++) {
        int bit = 1 << (first + day - 1) % 7;
        if ((c->weekdays & bit) || (c->weekdays_nth[(day - 1) / 7] & bit) ||
            (day + 7 > len && (c->weekdays_last & bit)))
            set |= UINT32_C(1) << day;
    }
    return set;
}

/* The days of a month that it names, a bit each. */
static uint32_t days_named(const struct cron *c, int64_t year, int month)
{
    const int len = month_len(year, month), first = weekday_of(days_of(year, month, 1));
    uint32_t set, all = (uint32_t)(((UINT64_C(1) << len) - 1) << 1);
    if (!(c->months >> month & 1))
        return 0;
    if (c->is_any_weekday)
        set = month_days(c, len, first);
    else if (c->is_any_day)
        set = month_weekdays(c, len, first);
    else
        set = month_days(c, len, first) | month_weekdays(c, len, first);
    return set & all;
}

/* The lowest bit of the set at or above `from`; -1: none. */
static int next_bit(uint64_t set, int from)
{
    set = from < 64 ? set >> from : 0;
    return set ? from + __builtin_ctzll(set) : -1;
}

/* The first time of day at or after this one; -1: none. */
static int next_time(const struct cron *c, int from)
{
    int hour = next_bit(c->hours, from / 3600), minute, second;
    if (hour < 0)
        return -1;
    int rest = hour == from / 3600 ? from % 3600 : 0;
    minute = next_bit(c->minutes, rest / 60);
    if (minute >= 0) {
        second = next_bit(c->seconds, minute == rest / 60 ? rest % 60 : 0);
        if (second >= 0)
            return hour * 3600 + minute * 60 + second;
        minute = next_bit(c->minutes, minute + 1);
    }
    if (minute < 0) {
        hour = next_bit(c->hours, hour + 1);
        minute = next_bit(c->minutes, 0);
    }
    return hour < 0 ? -1 : hour * 3600 + minute * 60 + next_bit(c->seconds, 0);
}

int64_t cron_next_local(const struct cron *c, int64_t from)
{
    int64_t days = from >= 0 ? from / DAY_S : (from - DAY_S + 1) / DAY_S, year;
    int month, day;
    date_of(days, &year, &month, &day);
    for (int k = 0; k < CRON_MONTHS_MAX; k++) {
        for (uint32_t set = days_named(c, year, month); (day = next_bit(set, day)) >= 0; day++) {
            const int64_t begin = days_of(year, month, day) * DAY_S;
            int found = next_time(c, begin < from ? (int)(from - begin) : 0);
            if (found >= 0)
                return begin + found;
        }
        day = 1;
        year += month == 12;
        month = month % 12 + 1;
    }
    return -1;
}

/* ---- zones ---- */

/* Where in the zone's own time the search begins at this moment. A time that is there for the second time is
 * skipped, unless it is one of every hour. */
static int64_t local_from(const struct cron *c, const struct cron_period *p, int64_t *at)
{
    const int64_t again = p->offset_before - p->offset; /* so long is there twice */
    if (!c->is_every_hour && again > 0 && p->from > INT64_MIN && *at < p->from + again)
        *at = p->from + again;
    return *at + p->offset;
}

int64_t cron_next(const struct cron *c, cron_zone *zone, void *arg, int64_t after)
{
    int64_t at = after + 1;
    for (int k = 0; k < CRON_STEPS_MAX; k++) {
        const struct cron_period p = zone(arg, at);
        int64_t local = cron_next_local(c, local_from(c, &p, &at));
        if (local < 0)
            return -1;
        if (at >= p.until) /* all of it is there twice */
            continue;
        if (p.until == INT64_MAX || local - p.offset < p.until)
            return local - p.offset;
        /* Not before the clocks change. What falls into a gap is due where that ends. */
        const struct cron_period next = zone(arg, p.until);
        if (next.offset > p.offset && local < p.until + next.offset)
            return p.until;
        at = p.until;
    }
    return -1;
}
