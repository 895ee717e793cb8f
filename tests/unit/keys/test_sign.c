/* SPDX-License-Identifier: Apache-2.0
 *
 * keys/sign.c: batches, records and checkpoints against a second implementation, against every
 * single change, and the table of who may sign what against the document that shows it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "keys/sign.h"
#include "proof/merkle.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/fixed_key.h"
#include "tests/support/vectors.h"

#define BATCH 5u

static struct key_pair key, other; /* KEY_SIGNING both */
static const char *const texts[BATCH] = {"first", "second", "third", "fourth", "fifth"};
static yz_bytes headers[BATCH];

static int make_keys(void **state)
{
    (void)state;
    key = yz_numbered_key(KEY_SIGNING, 1);
    other = yz_numbered_key(KEY_SIGNING, 2);
    for (unsigned i = 0; i < BATCH; i++) {
        headers[i] = yzi_bytes_str(texts[i]);
    }
    return 0;
}

static int drop_keys(void **state)
{
    (void)state;
    yzi_key_pair_fini(&key);
    yzi_key_pair_fini(&other);
    return 0;
}

static void init_all(yz_buf *blocks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        yzi_buf_init(&blocks[i], YZ_BLOCK_MAX);
    }
}

static void fini_all(yz_buf *blocks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        yzi_buf_fini(&blocks[i]);
    }
}

/* Parse and verify: what a receiver does. */
static int accept(struct root_memory *memory, enum frame_kind kind, yz_bytes header, yz_bytes block)
{
    struct signature_block b;
    YZ_TRY(yzi_block_parse(block, &b));
    return yzi_verify_message(memory, kind, header, &b);
}

static void assert_bytes(yz_bytes got, yz_bytes want)
{
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.p, want.p, want.n);
}

/* -- vectors -- */

static void test_batch__has_the_documented_bytes(void **state)
{
    (void)state;
    struct vectors *v = calloc(1, sizeof *v);
    assert_non_null(v);
    yz_vectors_load(v, "signatures.txt");
    YZ_AUTO(yzi_key_pair_fini)
    struct key_pair k = yz_fixed_key(KEY_SIGNING, yz_vector(v, "seed").p);
    assert_bytes(yzi_bytes(k.public_key, 32), yz_vector(v, "public"));
    yz_bytes h[3];
    yz_buf blocks[3];
    init_all(blocks, 3);
    for (unsigned i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "batch.header.%u", i);
        h[i] = yz_vector(v, name);
    }
    assert_int_equal(yzi_sign_batch(&k, FRAME_RESPONSE, h, 3, blocks), 0);
    for (unsigned i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "batch.block.%u", i);
        assert_bytes(yzi_bytes_buf(&blocks[i]), yz_vector(v, name));
        assert_int_equal(accept(NULL, FRAME_RESPONSE, h[i], yz_vector(v, name)), 0);
    }
    fini_all(blocks, 3);
    free(v);
}

static void test_message__has_the_documented_bytes(void **state)
{
    (void)state;
    struct vectors *v = calloc(1, sizeof *v);
    assert_non_null(v);
    yz_vectors_load(v, "signatures.txt");
    YZ_AUTO(yzi_key_pair_fini)
    struct key_pair k = yz_fixed_key(KEY_SIGNING, yz_vector(v, "seed").p);
    yz_bytes header = yz_vector(v, "one.header.0"), want = yz_vector(v, "one.block.0");
    yz_buf block, batch;
    init_all(&block, 1);
    init_all(&batch, 1);
    assert_int_equal(yzi_sign_message(&k, FRAME_REQUEST, header, &block), 0);
    assert_bytes(yzi_bytes_buf(&block), want);
    assert_int_equal(yzi_sign_batch(&k, FRAME_REQUEST, &header, 1, &batch), 0);
    assert_bytes(yzi_bytes_buf(&batch), want);
    assert_int_equal(accept(NULL, FRAME_REQUEST, header, want), 0);
    fini_all(&block, 1);
    fini_all(&batch, 1);
    free(v);
}

/* -- the table -- */

