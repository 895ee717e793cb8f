/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads files of test vectors: lines `name = hex` or `name = "text"`, comments after '#'. Whatever
 * is missing or wrong ends the test program, so that no vector is ever skipped.
 */
#ifndef YZ_TESTS_SUPPORT_VECTORS_H
#define YZ_TESTS_SUPPORT_VECTORS_H

#include "base/text.h"

#define VECTORS_MAX 128u

struct vectors {
    struct {
        char name[40];
        uint8_t value[1024];
        size_t n;
    } items[VECTORS_MAX];
    size_t n;
};

static inline void yz_vectors_take(struct vectors *v, const char *name, const char *value)
{
    YZ_ASSERT(v->n < VECTORS_MAX);
    size_t n = strlen(value);
    int cut = snprintf(v->items[v->n].name, sizeof v->items[0].name, "%s", name);
    YZ_ASSERT(cut > 0 && (size_t)cut < sizeof v->items[0].name);
    if (value[0] == '"') {
        YZ_ASSERT(n >= 2 && value[n - 1] == '"' && n <= sizeof v->items[0].value);
        v->items[v->n].n = n - 2;
        memcpy(v->items[v->n].value, value + 1, n - 2);
    } else {
        YZ_ASSERT(n % 2 == 0 && n / 2 <= sizeof v->items[0].value);
        v->items[v->n].n = n / 2;
        YZ_ASSERT(yzi_hex_decode(yzi_bytes_str(value), v->items[v->n].value, n / 2) == 0);
    }
    v->n++;
}

/* tests/data/vectors/`file` */
static inline void yz_vectors_load(struct vectors *v, const char *file)
{
    char path[4096], name[64], value[3000], line[3200];
    snprintf(path, sizeof path, "%s/vectors/%s", YZ_TEST_DATA, file);
    FILE *f = fopen(path, "r");
    YZ_ASSERT(f);
    v->n = 0;
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#' || line[0] == '\n') {
            continue;
        }
        YZ_ASSERT(sscanf(line, "%63s = %2999[^\n]", name, value) == 2);
        yz_vectors_take(v, name, value);
    }
    YZ_ASSERT(v->n > 0);
    fclose(f);
}

static inline yz_bytes yz_vector(const struct vectors *v, const char *name)
{
    for (size_t i = 0; i < v->n; i++) {
        if (strcmp(v->items[i].name, name) == 0) {
            return yzi_bytes(v->items[i].value, v->items[i].n);
        }
    }
    fprintf(stderr, "no vector %s\n", name);
    abort();
}

#endif
