/* SPDX-License-Identifier: Apache-2.0
 *
 * What benchmarks share: a clock, processor time of a process to the nanosecond, percentiles over
 * raw samples. A benchmark prints figures; it never passes or fails.
 */
#ifndef YZ_TESTS_BENCH_BENCH_H
#define YZ_TESTS_BENCH_BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

uint64_t bench_now_ns(void);
/* Run time of all threads of a process, from /proc/PID/task/N/schedstat; 0 when it is gone. */
uint64_t bench_cpu_ns(pid_t pid);
uint64_t bench_main_cpu_ns(pid_t pid); /* of its main thread alone */
long bench_rss_kib(pid_t pid);

struct bench_samples {
    uint64_t *ns;
    size_t n, capacity;
};
void bench_add(struct bench_samples *s, uint64_t ns);
/* The p-th percentile in microseconds; sorts. 0 when empty. */
double bench_percentile_us(struct bench_samples *s, double p);
void bench_free(struct bench_samples *s);

/* "name<TAB>value<TAB>unit", what script/bench collects. */
void bench_emit(const char *name, double value, const char *unit);
_Noreturn void bench_die(const char *what);

#endif
