/* SPDX-License-Identifier: Apache-2.0
 *
 * tlog-proof text. The extra line is decoded while parsing to see that it can be, but kept as text:
 * whoever wants it says so.
 */
#include "proof/tlogproof.h"

#include <inttypes.h>

#include "base/text.h"

static const char kind[] = "c2sp.org/tlog-proof@";
static const char first_line[] = "c2sp.org/tlog-proof@v1";

static int take_line(yz_bytes *rest, yz_bytes *out)
{
    const uint8_t *at = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    YZ_ENSURE(at, YZ_EMALFORMED);
    size_t n = (size_t)(at - rest->p);
    *out = yzi_bytes(rest->p, n);
    *rest = yzi_bytes(at + 1, rest->n - n - 1);
    return 0;
}

/* What follows `word` at the beginning of the line. */
static bool take_word(yz_bytes line, const char *word, yz_bytes *out)
{
    size_t n = strlen(word);
    if (line.n < n || !yzi_bytes_eq_str(yzi_bytes(line.p, n), word)) {
        return false;
    }
    *out = yzi_bytes(line.p + n, line.n - n);
    return true;
}

static int check_first(yz_bytes line)
{
    yz_bytes version;
    YZ_ENSURE(take_word(line, kind, &version), YZ_EMALFORMED);
    YZ_ENSURE(yzi_bytes_eq_str(line, first_line), YZ_EVERSION);
    return 0;
}

static int decode_extra(yz_bytes base64, yz_buf *out)
{
    int rc = yzi_base64_decode(base64, out);
    return rc == YZ_ELIMIT ? YZ_ETOOBIG : rc;
}

static int check_extra(yz_bytes base64)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = TLOGPROOF_EXTRA_MAX};
    return decode_extra(base64, &b);
}

static int parse_path(yz_bytes *rest, struct merkle_path *out)
{
    yz_bytes line;
    out->n = 0;
    for (;;) {
        YZ_TRY(take_line(rest, &line));
        if (line.n == 0) {
            return 0;
        }
        YZ_ENSURE(out->n < YZ_PROOF_PATH_MAX, YZ_EMALFORMED);
        yz_digest *h = &out->hash[out->n++];
        YZ_TRY(yzi_base64_decode_exactly(line, h->b, sizeof h->b));
    }
}

int yzi_tlogproof_parse(yz_bytes text, struct tlogproof *out)
{
    YZ_ENSURE(text.n <= TLOGPROOF_MAX, YZ_ETOOBIG);
    yz_bytes rest = text, line, number;
    struct tlogproof p = {0};
    YZ_TRY(take_line(&rest, &line));
    YZ_TRY(check_first(line));
    YZ_TRY(take_line(&rest, &line));
    if (take_word(line, "extra ", &p.extra)) {
        YZ_TRY(check_extra(p.extra));
        p.has_extra = true;
        YZ_TRY(take_line(&rest, &line));
    }
    YZ_ENSURE(take_word(line, "index ", &number), YZ_EMALFORMED);
    YZ_ENSURE(yzi_u64_parse(number, CHECKPOINT_SIZE_MAX - 1, &p.index) == 0, YZ_EMALFORMED);
    YZ_TRY(parse_path(&rest, &p.path));
    YZ_ENSURE(rest.n > 0, YZ_EMALFORMED);
    p.checkpoint = rest;
    *out = p;
    return 0;
}

int yzi_tlogproof_extra(const struct tlogproof *p, yz_buf *out)
{
    YZ_ENSURE(p->has_extra, YZ_ENOTFOUND);
    return yzi_base64_decode(p->extra, out);
}

int yzi_tlogproof_verify(const struct tlogproof *p, const struct note_key *log, yz_bytes entry,
                         struct checkpoint *out)
{
    struct checkpoint c;
    yz_digest leaf, root;
    YZ_TRY(yzi_checkpoint_open(p->checkpoint, log, &c));
    yzi_merkle_leaf(entry, &leaf);
    YZ_TRY(yzi_merkle_root_from_path(&leaf, p->index, c.size, p->path.hash, p->path.n, &root));
    YZ_ENSURE(yzi_digest_eq(&root, &c.root), YZ_ESIGNATURE);
    if (out) {
        *out = c;
    }
    return 0;
}

static int write_lines(yz_bytes extra, uint64_t index, const struct merkle_path *path, yz_buf *out)
{
    YZ_TRY(yzi_buf_printf(out, "%s\n", first_line));
    if (extra.n > 0) {
        YZ_TRY(yzi_buf_put_str(out, "extra "));
        YZ_TRY(yzi_base64_encode(extra, out));
        YZ_TRY(yzi_buf_put_str(out, "\n"));
    }
    YZ_TRY(yzi_buf_printf(out, "index %" PRIu64 "\n", index));
    for (unsigned i = 0; i < path->n; i++) {
        YZ_TRY(yzi_base64_encode(yzi_bytes_digest(&path->hash[i]), out));
        YZ_TRY(yzi_buf_put_str(out, "\n"));
    }
    return yzi_buf_put_str(out, "\n");
}

int yzi_tlogproof_write(yz_bytes extra, uint64_t index, const struct merkle_path *path,
                        yz_bytes checkpoint, yz_buf *out)
{
    size_t before = out->n;
    int rc = write_lines(extra, index, path, out);
    rc = rc ? rc : yzi_buf_put(out, checkpoint);
    if (rc) {
        out->n = before;
    }
    return rc;
}