/* The lines of the document's table, in `rows`, without heading. */
static size_t document_rows(char rows[][1024], size_t max)
{
    FILE *f = fopen(YZ_TEST_DATA "/../../docs/protocol.md", "r");
    assert_non_null(f);
    char line[1024];
    bool in_section = false;
    size_t n = 0;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "## ", 3) == 0) {
            in_section = strcmp(line, "## Who may sign what") == 0;
        } else if (in_section && line[0] == '|' && strncmp(line, "| what |", 8) != 0 &&
                   strncmp(line, "|---", 4) != 0) {
            assert_true(n < max);
            snprintf(rows[n++], sizeof rows[0], "%s", line);
        }
    }
    fclose(f);
    return n;
}

static void test_rules__are_the_table_of_the_document(void **state)
{
    (void)state;
    static char rows[64][1024];
    size_t n = document_rows(rows, 64), i = 0;
    for (const struct sign_rule *r; (r = yzi_sign_rule_at(i)); i++) {
        char context[64] = "—", want[256];
        if (r->context) {
            snprintf(context, sizeof context, "`%s`", r->context);
        }
        snprintf(want, sizeof want, "| %s | %s | %s | %s |", r->what, context,
                 yzi_signer_text(r->signer), r->use ? yzi_key_use_name(r->use) : "—");
        assert_true(i < n);
        assert_string_equal(rows[i], want);
    }
    assert_int_equal(i, n);
}

static void test_rules__separate_everything_that_is_signed(void **state)
{
    (void)state;
    const struct sign_rule *a, *b;
    for (size_t i = 0; (a = yzi_sign_rule_at(i)); i++) {
        assert_int_equal(a->signer == SIGNER_NONE, a->use == 0);
        assert_true(a->context || a->signer == SIGNER_NONE || a->signer == SIGNER_LOG);
        if (!a->context) {
            continue;
        }
        assert_int_equal(strncmp(a->context, "yizhan/v1 ", 10), 0);
        assert_in_range(strlen(a->context), 11, 32);
        for (size_t j = 0; j < i && (b = yzi_sign_rule_at(j)); j++) {
            assert_true(!b->context || strcmp(a->context, b->context) != 0);
        }
    }
    for (unsigned kind = 0; kind < 256; kind++) {
        const struct sign_rule *r = yzi_sign_rule_message((enum frame_kind)kind);
        assert_int_equal(r != NULL, kind >= FRAME_REQUEST && kind <= FRAME_OUTCOME);
        r = yzi_sign_rule_record((enum record_kind)kind);
        assert_int_equal(r != NULL, kind >= RECORD_ROOT && kind <= RECORD_PURPOSES);
    }
    assert_string_equal(yzi_signer_text((enum signer)99), "?");
}

static void test_signing__refuses_every_key_of_another_use(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf out = {0};
    yzi_buf_init(&out, YZ_RECORD_MAX);
    for (int use = KEY_ROOT; use <= KEY_STORAGE; use++) {
        YZ_AUTO(yzi_key_pair_fini) struct key_pair k = yz_numbered_key((enum key_use)use, 9);
        struct key_pair *const keys[] = {&k};
        for (int kind = FRAME_REQUEST; kind <= FRAME_HELLO; kind++) {
            const struct sign_rule *r = yzi_sign_rule_message((enum frame_kind)kind);
            int want = r && r->use == (enum key_use)use ? 0 : YZ_EINVAL;
            yzi_buf_clear(&out);
            assert_int_equal(yzi_sign_message(&k, (enum frame_kind)kind, headers[0], &out), want);
            yzi_buf_clear(&out);
            assert_int_equal(yzi_sign_batch(&k, (enum frame_kind)kind, headers, 1, &out), want);
        }
        for (int kind = 0; kind <= RECORD_NODE_REQUEST + 1; kind++) {
            const struct sign_rule *r = yzi_sign_rule_record((enum record_kind)kind);
            int want = r && r->use == (enum key_use)use ? 0 : YZ_EINVAL;
            yzi_buf_clear(&out);
            assert_int_equal(yzi_record_sign((enum record_kind)kind, headers[0], keys, 1, &out),
                             want);
        }
        uint8_t signature[64];
        assert_int_equal(yzi_sign_checkpoint(&k, yzi_bytes_str("o\n"), signature),
                         use == KEY_LOG ? 0 : YZ_EINVAL);
    }
}

