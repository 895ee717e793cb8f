/* SPDX-License-Identifier: Apache-2.0
 *
 * The wrappers behind alloc_fail.h. Live blocks are kept by address, because a free may be of a
 * block from before the watch or from a shared library, and must not be counted.
 */
#include "tests/support/alloc_fail.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

#define LIVE_MAX 65536u /* more at once than any test here should hold */

static _Thread_local struct {
    bool watching, counting, failed;
    size_t nth, calls, live;
    void **blocks; /* LIVE_MAX of them, by way of the real allocator */
} watch;

/* Of other threads. Set and cleared by the test's. */
static struct {
    _Atomic(const int *) tids;
    _Atomic size_t n, nth, calls;
    _Atomic bool failed;
} others;

static bool refuse_in_others(void)
{
    static _Thread_local int own;
    const int *tids = atomic_load(&others.tids);
    if (!tids) {
        return false;
    }
    own = own ? own : (int)gettid();
    bool is_one = false;
    for (size_t i = 0; i < atomic_load(&others.n); i++) {
        is_one = is_one || tids[i] == own;
    }
    if (!is_one || atomic_fetch_add(&others.calls, 1) + 1 != atomic_load(&others.nth)) {
        return false;
    }
    atomic_store(&others.failed, true);
    return true;
}

static bool refuse(void)
{
    if (refuse_in_others()) {
        return true;
    }
    if (!watch.counting) {
        return false;
    }
    watch.calls++;
    if (watch.calls == watch.nth) {
        watch.failed = true;
        return true;
    }
    return false;
}

static void *born(void *p)
{
    if (watch.watching && p) {
        YZ_ASSERT(watch.live < LIVE_MAX);
        watch.blocks[watch.live++] = p;
    }
    return p;
}

static void died(const void *p)
{
    /* From the end: what was allocated last is usually freed first. */
    for (size_t i = watch.live; watch.watching && p && i > 0; i--) {
        if (watch.blocks[i - 1] == p) {
            watch.blocks[i - 1] = watch.blocks[--watch.live];
            return;
        }
    }
}

void *__wrap_malloc(size_t n)
{
    return refuse() ? NULL : born(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refuse() ? NULL : born(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
    if (refuse()) {
        return NULL;
    }
    died(p);
    return born(__real_realloc(p, n)); /* fails for no reason but a real lack of memory */
}

void __wrap_free(void *p)
{
    died(p);
    __real_free(p);
}

void yz_alloc_fail_start(size_t nth)
{
    if (!watch.blocks) {
        watch.blocks = __real_calloc(LIVE_MAX, sizeof *watch.blocks);
        YZ_ASSERT(watch.blocks);
    }
    watch.nth = nth;
    watch.calls = watch.live = 0;
    watch.failed = false;
    watch.watching = watch.counting = true;
}

void yz_alloc_fail_arm(size_t nth)
{
    watch.nth = nth;
    watch.calls = watch.live = 0;
    watch.failed = watch.watching = watch.counting = false;
}

void yz_alloc_fail_resume(void)
{
    watch.counting = true;
}

void yz_alloc_fail_pause(void)
{
    watch.counting = false;
}

int yz_alloc_fail_hit(void)
{
    return watch.failed;
}

int yz_alloc_fail_in(const int *tids, size_t n, size_t nth)
{
    static int kept[16];
    YZ_ASSERT(n <= sizeof kept / sizeof *kept);
    bool hit = atomic_exchange(&others.failed, false);
    atomic_store(&others.tids, NULL);
    if (tids) {
        memcpy(kept, tids, n * sizeof *kept);
        atomic_store(&others.n, n);
        atomic_store(&others.nth, nth);
        atomic_store(&others.calls, 0);
        atomic_store(&others.failed, false);
        atomic_store(&others.tids, kept);
    }
    return hit;
}

int yz_alloc_fail_in_hit(void)
{
    return atomic_load(&others.failed);
}

struct alloc_fail_result yz_alloc_fail_stop(void)
{
    watch.watching = watch.counting = false;
    __real_free(watch.blocks);
    watch.blocks = NULL;
    return (struct alloc_fail_result){watch.calls, watch.live, watch.failed};
}

int yz_alloc_fail_each(int (*run)(void *ctx), void *ctx)
{
    for (int nth = 1;; nth++) {
        yz_alloc_fail_start((size_t)nth);
        int rc = run(ctx);
        struct alloc_fail_result r = yz_alloc_fail_stop();
        int want = r.failed ? YZ_ENOMEM : 0;
        if (rc != want) {
            fprintf(stderr, "with allocation %d failing: %s, not %s\n", nth, yz_err_name(rc),
                    yz_err_name(want));
            return -1;
        }
        if (r.live) {
            fprintf(stderr, "with allocation %d failing: %zu blocks leaked\n", nth, r.live);
            return -1;
        }
        if (!r.failed) {
            return nth - 1;
        }
    }
}
