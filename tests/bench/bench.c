/* SPDX-License-Identifier: Apache-2.0
 *
 * The clock, /proc, and sorting behind bench.h.
 */
#include "tests/bench/bench.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void bench_die(const char *what)
{
    perror(what);
    exit(1);
}

uint64_t bench_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t run_time(const char *schedstat)
{
    unsigned long long run = 0;
    FILE *f = fopen(schedstat, "r");
    if (f && fscanf(f, "%llu", &run) != 1) {
        run = 0;
    }
    if (f) {
        fclose(f);
    }
    return run;
}

uint64_t bench_main_cpu_ns(pid_t pid)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/task/%d/schedstat", (int)pid, (int)pid);
    return run_time(name);
}

uint64_t bench_cpu_ns(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    uint64_t sum = 0;
    for (struct dirent *e; tasks && (e = readdir(tasks)) != NULL;) {
        char name[400];
        snprintf(name, sizeof name, "%s/%s/schedstat", path, e->d_name);
        sum += e->d_name[0] == '.' ? 0 : run_time(name);
    }
    if (tasks) {
        closedir(tasks);
    }
    return sum;
}

long bench_rss_kib(pid_t pid)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "VmRSS: %ld", &kib) == 1) {
            break;
        }
    }
    if (f) {
        fclose(f);
    }
    return kib;
}

void bench_add(struct bench_samples *s, uint64_t ns)
{
    if (s->n == s->capacity) {
        s->capacity = s->capacity ? s->capacity * 2 : 1u << 16;
        s->ns = realloc(s->ns, s->capacity * sizeof *s->ns);
        if (!s->ns) {
            bench_die("samples");
        }
    }
    s->ns[s->n++] = ns;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

double bench_percentile_us(struct bench_samples *s, double p)
{
    if (s->n == 0) {
        return 0;
    }
    qsort(s->ns, s->n, sizeof *s->ns, compare);
    return (double)s->ns[(size_t)(p / 100.0 * (double)(s->n - 1) + 0.5)] / 1000.0;
}

void bench_free(struct bench_samples *s)
{
    free(s->ns);
    *s = (struct bench_samples){0};
}

void bench_emit(const char *name, double value, const char *unit)
{
    printf("%s\t%.6g\t%s\n", name, value, unit);
    fflush(stdout);
}
