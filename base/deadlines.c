/* SPDX-License-Identifier: Apache-2.0
 *
 * The heap behind deadlines.h: parents are never later than their children.
 */
#include "base/deadlines.h"

#include "base/bytes.h"

void yzi_deadlines_fini(struct deadlines *d)
{
    free(d->heap);
    *d = (struct deadlines){0};
}

static void put(struct deadlines *d, size_t i, struct deadline *h)
{
    d->heap[i] = h;
    h->place = i + 1;
}

static void rise(struct deadlines *d, size_t i)
{
    struct deadline *h = d->heap[i];
    while (i > 0 && d->heap[(i - 1) / 2]->at > h->at) {
        put(d, i, d->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(d, i, h);
}

static void sink(struct deadlines *d, size_t i)
{
    struct deadline *h = d->heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= d->n) {
            break;
        }
        if (child + 1 < d->n && d->heap[child + 1]->at < d->heap[child]->at) {
            child++;
        }
        if (d->heap[child]->at >= h->at) {
            break;
        }
        put(d, i, d->heap[child]);
        i = child;
    }
    put(d, i, h);
}

int yzi_deadlines_set(struct deadlines *d, struct deadline *h, uint64_t at, void *item)
{
    if (h->place == 0) {
        if (d->n == d->capacity) {
            size_t capacity = d->capacity ? d->capacity * 2 : 64;
            size_t bytes;
            YZ_TRY(yzi_size_mul(capacity, sizeof *d->heap, &bytes));
            struct deadline **heap = realloc(d->heap, bytes);
            YZ_ENSURE(heap, YZ_ENOMEM);
            d->heap = heap;
            d->capacity = capacity;
        }
        put(d, d->n++, h);
    }
    h->at = at;
    h->item = item;
    rise(d, h->place - 1);
    sink(d, h->place - 1);
    return YZ_OK;
}

void yzi_deadlines_remove(struct deadlines *d, struct deadline *h)
{
    if (h->place == 0) {
        return;
    }
    size_t i = h->place - 1;
    h->place = 0;
    struct deadline *last = d->heap[--d->n];
    if (last != h) {
        put(d, i, last);
        rise(d, i);
        sink(d, last->place - 1);
    }
}

uint64_t yzi_deadlines_next(const struct deadlines *d)
{
    return d->n ? d->heap[0]->at : UINT64_MAX;
}

void *yzi_deadlines_take(struct deadlines *d, uint64_t now)
{
    if (d->n == 0 || d->heap[0]->at > now) {
        return NULL;
    }
    struct deadline *h = d->heap[0];
    yzi_deadlines_remove(d, h);
    return h->item;
}
