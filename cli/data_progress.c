/* SPDX-License-Identifier: Apache-2.0
 *
 * How far an import is, as one line that is written over on a terminal; nothing anywhere else.
 */
#include <unistd.h>

#include "base/clock.h"
#include "cli/data.h"

#define BETWEEN_MS 200u
#define RATE_AFTER_MS 500u /* before, a rate says nothing */

void yzi_data_progress_init(struct data_progress *p, struct cli *c)
{
    *p = (struct data_progress){.on = isatty(STDERR_FILENO) == 1 && !yzi_cli_json(c) &&
                                      !yzi_cli_quiet(c),
                                .began = yzi_mono_ms(&yzi_clock_system)};
    p->phase_since = p->began;
}

void yzi_data_progress_clear(struct data_progress *p)
{
    if (p->shown) {
        fputs("\r\033[K", stderr);
        p->shown = false;
    }
}

static void follow(struct data_progress *p, const char *phase, uint64_t done, uint64_t now)
{
    if (strcmp(p->phase, phase) != 0 || done < p->done) {
        snprintf(p->phase, sizeof p->phase, "%s", phase);
        p->phase_since = now;
    }
    p->done = done;
}

bool yzi_data_progress_text(struct data_progress *p, const json_t *at, uint64_t now, char *out,
                            size_t cap)
{
    const char *phase = json_string_value(json_object_get(at, "phase"));
    uint64_t rows = (uint64_t)yzi_data_number(at, "rows"),
             done = (uint64_t)yzi_data_number(at, "done"),
             total = (uint64_t)yzi_data_number(at, "total");
    YZ_ENSURE(phase, false);
    follow(p, phase, done, now);
    if (total == 0) {
        snprintf(out, cap, "%s", phase);
        return true;
    }
    uint64_t ms = now - p->phase_since;
    double seconds = (double)ms / 1000.0, share = (double)done / (double)total;
    const char *unit = strcmp(phase, "indexing") == 0 ? "entries" : "rows";
    int n = snprintf(out, cap, "%s: %llu %s, %d %%", phase, (unsigned long long)rows, unit,
                     (int)(share * 100.0));
    if (n > 0 && (size_t)n < cap && share > 0 && ms >= RATE_AFTER_MS) {
        unsigned long long left = (unsigned long long)(seconds / share - seconds + 0.5);
        snprintf(out + n, cap - (size_t)n, ", %.0f %s/s, %llu:%02llu left", (double)rows / seconds,
                 unit, left / 60, left % 60);
    }
    return true;
}

void yzi_data_progress_show(struct data_progress *p, const json_t *at)
{
    uint64_t now = yzi_mono_ms(&yzi_clock_system);
    char text[160];
    if (!yzi_data_progress_text(p, at, now, text, sizeof text) || !p->on ||
        (p->shown && now - p->last < BETWEEN_MS)) {
        return;
    }
    fprintf(stderr, "\r\033[K%s", text);
    fflush(stderr);
    p->shown = true;
    p->last = now;
}

double yzi_data_progress_rate(const struct data_progress *p, uint64_t rows)
{
    uint64_t ms = yzi_mono_ms(&yzi_clock_system) - p->began;
    return (double)rows * 1000.0 / (double)(ms ? ms : 1);
}