/* -- messages: every single change -- */

static void test_block__refuses_every_flipped_bit(void **state)
{
    (void)state;
    yz_buf blocks[BATCH];
    init_all(blocks, BATCH);
    assert_int_equal(yzi_sign_batch(&key, FRAME_REQUEST, headers, BATCH, blocks), 0);
    struct root_memory memory = {0};
    for (unsigned i = 0; i < BATCH; i++) {
        yz_bytes block = yzi_bytes_buf(&blocks[i]);
        assert_int_equal(accept(&memory, FRAME_REQUEST, headers[i], block), 0);
        for (size_t bit = 0; bit < block.n * 8; bit++) {
            blocks[i].p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_true(accept(NULL, FRAME_REQUEST, headers[i], block) < 0);
            assert_true(accept(&memory, FRAME_REQUEST, headers[i], block) < 0);
            blocks[i].p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t n = 0; n < block.n; n++) {
            assert_true(accept(&memory, FRAME_REQUEST, headers[i], yzi_bytes(block.p, n)) < 0);
        }
        assert_int_equal(accept(&memory, FRAME_REQUEST, headers[i], block), 0);
    }
    assert_int_equal(memory.hits, 2 * BATCH - 1); /* no refused block was ever remembered */
    fini_all(blocks, BATCH);
}

static void test_header__refuses_every_flipped_bit_and_other_length(void **state)
{
    (void)state;
    yz_buf blocks[BATCH];
    init_all(blocks, BATCH);
    assert_int_equal(yzi_sign_batch(&key, FRAME_REQUEST, headers, BATCH, blocks), 0);
    struct root_memory memory = {0};
    for (unsigned i = 0; i < BATCH; i++) {
        uint8_t copy[64] = {0};
        yz_bytes block = yzi_bytes_buf(&blocks[i]), header = yzi_bytes(copy, headers[i].n);
        memcpy(copy, headers[i].p, headers[i].n);
        assert_int_equal(accept(&memory, FRAME_REQUEST, header, block), 0);
        for (size_t bit = 0; bit < header.n * 8; bit++) {
            copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(accept(NULL, FRAME_REQUEST, header, block), YZ_ESIGNATURE);
            assert_int_equal(accept(&memory, FRAME_REQUEST, header, block), YZ_ESIGNATURE);
            copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t n = 0; n < sizeof copy; n++) {
            assert_int_equal(accept(&memory, FRAME_REQUEST, yzi_bytes(copy, n), block),
                             n == header.n ? 0 : YZ_ESIGNATURE);
        }
    }
    fini_all(blocks, BATCH);
}

static void test_message__is_of_one_kind(void **state)
{
    (void)state;
    yz_buf block;
    init_all(&block, 1);
    for (int kind = FRAME_REQUEST; kind <= FRAME_OUTCOME; kind++) {
        yzi_buf_clear(&block);
        assert_int_equal(yzi_sign_message(&key, (enum frame_kind)kind, headers[0], &block), 0);
        for (int as = 0; as < 40; as++) {
            assert_int_equal(accept(NULL, (enum frame_kind)as, headers[0], yzi_bytes_buf(&block)),
                             as == kind ? 0 : YZ_ESIGNATURE);
        }
    }
    fini_all(&block, 1);
}

/* The context alone keeps kinds apart too: a root signed under another one is refused. */
static void test_message__is_of_one_context(void **state)
{
    (void)state;
    uint8_t text[128], signature[64];
    const uint8_t head[2] = {1, FRAME_REQUEST};
    struct signature_block b = {.tree_size = 1,
                                .key = yzi_bytes(key.public_key, 32),
                                .signature = yzi_bytes(signature, 64)};
    static const char *const contexts[] = {"yizhan/v1 request", "yizhan/v1 response",
                                           "yizhan/v2 request", "yizhan/v1 reques"};
    for (size_t i = 0; i < 4; i++) {
        size_t n = strlen(contexts[i]) + 1;
        memcpy(text, contexts[i], n);
        memcpy(text + n, head, 2);
        yzi_store_u32(text + n + 2, 1);
        yz_digest leaf;
        yzi_merkle_leaf2(yzi_bytes(head, 2), headers[0], &leaf);
        memcpy(text + n + 6, leaf.b, 32);
        crypto_sign_detached(signature, NULL, text, n + 38, yzi_key_pair_open(&key));
        yzi_key_pair_close(&key);
        assert_int_equal(yzi_verify_message(NULL, FRAME_REQUEST, headers[0], &b),
                         i == 0 ? 0 : YZ_ESIGNATURE);
    }
}

