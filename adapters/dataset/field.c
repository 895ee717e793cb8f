/* SPDX-License-Identifier: Apache-2.0
 *
 * Field types: what text a value of each type may be, and its one canonical form. Nothing is
 * guessed: a date that is not in the calendar, an identifier declared as a number (leading zeros)
 * or a time without a zone is refused rather than changed into something the agency did not write.
 */
#include "adapters/dataset/normalise.h"
#include "adapters/dataset/store_impl.h"
#include "base/text.h"

#define DECIMAL_DIGITS_MAX 38u
#define FRACTION_DIGITS_MAX 9u
#define MINUTES_PER_DAY 1440

/* Every check returns YZ_EDATA with *reason set, or what appending to out returns. */
typedef int canonical_fn(const struct dataset_field *f, yz_bytes text, yz_buf *out,
                         const char **reason);

static int refuse(const char **reason, const char *why)
{
    *reason = why;
    return YZ_EDATA;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static size_t digits(yz_bytes t)
{
    size_t n = 0;
    while (n < t.n && is_digit(t.p[n])) {
        n++;
    }
    return n;
}

static yz_bytes skip(yz_bytes t, size_t n)
{
    return n ? yzi_bytes(t.p + n, t.n - n) : t;
}

/* -- text, code, bytes -- */

static int check_text(yz_bytes text, const char **reason)
{
    if (text.n && memchr(text.p, 0, text.n)) {
        return refuse(reason, "contains a NUL character");
    }
    if (!yzi_utf8_is_valid(text)) {
        return refuse(reason, "is not valid UTF-8");
    }
    return 0;
}

static int canonical_text(const struct dataset_field *f, yz_bytes text, yz_buf *out,
                          const char **reason)
{
    (void)f;
    YZ_TRY(check_text(text, reason));
    return yzi_buf_put(out, text);
}

static int canonical_code(const struct dataset_field *f, yz_bytes text, yz_buf *out,
                          const char **reason)
{
    size_t low = 0, high = f->codes.n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = yzi_bytes_cmp(text, yzi_bytes_str(f->codes.items[middle]));
        if (c == 0) {
            return yzi_buf_put(out, text);
        }
        if (c < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return refuse(reason, "is not one of the codes of the definition");
}

static int canonical_bytes(const struct dataset_field *f, yz_bytes text, yz_buf *out,
                           const char **reason)
{
    (void)f;
    int rc = yzi_base64_decode(text, out);
    return rc == YZ_EMALFORMED ? refuse(reason, "is not base64 with padding") : rc;
}

/* -- numbers -- */

/* Splits off the sign. */
static yz_bytes take_sign(yz_bytes text, bool *negative)
{
    *negative = text.n && text.p[0] == '-';
    return text.n && (text.p[0] == '-' || text.p[0] == '+') ? skip(text, 1) : text;
}

static int canonical_integer(const struct dataset_field *f, yz_bytes text, yz_buf *out,
                             const char **reason)
{
    (void)f;
    bool negative;
    yz_bytes t = take_sign(text, &negative);
    if (t.n == 0 || digits(t) != t.n) {
        return refuse(reason, "is not an integer");
    }
    if (t.n > 1 && t.p[0] == '0') {
        return refuse(reason, "has leading zeros (an identifier is text, not an integer)");
    }
    uint64_t v, limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    if (yzi_u64_parse(t, limit, &v) < 0) {
        return refuse(reason, "is beyond the range of 64-bit integers");
    }
    return yzi_buf_printf(out, "%s%llu", negative && v ? "-" : "", (unsigned long long)v);
}

static int canonical_decimal(const struct dataset_field *f, yz_bytes text, yz_buf *out,
                             const char **reason)
{
    (void)f;
    bool negative;
    yz_bytes t = take_sign(text, &negative);
    yz_bytes whole = yzi_bytes(t.p, digits(t)), fraction = {0};
    t = skip(t, whole.n);
    if (t.n && t.p[0] == '.') {
        t = skip(t, 1);
        fraction = yzi_bytes(t.p, digits(t));
        t = skip(t, fraction.n);
        if (fraction.n == 0) {
            return refuse(reason, "is not a decimal number (12 or 12.5)");
        }
    }
    if (whole.n == 0 || t.n) {
        return refuse(reason, "is not a decimal number (12 or 12.5)");
    }
    if (whole.n > 1 && whole.p[0] == '0') {
        return refuse(reason, "has leading zeros (an identifier is text, not a number)");
    }
    while (fraction.n && fraction.p[fraction.n - 1] == '0') {
        fraction.n--;
    }
    bool below_one = whole.p[0] == '0';
    if ((below_one ? 0 : whole.n) + fraction.n > DECIMAL_DIGITS_MAX) {
        return refuse(reason, "has more than 38 digits");
    }
    if (negative && !(below_one && fraction.n == 0)) {
        YZ_TRY(yzi_buf_put_u8(out, '-'));
    }
    YZ_TRY(yzi_buf_put(out, whole));
    if (fraction.n) {
        YZ_TRY(yzi_buf_put_u8(out, '.'));
        YZ_TRY(yzi_buf_put(out, fraction));
    }
    return 0;
}

static int canonical_boolean(const struct dataset_field *f, yz_bytes text, yz_buf *out,
                             const char **reason)
{
    (void)f;
    if (yzi_bytes_eq_str(text, "true") || yzi_bytes_eq_str(text, "1")) {
        return yzi_buf_put_str(out, "true");
    }
    if (yzi_bytes_eq_str(text, "false") || yzi_bytes_eq_str(text, "0")) {
        return yzi_buf_put_str(out, "false");
    }
    return refuse(reason, "is not a boolean (true, false, 1 or 0)");
}

/* -- calendar -- */

struct day {
    int year, month, day;
};

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Exactly n digits off the front. */
static bool take_number(yz_bytes *t, size_t n, int *out)
{
    if (t->n < n || digits(yzi_bytes(t->p, n)) != n) {
        return false;
    }
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        *out = *out * 10 + (t->p[i] - '0');
    }
    *t = skip(*t, n);
    return true;
}

static bool take_char(yz_bytes *t, const char *any)
{
    if (t->n == 0 || t->p[0] == 0 || !strchr(any, t->p[0])) {
        return false;
    }
    *t = skip(*t, 1);
    return true;
}

/* YYYY-MM-DD off the front; whether it has the form, and then whether the calendar has it. */
static bool take_day(yz_bytes *t, struct day *out, bool *exists)
{
    if (!take_number(t, 4, &out->year) || !take_char(t, "-") || !take_number(t, 2, &out->month) ||
        !take_char(t, "-") || !take_number(t, 2, &out->day)) {
        return false;
    }
    *exists = out->year >= 1 && out->month >= 1 && out->month <= 12 && out->day >= 1 &&
              out->day <= days_in(out->year, out->month);
    return true;
}

static int canonical_date(const struct dataset_field *f, yz_bytes text, yz_buf *out,
                          const char **reason)
{
    (void)f;
    yz_bytes t = text;
    struct day day;
    bool exists;
    if (!take_day(&t, &day, &exists) || t.n) {
        return refuse(reason, "is not a date (YYYY-MM-DD)");
    }
    if (!exists) {
        return refuse(reason, "is a date the calendar does not have");
    }
    return yzi_buf_put(out, text);
}

/* Move by one day; years outside 1..9999 are the caller's to refuse. */
static void next_day(struct day *d)
{
    if (++d->day > days_in(d->year, d->month)) {
        d->day = 1;
        if (++d->month > 12) {
            d->month = 1;
            d->year++;
        }
    }
}

static void previous_day(struct day *d)
{
    if (--d->day < 1) {
        if (--d->month < 1) {
            d->month = 12;
            d->year--;
        }
        d->day = days_in(d->year, d->month);
    }
}

struct moment {
    struct day day;
    int minutes, seconds; /* minutes of the day */
    yz_bytes fraction;    /* digits without trailing zeros */
    int offset;           /* minutes east of UTC */
    bool exists;
};

static bool take_clock(yz_bytes *t, struct moment *m)
{
    int hour, minute;
    if (!take_number(t, 2, &hour) || !take_char(t, ":") || !take_number(t, 2, &minute) ||
        !take_char(t, ":") || !take_number(t, 2, &m->seconds)) {
        return false;
    }
    if (take_char(t, ".")) {
        m->fraction = yzi_bytes(t->p, digits(*t));
        if (m->fraction.n == 0 || m->fraction.n > FRACTION_DIGITS_MAX) {
            return false;
        }
        *t = skip(*t, m->fraction.n);
        while (m->fraction.n && m->fraction.p[m->fraction.n - 1] == '0') {
            m->fraction.n--;
        }
    }
    m->minutes = hour * 60 + minute;
    m->exists = m->exists && hour < 24 && minute < 60 && m->seconds < 60;
    return true;
}

static bool take_offset(yz_bytes *t, struct moment *m)
{
    if (take_char(t, "Zz")) {
        return true;
    }
    bool west = t->n && t->p[0] == '-';
    int hours, minutes;
    if (!take_char(t, "+-") || !take_number(t, 2, &hours) || !take_char(t, ":") ||
        !take_number(t, 2, &minutes)) {
        return false;
    }
    m->offset = (hours * 60 + minutes) * (west ? -1 : 1);
    m->exists = m->exists && hours < 24 && minutes < 60;
    return true;
}

/* RFC 3339 (its space for the T included), without leap seconds. */
static int canonical_time(const struct dataset_field *f, yz_bytes text, yz_buf *out,
                          const char **reason)
{
    (void)f;
    struct moment m = {0};
    yz_bytes t = text;
    if (!take_day(&t, &m.day, &m.exists) || !take_char(&t, "Tt ") || !take_clock(&t, &m)) {
        return refuse(reason, "is not a time (2026-01-31T08:30:00+08:00)");
    }
    if (!take_offset(&t, &m) || t.n) {
        return refuse(reason, "is not a time with its zone (…Z or …+08:00)");
    }
    if (!m.exists) {
        return refuse(reason, "is a time the calendar does not have");
    }
    m.minutes -= m.offset;
    if (m.minutes < 0) {
        m.minutes += MINUTES_PER_DAY;
        previous_day(&m.day);
    } else if (m.minutes >= MINUTES_PER_DAY) {
        m.minutes -= MINUTES_PER_DAY;
        next_day(&m.day);
    }
    if (m.day.year < 1 || m.day.year > 9999) {
        return refuse(reason, "is outside the years 0001 to 9999 in UTC");
    }
    YZ_TRY(yzi_buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d", m.day.year, m.day.month, m.day.day,
                          m.minutes / 60, m.minutes % 60, m.seconds));
    if (m.fraction.n) {
        YZ_TRY(yzi_buf_put_u8(out, '.'));
        YZ_TRY(yzi_buf_put(out, m.fraction));
    }
    return yzi_buf_put_u8(out, 'Z');
}

