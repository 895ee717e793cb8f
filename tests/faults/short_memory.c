/* SPDX-License-Identifier: Apache-2.0
 *
 * The wrappers behind short_memory.h, linked into a program with --wrap.
 */
#include "tests/faults/short_memory.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

static struct short_memory *memory;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("YZ_SHORT_MEMORY");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    void *p = mmap(NULL, sizeof *memory, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    memory = p == MAP_FAILED ? NULL : p;
    close(fd);
}

static bool refuse(void)
{
    if (!memory) {
        return false;
    }
    uint64_t n = atomic_fetch_add(&memory->seen, 1) + 1, every = memory->every;
    bool fails = n == memory->nth || (every && n % every == 0);
    memory->failed += fails;
    return fails;
}

void *__wrap_malloc(size_t n)
{
    return refuse() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refuse() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return refuse() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
    return refuse() ? NULL : __real_strdup(s);
}