static void test_block__refuses_another_place_in_the_tree(void **state)
{
    (void)state;
    yz_buf blocks[BATCH];
    init_all(blocks, BATCH);
    assert_int_equal(yzi_sign_batch(&key, FRAME_REQUEST, headers, BATCH, blocks), 0);
    struct root_memory memory = {0};
    struct signature_block genuine, b;
    for (unsigned i = 0; i < BATCH; i++) {
        assert_int_equal(yzi_block_parse(yzi_bytes_buf(&blocks[i]), &genuine), 0);
        assert_int_equal(yzi_verify_message(&memory, FRAME_REQUEST, headers[i], &genuine), 0);
        for (uint32_t size = 0; size <= 40; size++) {
            for (uint32_t index = 0; index <= 40; index++) {
                b = genuine;
                b.tree_size = size;
                b.index = index;
                int want = size == BATCH && index == i ? 0 : YZ_ESIGNATURE;
                assert_int_equal(yzi_verify_message(&memory, FRAME_REQUEST, headers[i], &b), want);
            }
        }
        for (unsigned n = 0; n <= YZ_BATCH_PATH_MAX + 1; n++) {
            b = genuine;
            b.path_n = n;
            int want = n == genuine.path_n ? 0 : YZ_ESIGNATURE;
            assert_int_equal(yzi_verify_message(&memory, FRAME_REQUEST, headers[i], &b), want);
        }
        for (unsigned j = 1; j < genuine.path_n; j++) {
            b = genuine;
            b.path[0] = genuine.path[j];
            b.path[j] = genuine.path[0];
            assert_int_equal(yzi_verify_message(&memory, FRAME_REQUEST, headers[i], &b),
                             YZ_ESIGNATURE);
        }
        for (unsigned j = 0; j < BATCH; j++) {
            assert_int_equal(accept(&memory, FRAME_REQUEST, headers[j], yzi_bytes_buf(&blocks[i])),
                             j == i ? 0 : YZ_ESIGNATURE);
        }
    }
    b = genuine;
    b.tree_size = YZ_BATCH_MAX + 1;
    assert_int_equal(yzi_verify_message(&memory, FRAME_REQUEST, headers[4], &b), YZ_ESIGNATURE);
    fini_all(blocks, BATCH);
}

/* The identity and the other points of small order verify anything under a lax verifier. */
static void test_message__refuses_keys_of_small_order(void **state)
{
    (void)state;
    static const uint8_t last[] = {0x00, 0x80};
    for (unsigned first = 0; first < 2; first++) {
        for (unsigned i = 0; i < 2; i++) {
            uint8_t weak[32] = {(uint8_t)first}, signature[64] = {(uint8_t)first};
            weak[31] = last[i];
            signature[31] = last[i];
            const struct signature_block b = {
                .tree_size = 1, .key = yzi_bytes(weak, 32), .signature = yzi_bytes(signature, 64)};
            for (unsigned h = 0; h < BATCH; h++) {
                assert_int_equal(yzi_verify_message(NULL, FRAME_REQUEST, headers[h], &b),
                                 YZ_ESIGNATURE);
            }
        }
    }
}