static canonical_fn *const canonical_of[] = {
    [FIELD_TEXT] = canonical_text,       [FIELD_INTEGER] = canonical_integer,
    [FIELD_DECIMAL] = canonical_decimal, [FIELD_DATE] = canonical_date,
    [FIELD_TIME] = canonical_time,       [FIELD_BOOLEAN] = canonical_boolean,
    [FIELD_CODE] = canonical_code,       [FIELD_BYTES] = canonical_bytes,
};

int yzi_field_canonical(const struct dataset_field *f, yz_bytes text, yz_buf *out,
                        const char **reason)
{
    size_t before = out->n;
    int rc = canonical_of[f->type](f, text, out, reason);
    if (rc == 0 && out->n - before > f->max_length) {
        rc = refuse(reason, "is longer than the definition allows");
    }
    if (rc < 0) {
        out->n = before;
    }
    return rc;
}

int yzi_field_check_raw(const struct dataset_field *f, yz_bytes value, yz_buf *out,
                        const char **reason)
{
    if (f->type != FIELD_BYTES) {
        const char *fault = yzi_normal_fault(f, value, false);
        return fault ? refuse(reason, fault) : yzi_field_canonical(f, value, out, reason);
    }
    if (value.n > f->max_length) {
        return refuse(reason, "is longer than the definition allows");
    }
    return yzi_buf_put(out, value);
}
