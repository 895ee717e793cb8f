/* SPDX-License-Identifier: Apache-2.0
 *
 * Advice is found by trying: the field with one thing more in its definition, and whether the value
 * would be taken then.
 */
#include "adapters/dataset/advice.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "adapters/dataset/normalise.h"

struct trial {
    const struct dataset_field *field;
    yz_bytes raw;
    yz_buf normal, canonical; /* wiped */
};

static int is_taken(struct trial *t, const struct dataset_field *as, bool *out)
{
    const char *why;
    yz_bytes v;
    YZ_TRY(yzi_normalise(as, t->raw, &t->normal, &v));
    yzi_buf_clear(&t->canonical);
    int rc = v.n ? yzi_field_canonical(as, v, &t->canonical, &why) : YZ_EDATA;
    *out = rc == 0;
    return rc == YZ_EDATA ? 0 : rc;
}

/* -- normalise -- */

static const struct {
    const char *words;
    bool trim, narrow, upper, lower;
} steps[] = {{"trim", true, false, false, false},
             {"narrow", false, true, false, false},
             {"narrow, trim", true, true, false, false},
             {"upper", false, false, true, false},
             {"lower", false, false, false, true}};

static int try_steps(struct trial *t, char *out, size_t cap)
{
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct dataset_field as = *t->field;
        bool taken;
        as.normal.trim = as.normal.trim || steps[i].trim;
        as.normal.narrow = as.normal.narrow || steps[i].narrow;
        as.normal.upper = as.normal.upper || steps[i].upper;
        as.normal.lower = as.normal.lower || steps[i].lower;
        YZ_TRY(is_taken(t, &as, &taken));
        if (taken) {
            snprintf(out, cap, "; `normalise: [%s]` would make it one", steps[i].words);
            return 0;
        }
    }
    return 0;
}

/* -- formats: those that cannot be another date than they look like -- */

static const char *const date_formats[] = {"YYYY/M/D", "YYYY-M-D", "YYYY.M.D", "YYYYMMDD",
                                           "YYYY年M月D日"};
static const char *const time_formats[] = {"YYYY-MM-DD hh:mm:ss", "YYYY-MM-DDThh:mm:ss",
                                           "YYYY/M/D h:mm:ss", "YYYY/M/D h:mm", "YYYYMMDDhhmmss"};
#define FORMATS 5u

static int try_formats(struct trial *t, char *out, size_t cap)
{
    bool date = t->field->type == FIELD_DATE;
    for (size_t i = 0; i < FORMATS; i++) {
        const char *format = date ? date_formats[i] : time_formats[i];
        struct dataset_field as = *t->field;
        bool taken;
        as.normal.formats = (struct config_list){.items = &format, .n = 1};
        as.normal.zone = "Z";
        YZ_TRY(is_taken(t, &as, &taken));
        if (taken) {
            snprintf(out, cap, "; `formats: [%s]`%s would read it", format,
                     date ? "" : " with a `zone:`");
            return 0;
        }
    }
    return 0;
}

/* -- what no definition changes -- */

static const char *words_for(enum field_type type, yz_bytes v)
{
    bool number = type == FIELD_INTEGER || type == FIELD_DECIMAL;
    if (number && memchr(v.p, ',', v.n)) {
        return "; a number has a point, and nothing between thousands";
    }
    return type == FIELD_BOOLEAN ? "; other words are of type code" : "";
}

static int advise(struct trial *t, char *out, size_t cap)
{
    enum field_type type = t->field->type;
    YZ_ENSURE(type != FIELD_TEXT && type != FIELD_BYTES && t->raw.n > 0, 0);
    YZ_TRY(try_steps(t, out, cap));
    if (!*out && (type == FIELD_DATE || type == FIELD_TIME)) {
        YZ_TRY(try_formats(t, out, cap));
    }
    if (!*out) {
        snprintf(out, cap, "%s", words_for(type, t->raw));
    }
    return 0;
}

int yzi_field_advice(const struct dataset_field *f, yz_bytes raw, char *out, size_t cap)
{
    struct trial t = {.field = f, .raw = raw};
    *out = '\0';
    yzi_buf_init(&t.normal, 2 * raw.n + 64);
    yzi_buf_init(&t.canonical, 2 * raw.n + 64);
    int rc = advise(&t, out, cap);
    yzi_buf_wipe(&t.normal);
    yzi_buf_wipe(&t.canonical);
    return rc;
}
