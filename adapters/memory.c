/* SPDX-License-Identifier: Apache-2.0
 *
 * A table and a heap of times to forget.
 */
#include "adapters/memory.h"

#include "proto/limits.h"

#define KEY_MAX (sizeof(yz_uuid) + YZ_ID_MAX)

void yzi_memory_init(struct memory *m, size_t entries_max, size_t bytes_max)
{
    *m = (struct memory){.entries_max = entries_max, .bytes_max = bytes_max};
}

static void free_remembered(void *value)
{
    struct remembered *r = value;
    yzi_buf_fini(&r->answer);
    yzi_buf_fini(&r->key);
    free(r);
}

void yzi_memory_fini(struct memory *m)
{
    yzi_deadlines_fini(&m->forget);
    yzi_table_fini(&m->entries, free_remembered);
}

static yz_bytes key_of(yz_node_id node, const yz_uuid *id, uint8_t space[KEY_MAX])
{
    YZ_ASSERT(node.v.n <= YZ_ID_MAX); /* the parser's promise */
    memcpy(space, id->b, sizeof id->b);
    memcpy(space + sizeof id->b, node.v.p, node.v.n);
    return yzi_bytes(space, sizeof id->b + node.v.n);
}

static struct remembered *find(const struct memory *m, yz_node_id node, const yz_uuid *id)
{
    uint8_t space[KEY_MAX];
    return yzi_table_get(&m->entries, key_of(node, id, space));
}

enum memory_verdict yzi_memory_look(struct memory *m, yz_node_id node, const yz_uuid *id,
                                    const yz_digest *digest, const struct remembered **out)
{
    struct remembered *r = find(m, node, id);
    if (out) {
        *out = r;
    }
    if (!r) {
        return MEMORY_NEW;
    }
    if (!yzi_digest_eq(&r->digest, digest)) {
        return MEMORY_CONFLICT;
    }
    return r->answered ? MEMORY_ANSWERED : MEMORY_RUNNING;
}

static void forget(struct memory *m, struct remembered *r)
{
    yzi_deadlines_remove(&m->forget, &r->forget);
    yzi_table_remove(&m->entries, yzi_bytes_buf(&r->key));
    m->bytes -= r->answer.n;
    free_remembered(r);
}

static int add(struct memory *m, struct remembered *r, yz_bytes key, uint64_t until)
{
    yzi_buf_init(&r->key, KEY_MAX);
    YZ_TRY(yzi_buf_put(&r->key, key));
    YZ_TRY(yzi_table_put(&m->entries, key, r));
    int rc = yzi_deadlines_set(&m->forget, &r->forget, until, r);
    if (rc < 0) {
        yzi_table_remove(&m->entries, key);
    }
    return rc;
}

int yzi_memory_begin(struct memory *m, yz_node_id node, const yz_uuid *id, const yz_digest *digest,
                     uint64_t until)
{
    YZ_ENSURE(yzi_table_count(&m->entries) < m->entries_max && m->bytes < m->bytes_max, YZ_EBUSY);
    struct remembered *r;
    YZ_TRY(yzi_alloc(1, sizeof *r, &r));
    r->digest = *digest;
    uint8_t space[KEY_MAX];
    int rc = add(m, r, key_of(node, id, space), until);
    if (rc < 0) {
        free_remembered(r);
    }
    return rc;
}

void yzi_memory_answer(struct memory *m, yz_node_id node, const yz_uuid *id, yz_bytes answer)
{
    struct remembered *r = find(m, node, id);
    if (!r || r->answered) {
        return;
    }
    yzi_buf_init(&r->answer, answer.n);
    if (yzi_buf_put(&r->answer, answer) == YZ_OK) {
        r->answered = true;
        m->bytes += answer.n;
    }
}

void yzi_memory_cancel(struct memory *m, yz_node_id node, const yz_uuid *id)
{
    struct remembered *r = find(m, node, id);
    if (r) {
        forget(m, r);
    }
}

void yzi_memory_expire(struct memory *m, uint64_t mono)
{
    struct remembered *r;
    while ((r = yzi_deadlines_take(&m->forget, mono)) != NULL) {
        forget(m, r);
    }
}

size_t yzi_memory_count(const struct memory *m)
{
    return yzi_table_count(&m->entries);
}
