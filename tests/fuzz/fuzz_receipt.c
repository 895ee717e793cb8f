/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_receipt_parse, yzi_receipt_write, yzi_receipt_check, yzi_receipt_to_proof,
 * yzi_log_origin_parse.
 *
 * A receipt has one form: what parses is written as the same bytes.
 */
#include "evidence/receipt.h"
#include "proof/tlogproof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_proof(const struct receipt *r, unsigned i)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = TLOGPROOF_MAX};
    static struct tlogproof p;
    const yz_node_id broker = {yzi_bytes_str("CN/@b1")};
    const yz_digest digest = {{0}};
    YZ_ASSERT(yzi_receipt_to_proof(r, i, broker, &digest, &text) == 0);
    YZ_ASSERT(yzi_tlogproof_parse(yzi_bytes_buf(&text), &p) == 0);
    YZ_ASSERT(p.index == r->entries[i].index && p.path.n == r->entries[i].path.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = RECEIPT_BYTES_MAX};
    static struct receipt r;
    yz_bytes in = yzi_bytes(data, size);
    yz_node_id broker;
    uint64_t log;
    int rc = yzi_receipt_parse(in, &r);
    YZ_ASSERT(rc == 0 || rc == YZ_EMALFORMED || rc == YZ_EVERSION);
    if (rc == 0) {
        YZ_ASSERT(yzi_receipt_write(&r, &b) == 0);
        YZ_ASSERT(yzi_bytes_eq(in, yzi_bytes_buf(&b)));
        for (unsigned i = 0; i < r.entries_n; i++) {
            check_proof(&r, i);
        }
    }
    if (yzi_log_origin_parse(in, &broker, &log) == 0) {
        char origin[LOG_ORIGIN_MAX];
        yzi_log_origin(broker, log, origin);
        YZ_ASSERT(yzi_bytes_eq_str(in, origin));
    }
    return 0;
}
