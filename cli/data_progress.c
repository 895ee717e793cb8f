/* SPDX-License-Identifier: Apache-2.0
 *
 * How far an import is, as one line that is written over on a terminal; nothing anywhere else.
 */
#include <unistd.h>

#include "base/clock.h"
#include "cli/data.h"

#define BETWEEN_MS 200u

void yzi_data_progress_init(struct data_progress *p, struct cli *c)
{
    *p = (struct data_progress){.on = isatty(STDERR_FILENO) == 1 && !yzi_cli_json(c) &&
                                      !yzi_cli_quiet(c),
                                .began = yzi_mono_ms(&yzi_clock_system)};
    p->reading_since = p->began;
}

void yzi_data_progress_clear(struct data_progress *p)
{
    if (p->shown) {
        fputs("\r\033[K", stderr);
        p->shown = false;
    }
}

void yzi_data_progress_text(uint64_t rows, uint64_t bytes, uint64_t total, uint64_t ms, char *out,
                            size_t cap)
{
    double seconds = ms ? (double)ms / 1000.0 : 0.001,
           share = total ? (double)bytes / (double)total : 0;
    int n = snprintf(out, cap, "%llu rows, %d %%, %.0f rows/s", (unsigned long long)rows,
                     (int)(share * 100.0), (double)rows / seconds);
    if (n > 0 && (size_t)n < cap && share > 0 && ms >= 1000) {
        unsigned long long left = (unsigned long long)(seconds / share - seconds + 0.5);
        snprintf(out + n, cap - (size_t)n, ", %llu:%02llu left", left / 60, left % 60);
    }
}

void yzi_data_progress_again(struct data_progress *p, uint64_t bytes, uint64_t now)
{
    if (bytes < p->bytes) {
        p->reading_since = now;
    }
    p->bytes = bytes;
}

void yzi_data_progress_show(struct data_progress *p, const json_t *at)
{
    uint64_t now = yzi_mono_ms(&yzi_clock_system), bytes = (uint64_t)yzi_data_number(at, "bytes");
    yzi_data_progress_again(p, bytes, now);
    if (!p->on || (p->shown && now - p->last < BETWEEN_MS)) {
        return;
    }
    char text[160];
    yzi_data_progress_text((uint64_t)yzi_data_number(at, "rows"), bytes,
                           (uint64_t)yzi_data_number(at, "bytes_total"), now - p->reading_since,
                           text, sizeof text);
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
