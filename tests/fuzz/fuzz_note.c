/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_note_parse, yzi_note_verify, yzi_vkey_parse, yzi_checkpoint_parse,
 * yzi_tlogproof_parse, yzi_tlogproof_verify, yzi_tile_path_parse, yzi_entries_next.
 *
 * The first byte says which (n, v, c, p, t, b); the rest is for that parser. What parses is written
 * again and is the same bytes, where the format has one form.
 */
#include "proof/tile.h"
#include "proof/tlogproof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_refusal(int rc)
{
    return rc == YZ_EMALFORMED || rc == YZ_ETOOBIG || rc == YZ_ELIMIT || rc == YZ_EVERSION;
}

static void fuzz_note(yz_bytes in)
{
    static struct note n;
    const uint8_t any[32] = {1};
    int rc = yzi_note_parse(in, &n);
    YZ_ASSERT(rc == 0 || is_refusal(rc));
    for (unsigned i = 0; rc == 0 && i < n.lines_n; i++) {
        struct note_key k;
        YZ_ASSERT(yzi_note_name_is_valid(n.lines[i].name));
        for (unsigned a = NOTE_ED25519; a <= NOTE_COSIGNATURE;
             a += NOTE_COSIGNATURE - NOTE_ED25519) {
            YZ_ASSERT(yzi_note_key(n.lines[i].name, (enum note_algorithm)a, any, &k) == 0);
            memcpy(k.id, n.lines[i].id, sizeof k.id);
            YZ_ASSERT(yzi_note_verify(&n, &k, NULL) == YZ_ESIGNATURE);
        }
    }
}

static void fuzz_vkey(yz_bytes in)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1 << 20};
    struct note_key k;
    int rc = yzi_vkey_parse(in, &k);
    YZ_ASSERT(rc == 0 || is_refusal(rc));
    if (rc == 0) {
        YZ_ASSERT(yzi_vkey_write(&k, &b) == 0);
        YZ_ASSERT(yzi_bytes_eq(yzi_bytes_buf(&b), in));
    }
}

static void fuzz_checkpoint(yz_bytes in)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1 << 20};
    struct checkpoint c;
    int rc = yzi_checkpoint_parse(in, &c);
    YZ_ASSERT(rc == 0 || rc == YZ_EMALFORMED);
    if (rc == 0) {
        YZ_ASSERT(yzi_checkpoint_write(&c, &b) == 0);
        YZ_ASSERT(yzi_bytes_eq(yzi_bytes_buf(&b), in));
    }
}

static void fuzz_proof(yz_bytes in)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1 << 21}, extra = {.max = TLOGPROOF_EXTRA_MAX};
    static struct tlogproof p;
    const uint8_t any[32] = {1};
    struct note_key k;
    int rc = yzi_tlogproof_parse(in, &p);
    YZ_ASSERT(rc == 0 || is_refusal(rc));
    if (rc == 0) {
        YZ_ASSERT(!p.has_extra || yzi_tlogproof_extra(&p, &extra) == 0);
        YZ_ASSERT(yzi_tlogproof_write(yzi_bytes_buf(&extra), p.index, &p.path, p.checkpoint, &b) ==
                  0);
        /* "extra " with nothing behind it is taken, but never written. */
        YZ_ASSERT(yzi_bytes_eq(yzi_bytes_buf(&b), in) || (p.has_extra && extra.n == 0));
        YZ_ASSERT(yzi_note_key(yzi_bytes_str("log"), NOTE_ED25519, any, &k) == 0);
        YZ_ASSERT(yzi_tlogproof_verify(&p, &k, yzi_bytes_str("entry"), NULL) != 0);
    }
}

static void fuzz_tile(yz_bytes in)
{
    char path[TILE_PATH_MAX];
    struct tile_name t;
    int rc = yzi_tile_path_parse(in, &t);
    YZ_ASSERT(rc == 0 || rc == YZ_EMALFORMED);
    if (rc == 0) {
        yzi_tile_path(&t, path);
        YZ_ASSERT(yzi_bytes_eq_str(in, path));
    }
}

static void fuzz_bundle(yz_bytes in)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1 << 21};
    yz_reader r = yzi_reader(in);
    yz_bytes e;
    while (r.left > 0 && yzi_entries_next(&r, &e) == 0) {
        YZ_ASSERT(yzi_entries_put(e, &b) == 0);
    }
    YZ_ASSERT(b.n + r.left == in.n && yzi_bytes_eq(yzi_bytes_buf(&b), yzi_bytes(in.p, b.n)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    yz_bytes in = yzi_bytes(data + 1, size - 1);
    switch (data[0]) {
    case 'n':
        fuzz_note(in);
        break;
    case 'v':
        fuzz_vkey(in);
        break;
    case 'c':
        fuzz_checkpoint(in);
        break;
    case 'p':
        fuzz_proof(in);
        break;
    case 't':
        fuzz_tile(in);
        break;
    case 'b':
        fuzz_bundle(in);
        break;
    default:
        break;
    }
    return 0;
}
