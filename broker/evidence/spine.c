/* SPDX-License-Identifier: Apache-2.0
 *
 * Full tiles lie where their number says, and the next one with the same place takes it over,
 * memory and all: after warm-up nothing is allocated.
 */
#include "broker/evidence/spine.h"

static struct tile **place_of(struct spine *s, unsigned level, uint64_t number)
{
    return level == 0 ? &s->recent[number % SPINE_RECENT] : &s->old[level][number % SPINE_OLD];
}

static int need(struct tile **t, unsigned level, uint64_t number)
{
    if (!*t) {
        YZ_TRY(yzi_alloc(1, sizeof **t, t));
    }
    yzi_tile_init(*t, level, number);
    return YZ_OK;
}

void yzi_spine_fini(struct spine *s)
{
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        free(s->edge[level]);
        s->edge[level] = NULL;
        for (unsigned i = 0; i < SPINE_OLD; i++) {
            free(s->old[level][i]);
            s->old[level][i] = NULL;
        }
    }
    for (unsigned i = 0; i < SPINE_RECENT; i++) {
        free(s->recent[i]);
        s->recent[i] = NULL;
    }
    s->size = 0;
}

int yzi_spine_load(struct spine *s, uint64_t size)
{
    yzi_spine_fini(s);
    for (unsigned level = 0; level < TILE_LEVELS && (level == 0 || size >> 8 * level); level++) {
        uint64_t nodes = size >> TILE_BITS * level;
        unsigned width = nodes % TILE_WIDTH;
        YZ_TRY(need(&s->edge[level], level, nodes / TILE_WIDTH));
        if (width) {
            YZ_TRY(s->load(s->ctx, s->edge[level], width));
        }
    }
    s->size = size;
    return YZ_OK;
}

/* The edge tile of this level is full: it goes to the others, and an empty one comes. */
static int set_aside(struct spine *s, unsigned level)
{
    struct tile *full = s->edge[level];
    struct tile **place = place_of(s, level, full->number);
    struct tile *next = *place;
    YZ_TRY(need(&next, level, full->number + 1));
    *place = full;
    s->edge[level] = next;
    return YZ_OK;
}

int yzi_spine_add(struct spine *s, const yz_digest *leaf,
                  int (*full)(void *ctx, unsigned level, uint64_t number, const yz_digest *hash),
                  void *ctx)
{
    yz_digest hash = *leaf;
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        if (!s->edge[level]) {
            YZ_TRY(need(&s->edge[level], level, 0));
        }
        struct tile *t = s->edge[level];
        yzi_tile_add(t, &hash);
        if (t->width < TILE_WIDTH) {
            break;
        }
        hash = *yzi_tile_root(t);
        YZ_TRY(full(ctx, level, t->number, &hash));
        YZ_TRY(set_aside(s, level));
    }
    s->size++;
    return YZ_OK;
}

static int spine_node(void *ctx, unsigned level, uint64_t number, yz_digest *out)
{
    struct spine *s = ctx;
    unsigned tiles = level / TILE_BITS, row = level % TILE_BITS;
    uint64_t wanted = number >> (TILE_BITS - row);
    struct tile *t = s->edge[tiles];
    if (!t || t->number != wanted) {
        struct tile **place = place_of(s, tiles, wanted);
        t = *place;
        if (!t || t->number != wanted || t->width < TILE_WIDTH) {
            YZ_TRY(need(place, tiles, wanted));
            t = *place;
            YZ_TRY(s->load(s->ctx, t, TILE_WIDTH));
        }
    }
    *out = *yzi_tile_node(t, row, (unsigned)(number & ((TILE_WIDTH >> row) - 1)));
    return YZ_OK;
}

struct tree_source yzi_spine_source(struct spine *s)
{
    return (struct tree_source){spine_node, s};
}