/* S + L is the same scalar: a lax verifier takes it, and the message would have two digests. */
static void test_message__refuses_a_second_encoding_of_its_signature(void **state)
{
    (void)state;
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                      0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                      0,    0,    0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0,    0,    0,    0x10};
    yz_buf block;
    init_all(&block, 1);
    assert_int_equal(yzi_sign_message(&key, FRAME_REQUEST, headers[0], &block), 0);
    uint8_t *s = block.p + YZ_BLOCK_FIXED - 32;
    unsigned carry = 0;
    for (unsigned i = 0; i < 32; i++) {
        carry += (unsigned)s[i] + order[i];
        s[i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_int_equal(carry, 0);
    assert_int_equal(accept(NULL, FRAME_REQUEST, headers[0], yzi_bytes_buf(&block)), YZ_ESIGNATURE);
    fini_all(&block, 1);
}

/* -- known roots -- */

static void test_memory__verifies_a_batch_once_and_single_messages_always(void **state)
{
    (void)state;
    yz_buf blocks[BATCH];
    init_all(blocks, BATCH);
    assert_int_equal(yzi_sign_batch(&key, FRAME_REQUEST, headers, BATCH, blocks), 0);
    struct root_memory memory = {0};
    for (unsigned i = 0; i < BATCH; i++) {
        assert_int_equal(accept(&memory, FRAME_REQUEST, headers[i], yzi_bytes_buf(&blocks[i])), 0);
    }
    assert_int_equal(memory.misses, 1);
    assert_int_equal(memory.hits, BATCH - 1);
    for (unsigned i = 0; i < BATCH; i++) {
        yzi_buf_clear(&blocks[i]);
        assert_int_equal(yzi_sign_message(&key, FRAME_REQUEST, headers[i], &blocks[i]), 0);
        assert_int_equal(accept(&memory, FRAME_REQUEST, headers[i], yzi_bytes_buf(&blocks[i])), 0);
    }
    assert_int_equal(memory.misses, 1);
    assert_int_equal(memory.hits, BATCH - 1);
    fini_all(blocks, BATCH);
}

static void test_memory__does_not_vouch_for_another_signature_over_a_known_root(void **state)
{
    (void)state;
    yz_buf blocks[BATCH];
    init_all(blocks, BATCH);
    assert_int_equal(yzi_sign_batch(&key, FRAME_REQUEST, headers, BATCH, blocks), 0);
    struct root_memory memory = {0};
    struct signature_block b, genuine;
    assert_int_equal(yzi_block_parse(yzi_bytes_buf(&blocks[2]), &genuine), 0);
    assert_int_equal(yzi_verify_message(&memory, FRAME_REQUEST, headers[2], &genuine), 0);
    uint8_t garbage[64];
    for (unsigned i = 0; i < 1000; i++) {
        uint8_t seed[randombytes_SEEDBYTES] = {(uint8_t)i, (uint8_t)(i >> 8)};
        randombytes_buf_deterministic(garbage, sizeof garbage, seed);
        b = genuine;
        b.signature = yzi_bytes(garbage, sizeof garbage);
        assert_int_equal(yzi_verify_message(&memory, FRAME_REQUEST, headers[2], &b), YZ_ESIGNATURE);
    }
    b = genuine;
    b.key = yzi_bytes(other.public_key, 32);
    assert_int_equal(yzi_verify_message(&memory, FRAME_REQUEST, headers[2], &b), YZ_ESIGNATURE);
    assert_int_equal(yzi_verify_message(&memory, FRAME_RESPONSE, headers[2], &genuine),
                     YZ_ESIGNATURE);
    assert_int_equal(memory.hits, 0);
    assert_int_equal(yzi_verify_message(&memory, FRAME_REQUEST, headers[2], &genuine), 0);
    assert_int_equal(memory.hits, 1); /* garbage pushed nothing out */
    fini_all(blocks, BATCH);
}

static void test_memory__forgets_the_oldest_root(void **state)
{
    (void)state;
    enum { ROOTS = ROOT_MEMORY_SLOTS + 1 };
    yz_buf blocks[ROOTS][2];
    yz_bytes h[ROOTS][2];
    char names[ROOTS][8];
    struct root_memory memory = {0};
    for (unsigned i = 0; i < ROOTS; i++) {
        init_all(blocks[i], 2);
        snprintf(names[i], sizeof names[i], "n%u", i);
        h[i][0] = headers[0];
        h[i][1] = yzi_bytes_str(names[i]);
        assert_int_equal(yzi_sign_batch(&key, FRAME_REQUEST, h[i], 2, blocks[i]), 0);
        assert_int_equal(accept(&memory, FRAME_REQUEST, h[i][0], yzi_bytes_buf(&blocks[i][0])), 0);
    }
    assert_int_equal(memory.misses, ROOTS);
    for (unsigned i = 1; i < ROOTS; i++) {
        assert_int_equal(accept(&memory, FRAME_REQUEST, h[i][1], yzi_bytes_buf(&blocks[i][1])), 0);
    }
    assert_int_equal(memory.hits, ROOT_MEMORY_SLOTS);
    assert_int_equal(memory.misses, ROOTS);
    assert_int_equal(accept(&memory, FRAME_REQUEST, h[0][1], yzi_bytes_buf(&blocks[0][1])), 0);
    assert_int_equal(memory.misses, ROOTS + 1);
    for (unsigned i = 0; i < ROOTS; i++) {
        fini_all(blocks[i], 2);
    }
}

/* -- batches -- */

static void test_batch__verifies_at_every_small_size(void **state)
{
    (void)state;
    enum { MOST = 40 };
    yz_buf blocks[MOST];
    yz_bytes h[MOST];
    uint8_t bytes[MOST];
    for (unsigned n = 1; n <= MOST; n++) {
        init_all(blocks, n);
        for (unsigned i = 0; i < n; i++) {
            bytes[i] = (uint8_t)i;
            h[i] = yzi_bytes(&bytes[i], 1);
        }
        assert_int_equal(yzi_sign_batch(&key, FRAME_OUTCOME, h, n, blocks), 0);
        struct root_memory memory = {0};
        for (unsigned i = 0; i < n; i++) {
            assert_int_equal(accept(&memory, FRAME_OUTCOME, h[i], yzi_bytes_buf(&blocks[i])), 0);
        }
        fini_all(blocks, n);
    }
}

static void test_batch__holds_as_many_as_allowed(void **state)
{
    (void)state;
    size_t n = YZ_BATCH_MAX;
    yz_buf *blocks = calloc(n + 1, sizeof *blocks);
    yz_bytes *h = calloc(n + 1, sizeof *h);
    uint8_t(*bytes)[4] = calloc(n + 1, sizeof *bytes);
    assert_true(blocks && h && bytes);
    init_all(blocks, n + 1);
    for (size_t i = 0; i <= n; i++) {
        yzi_store_u32(bytes[i], (uint32_t)i);
        h[i] = yzi_bytes(bytes[i], 4);
    }
    assert_int_equal(yzi_sign_batch(&key, FRAME_REQUEST, h, n + 1, blocks), YZ_EINVAL);
    assert_int_equal(yzi_sign_batch(&key, FRAME_REQUEST, h, 0, blocks), YZ_EINVAL);
    assert_int_equal(yzi_sign_batch(&key, FRAME_REQUEST, h, n, blocks), 0);
    struct root_memory memory = {0};
    for (size_t i = 0; i < n; i += i % 977 + 1) {
        assert_int_equal(blocks[i].n, YZ_BLOCK_MAX);
        assert_int_equal(accept(&memory, FRAME_REQUEST, h[i], yzi_bytes_buf(&blocks[i])), 0);
    }
    assert_int_equal(memory.misses, 1);
    fini_all(blocks, n + 1);
    free(blocks);
    free(h);
    free(bytes);
}

static void test_batch__changes_no_block_when_one_has_no_room(void **state)
{
    (void)state;
    yz_buf blocks[BATCH];
    for (unsigned full = 0; full < BATCH; full++) {
        init_all(blocks, BATCH);
        yzi_buf_init(&blocks[full], 100);
        for (unsigned i = 0; i < BATCH; i++) {
            assert_int_equal(yzi_buf_put_str(&blocks[i], "x"), 0);
        }
        assert_int_equal(yzi_sign_batch(&key, FRAME_REQUEST, headers, BATCH, blocks), YZ_ELIMIT);
        for (unsigned i = 0; i < BATCH; i++) {
            assert_int_equal(blocks[i].n, 1);
        }
        fini_all(blocks, BATCH);
    }
    init_all(blocks, BATCH);
    for (unsigned i = 0; i < BATCH; i++) {
        assert_int_equal(yzi_buf_put_str(&blocks[i], "x"), 0);
    }
    assert_int_equal(yzi_sign_batch(&key, FRAME_REQUEST, headers, BATCH, blocks), 0);
    for (unsigned i = 0; i < BATCH; i++) {
        assert_int_equal(blocks[i].p[0], 'x'); /* appended */
        assert_int_equal(
            accept(NULL, FRAME_REQUEST, headers[i], yzi_bytes(blocks[i].p + 1, blocks[i].n - 1)),
            0);
    }
    fini_all(blocks, BATCH);
}

static int sign_everything(void *ctx)
{
    (void)ctx;
    struct key_pair *const keys[] = {&key, &other};
    yz_buf blocks[BATCH], record;
    init_all(blocks, BATCH);
    yzi_buf_init(&record, YZ_RECORD_MAX);
    int rc = yzi_sign_batch(&key, FRAME_REQUEST, headers, BATCH, blocks);
    struct record r;
    if (rc == 0) {
        rc = yzi_record_sign(RECORD_ANNOUNCEMENT, headers[0], keys, 2, &record);
    }
    if (rc == 0) {
        rc = yzi_record_parse(yzi_bytes_buf(&record), &r);
    }
    if (rc == 0) {
        rc = yzi_record_verify(&r, (const uint8_t(*)[32])key.public_key, 1, 1);
    }
    fini_all(blocks, BATCH);
    yzi_buf_fini(&record);
    return rc;
}

static void test_signing__survives_want_of_memory(void **state)
{
    (void)state;
    assert_true(yz_alloc_fail_each(sign_everything, NULL) > (int)BATCH);
}

/* -- threads -- */

#define THREADS 4u
#define ROUNDS 200u

static void *sign_many(void *number)
{
    uint8_t header[8] = {*(uint8_t *)number};
    YZ_AUTO(yzi_buf_fini) yz_buf block = {0};
    yzi_buf_init(&block, YZ_BLOCK_MAX);
    for (unsigned i = 0; i < ROUNDS; i++) {
        yzi_store_u32(header + 4, i);
        yzi_buf_clear(&block);
        if (yzi_sign_message(&key, FRAME_REQUEST, yzi_bytes(header, 8), &block) != 0 ||
            accept(NULL, FRAME_REQUEST, yzi_bytes(header, 8), yzi_bytes_buf(&block)) != 0) {
            return (void *)"a signature failed";
        }
    }
    return NULL;
}

static void test_held_key__signs_in_several_threads_at_once(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    uint8_t numbers[THREADS];
    yzi_key_pair_hold(&key);
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = (uint8_t)i;
        assert_int_equal(pthread_create(&threads[i], NULL, sign_many, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    yzi_key_pair_release(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch__has_the_documented_bytes),
        cmocka_unit_test(test_message__has_the_documented_bytes),
        cmocka_unit_test(test_rules__are_the_table_of_the_document),
        cmocka_unit_test(test_rules__separate_everything_that_is_signed),
        cmocka_unit_test(test_signing__refuses_every_key_of_another_use),
        cmocka_unit_test(test_block__refuses_every_flipped_bit),
        cmocka_unit_test(test_header__refuses_every_flipped_bit_and_other_length),
        cmocka_unit_test(test_message__is_of_one_kind),
        cmocka_unit_test(test_message__is_of_one_context),
        cmocka_unit_test(test_block__refuses_another_place_in_the_tree),
        cmocka_unit_test(test_message__refuses_keys_of_small_order),
        cmocka_unit_test(test_message__refuses_a_second_encoding_of_its_signature),
        cmocka_unit_test(test_memory__verifies_a_batch_once_and_single_messages_always),
        cmocka_unit_test(test_memory__does_not_vouch_for_another_signature_over_a_known_root),
        cmocka_unit_test(test_memory__forgets_the_oldest_root),
        cmocka_unit_test(test_batch__verifies_at_every_small_size),
        cmocka_unit_test(test_batch__holds_as_many_as_allowed),
        cmocka_unit_test(test_batch__changes_no_block_when_one_has_no_room),
        cmocka_unit_test(test_signing__survives_want_of_memory),
        cmocka_unit_test(test_held_key__signs_in_several_threads_at_once),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
