/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_view_parse, yzi_view_format, yzi_opening_next.
 *
 * A file of a view whose broker is CN/@b1; what parses is written as the same text. An input that
 * begins with a zero byte is a list of openings instead.
 */
#include "evidence/opening.h"
#include "evidence/view_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_openings(yz_bytes in)
{
    yz_reader r = yzi_reader(in);
    struct opening o;
    const yz_digest root = {{0}};
    while (r.left > 0) {
        int rc = yzi_opening_next(&r, 100, &root, &o);
        YZ_ASSERT(rc == YZ_EMALFORMED || rc == YZ_ESIGNATURE);
        if (rc != YZ_ESIGNATURE) {
            return;
        }
        YZ_ASSERT(o.index < 100 && o.entry.type == ENTRY_OPENING);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct log_view v;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1 << 20};
    yz_bytes in = yzi_bytes(data, size);
    unsigned line = 0;
    if (size > 0 && data[0] == 0) {
        fuzz_openings(yzi_bytes(data + 1, size - 1));
        return 0;
    }
    memset(&v, 0, sizeof v);
    snprintf(v.broker, sizeof v.broker, "CN/@b1");
    v.node.v = yzi_bytes_str(v.broker);
    int rc = yzi_view_parse(in, &v, &line);
    YZ_ASSERT(rc == 0 || rc == YZ_EMALFORMED);
    if (rc == 0) {
        YZ_ASSERT(yzi_view_format(&v, &b) == 0);
        if (v.ends_n == 0 || v.candidates_n == 0) { /* their lines may stand in any order */
            YZ_ASSERT(yzi_bytes_eq(in, yzi_bytes_buf(&b)));
        }
    } else {
        YZ_ASSERT(line > 0);
    }
    return 0;
}
