/* SPDX-License-Identifier: Apache-2.0
 *
 * Level by level, an odd last node rises unchanged: that is the recursive definition of RFC 6962
 * §2.1 seen from below. A level of a tree of n leaves has n >> level complete nodes and, where
 * anything is left over, one open node behind them.
 */
#include "proof/edge.h"

static int node_of(const struct tree_source *s, unsigned level, uint64_t number, yz_digest *out)
{
    return s->node(s->ctx, level, number, out);
}

static bool is_open(const struct tree_edge *e, unsigned level)
{
    return e->is_open >> level & 1;
}

/* Nodes of this level, the open one included. */
static uint64_t count_at(const struct tree_edge *e, unsigned level)
{
    return (e->size >> level) + is_open(e, level);
}

/* The open node of the level above, if there is one. */
static int raise_edge(const struct tree_source *s, struct tree_edge *e, unsigned level)
{
    uint64_t complete = e->size >> level;
    if (complete % 2 == 0) {
        if (is_open(e, level)) {
            e->hash[level + 1] = e->hash[level];
            e->is_open |= UINT64_C(1) << (level + 1);
        }
        return 0;
    }
    YZ_TRY(node_of(s, level, complete - 1, &e->hash[level + 1]));
    if (is_open(e, level)) {
        yzi_merkle_node(&e->hash[level + 1], &e->hash[level], &e->hash[level + 1]);
    }
    e->is_open |= UINT64_C(1) << (level + 1);
    return 0;
}

int yzi_tree_edge(const struct tree_source *s, uint64_t size, struct tree_edge *out)
{
    YZ_ENSURE(size <= YZ_EDGE_SIZE_MAX, YZ_ELIMIT);
    out->size = size;
    out->is_open = 0;
    if (size == 0) {
        yzi_merkle_root(NULL, 0, &out->root);
        return 0;
    }
    unsigned level = 0;
    for (; count_at(out, level) > 1; level++) {
        YZ_TRY(raise_edge(s, out, level));
    }
    if (is_open(out, level)) {
        out->root = out->hash[level];
        return 0;
    }
    return node_of(s, level, 0, &out->root);
}

/* The siblings on the way up from a node, appended. */
static int climb(const struct tree_source *s, const struct tree_edge *e, unsigned level,
                 uint64_t number, struct merkle_path *out)
{
    for (; count_at(e, level) > 1; level++, number /= 2) {
        uint64_t complete = e->size >> level, sibling = number ^ 1;
        if (sibling < complete) {
            YZ_TRY(node_of(s, level, sibling, &out->hash[out->n]));
            out->n++;
        } else if (sibling == complete && is_open(e, level)) {
            out->hash[out->n++] = e->hash[level];
        }
    }
    return 0;
}

int yzi_tree_path(const struct tree_source *s, const struct tree_edge *edge, uint64_t index,
                  struct merkle_path *out)
{
    YZ_ENSURE(index < edge->size, YZ_EINVAL);
    out->n = 0;
    return climb(s, edge, 0, index, out);
}

/* -- tiles -- */

static size_t row_at(unsigned row)
{
    return 2 * TILE_WIDTH - (2 * TILE_WIDTH >> row);
}

void yzi_tile_init(struct tile *t, unsigned level, uint64_t number)
{
    t->level = level;
    t->number = number;
    t->width = 0;
}

void yzi_tile_add(struct tile *t, const yz_digest *hash)
{
    YZ_ASSERT(t->width < TILE_WIDTH);
    unsigned place = t->width++;
    t->node[place] = *hash;
    for (unsigned row = 0; place % 2 == 1; row++, place /= 2) {
        const yz_digest *pair = &t->node[row_at(row) + place - 1];
        yzi_merkle_node(&pair[0], &pair[1], &t->node[row_at(row + 1) + place / 2]);
    }
}

const yz_digest *yzi_tile_node(const struct tile *t, unsigned row, unsigned place)
{
    YZ_ASSERT(row <= TILE_BITS && ((place + 1) << row) <= t->width);
    return &t->node[row_at(row) + place];
}
