/* SPDX-License-Identifier: Apache-2.0
 *
 * A table, a heap of times to forget, and lists of the answered by age: of all, and of each node.
 */
#include "adapters/memory.h"

#include "proto/limits.h"

#define KEY_MAX (sizeof(yz_uuid) + YZ_ID_MAX)

void yzi_memory_init(struct memory *m, const struct memory_options *o)
{
    *m = (struct memory){.o = *o};
}

static void free_remembered(void *value)
{
    struct remembered *r = value;
    yzi_buf_fini(&r->answer);
    yzi_buf_fini(&r->key);
    free(r);
}

static void free_node(void *value)
{
    struct remembered_node *n = value;
    yzi_buf_fini(&n->id);
    free(n);
}

void yzi_memory_fini(struct memory *m)
{
    yzi_deadlines_fini(&m->forget);
    yzi_table_fini(&m->entries, free_remembered);
    yzi_table_fini(&m->nodes, free_node);
}

/* -- nodes: there as long as they have an entry -- */

static int add_node(struct memory *m, yz_bytes id, struct remembered_node *n)
{
    yzi_buf_init(&n->id, YZ_ID_MAX);
    YZ_TRY(yzi_buf_put(&n->id, id));
    return yzi_table_put(&m->nodes, id, n);
}

static int get_node(struct memory *m, yz_node_id id, struct remembered_node **out)
{
    struct remembered_node *n = yzi_table_get(&m->nodes, id.v);
    if (!n) {
        YZ_TRY(yzi_alloc(1, sizeof *n, &n));
        int rc = add_node(m, id.v, n);
        if (rc < 0) {
            free_node(n);
            return rc;
        }
    }
    *out = n;
    return YZ_OK;
}

static void leave_node(struct memory *m, struct remembered_node *n)
{
    if (n->entries == 0) {
        (void)yzi_table_remove(&m->nodes, yzi_bytes_buf(&n->id));
        free_node(n);
    }
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
                                    const yz_digest *digest, unsigned who,
                                    const struct remembered **out)
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
    switch (r->state) {
    case REMEMBERED_ANSWERED:
        return MEMORY_ANSWERED;
    case REMEMBERED_LET_GO:
        return MEMORY_LET_GO;
    case REMEMBERED_RUNNING:
    default:
        r->asked |= 1u << who;
        return MEMORY_RUNNING;
    }
}

/* -- the answered, by age -- */

static void append(struct memory *m, struct remembered *r)
{
    r->older = m->newest;
    r->newer = NULL;
    if (m->newest) {
        m->newest->newer = r;
    } else {
        m->oldest = r;
    }
    m->newest = r;
    r->own_older = r->node->newest;
    r->own_newer = NULL;
    *(r->node->newest ? &r->node->newest->own_newer : &r->node->oldest) = r;
    r->node->newest = r;
    r->node->bytes += r->answer.n;
    m->bytes += r->answer.n;
    r->state = REMEMBERED_ANSWERED;
}

static void let_go(struct memory *m, struct remembered *r)
{
    if (r->state != REMEMBERED_ANSWERED) {
        return;
    }
    *(r->older ? &r->older->newer : &m->oldest) = r->newer;
    *(r->newer ? &r->newer->older : &m->newest) = r->older;
    *(r->own_older ? &r->own_older->own_newer : &r->node->oldest) = r->own_newer;
    *(r->own_newer ? &r->own_newer->own_older : &r->node->newest) = r->own_older;
    r->older = r->newer = r->own_older = r->own_newer = NULL;
    r->node->bytes -= r->answer.n;
    m->bytes -= r->answer.n;
    yzi_buf_fini(&r->answer);
    r->state = REMEMBERED_LET_GO;
}

/* -- entries -- */

static void forget(struct memory *m, struct remembered *r)
{
    let_go(m, r);
    yzi_deadlines_remove(&m->forget, &r->forget);
    yzi_table_remove(&m->entries, yzi_bytes_buf(&r->key));
    r->node->entries--;
    leave_node(m, r->node);
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

static int begin_new(struct memory *m, struct remembered_node *own, yz_node_id node,
                     const yz_uuid *id, const yz_digest *digest, unsigned who, uint64_t until)
{
    struct remembered *r;
    YZ_TRY(yzi_alloc(1, sizeof *r, &r));
    r->digest = *digest;
    r->state = REMEMBERED_RUNNING;
    r->asked = 1u << who;
    r->node = own;
    uint8_t space[KEY_MAX];
    int rc = add(m, r, key_of(node, id, space), until);
    if (rc < 0) {
        free_remembered(r);
        return rc;
    }
    own->entries++;
    return YZ_OK;
}

int yzi_memory_begin(struct memory *m, yz_node_id node, const yz_uuid *id, const yz_digest *digest,
                     unsigned who, uint64_t until)
{
    struct remembered *r = find(m, node, id);
    if (r) {
        YZ_ENSURE(r->state == REMEMBERED_LET_GO && yzi_digest_eq(&r->digest, digest), YZ_EEXIST);
        r->state = REMEMBERED_RUNNING;
        r->asked = 1u << who;
        return YZ_OK;
    }
    YZ_ENSURE(yzi_table_count(&m->entries) < m->o.entries_max, YZ_EBUSY);
    struct remembered_node *own;
    YZ_TRY(get_node(m, node, &own));
    int rc = own->entries < m->o.entries_each_max ? begin_new(m, own, node, id, digest, who, until)
                                                  : YZ_EBUSY;
    leave_node(m, own);
    return rc;
}

unsigned yzi_memory_answer(struct memory *m, yz_node_id node, const yz_uuid *id, yz_bytes answer)
{
    struct remembered *r = find(m, node, id);
    if (!r || r->state != REMEMBERED_RUNNING) {
        return 0;
    }
    r->state = REMEMBERED_LET_GO;
    if (answer.n <= m->o.bytes_max && answer.n <= m->o.bytes_each_max) {
        while (answer.n > m->o.bytes_each_max - r->node->bytes) {
            let_go(m, r->node->oldest);
        }
        while (answer.n > m->o.bytes_max - m->bytes) {
            let_go(m, m->oldest);
        }
        yzi_buf_init(&r->answer, answer.n);
        if (yzi_buf_put(&r->answer, answer) == YZ_OK) {
            append(m, r);
        }
    }
    return r->asked;
}

unsigned yzi_memory_cancel(struct memory *m, yz_node_id node, const yz_uuid *id)
{
    struct remembered *r = find(m, node, id);
    if (!r) {
        return 0;
    }
    unsigned asked = r->asked;
    forget(m, r);
    return asked;
}

void yzi_memory_expire(struct memory *m, uint64_t mono)
{
    struct remembered *r;
    while (mono > 0 && (r = yzi_deadlines_take(&m->forget, mono - 1)) != NULL) {
        forget(m, r);
    }
}

size_t yzi_memory_count(const struct memory *m)
{
    return yzi_table_count(&m->entries);
}
