/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints: three lines, read strictly, so that one tree head has one text.
 */
#include "proof/checkpoint.h"

#include <inttypes.h>

#include "base/text.h"
#include "proof/merkle.h"

static int take_line(yz_bytes *rest, yz_bytes *out)
{
    const uint8_t *at = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    YZ_ENSURE(at, YZ_EMALFORMED);
    size_t n = (size_t)(at - rest->p);
    *out = yzi_bytes(rest->p, n);
    *rest = yzi_bytes(at + 1, rest->n - n - 1);
    return 0;
}

static bool is_empty_root(const yz_digest *root)
{
    yz_digest empty;
    yzi_merkle_root(NULL, 0, &empty);
    return yzi_digest_eq(root, &empty);
}

int yzi_checkpoint_parse(yz_bytes text, struct checkpoint *out)
{
    yz_bytes rest = text, size, root;
    struct checkpoint c;
    YZ_TRY(take_line(&rest, &c.origin));
    YZ_TRY(take_line(&rest, &size));
    YZ_TRY(take_line(&rest, &root));
    YZ_ENSURE(rest.n == 0 && yzi_note_name_is_valid(c.origin), YZ_EMALFORMED);
    YZ_ENSURE(yzi_u64_parse(size, CHECKPOINT_SIZE_MAX, &c.size) == 0, YZ_EMALFORMED);
    YZ_TRY(yzi_base64_decode_exactly(root, c.root.b, sizeof c.root.b));
    YZ_ENSURE((c.size == 0) == is_empty_root(&c.root), YZ_EMALFORMED);
    *out = c;
    return 0;
}

int yzi_checkpoint_write(const struct checkpoint *c, yz_buf *out)
{
    YZ_ENSURE(yzi_note_name_is_valid(c->origin) && c->size <= CHECKPOINT_SIZE_MAX, YZ_EINVAL);
    size_t before = out->n;
    int rc = yzi_buf_put(out, c->origin);
    rc = rc ? rc : yzi_buf_printf(out, "\n%" PRIu64 "\n", c->size);
    rc = rc ? rc : yzi_base64_encode(yzi_bytes_digest(&c->root), out);
    rc = rc ? rc : yzi_buf_put_str(out, "\n");
    if (rc) {
        out->n = before;
    }
    return rc;
}

int yzi_checkpoint_open(yz_bytes note, const struct note_key *k, struct checkpoint *out)
{
    YZ_AUTO(yzi_free_ptr) struct note *n = NULL; /* too large for every caller's stack */
    struct checkpoint c;
    YZ_TRY(yzi_alloc(1, sizeof *n, &n));
    YZ_TRY(yzi_note_parse(note, n));
    YZ_TRY(yzi_checkpoint_parse(n->text, &c));
    YZ_ENSURE(yzi_bytes_eq(c.origin, k->name), YZ_EDENIED);
    YZ_TRY(yzi_note_verify(n, k, NULL));
    *out = c;
    return 0;
}

int yzi_checkpoint_note(const struct checkpoint *c, const struct note_key *k,
                        const uint8_t signature[NOTE_ED25519_BYTES], yz_buf *out)
{
    size_t before = out->n;
    int rc = yzi_checkpoint_write(c, out);
    rc = rc ? rc : yzi_buf_put_str(out, "\n");
    rc = rc ? rc : yzi_note_line(k, yzi_bytes(signature, NOTE_ED25519_BYTES), out);
    if (rc) {
        out->n = before;
    }
    return rc;
}
