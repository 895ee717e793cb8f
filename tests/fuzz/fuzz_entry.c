/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_entry_parse, yzi_entry_message_parse, yzi_refusals_parse, yzi_pruning_parse,
 * yzi_log_end_parse.
 *
 * The first byte is the type of an entry whose body follows; 0: an entry itself follows.
 */
#include "proto/entry.h"
#include "proto/evidence.pb-c.h"
#include "tests/fuzz/agree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_entry(yz_bytes in)
{
    struct entry e;
    uint8_t again[YZ_ENTRY_BYTES];
    if (yzi_entry_parse(in, &e) == 0) {
        yzi_entry_write(&e, again);
        YZ_ASSERT(yzi_bytes_eq(in, yzi_bytes(again, sizeof again)));
        YZ_ASSERT(yzi_entry_type_name(e.type)[0] != '?');
    }
}

static void fuzz_message(yz_bytes in)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1 << 20};
    yz_bytes header, block;
    if (yzi_entry_message_parse(in, &header, &block) == 0) {
        YZ_ASSERT(yzi_entry_message_write(header, block, &b) == 0);
        YZ_ASSERT(yzi_bytes_eq(in, yzi_bytes_buf(&b)));
    }
}

static void fuzz_refusals(yz_bytes in)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1 << 20};
    struct refusals r;
    if (yzi_refusals_parse(in, &r) == 0) {
        YZ_ASSERT(yzi_refusals_write(&r, &b) == 0);
        yz_fuzz_agree(&yizhan__wire__refusals__descriptor, in, yzi_bytes_buf(&b));
    }
}

static void fuzz_pruning(yz_bytes in)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1 << 20};
    struct pruning p;
    if (yzi_pruning_parse(in, &p) == 0) {
        YZ_ASSERT(yzi_pruning_write(&p, &b) == 0);
        yz_fuzz_agree(&yizhan__wire__pruning__descriptor, in, yzi_bytes_buf(&b));
    }
}

static void fuzz_log_end(yz_bytes in)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1 << 20};
    struct log_end e;
    if (yzi_log_end_parse(in, &e) == 0) {
        YZ_ASSERT(yzi_log_end_write(&e, &b) == 0);
        yz_fuzz_agree(&yizhan__wire__log_end__descriptor, in, yzi_bytes_buf(&b));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(yz_bytes) = {
        [0] = fuzz_entry,
        [ENTRY_REQUEST] = fuzz_message,
        [ENTRY_REFUSALS] = fuzz_refusals,
        [ENTRY_PRUNING] = fuzz_pruning,
        [ENTRY_OPENING] = fuzz_log_end,
    };
    if (size > 0 && data[0] < sizeof targets / sizeof targets[0] && targets[data[0]]) {
        targets[data[0]](yzi_bytes(data + 1, size - 1));
    }
    return 0;
}
