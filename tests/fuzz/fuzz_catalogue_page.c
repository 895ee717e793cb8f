/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_catalogue_pages_take.
 *
 * The input is what a broker may send as pages of the catalogue, cut into two at its first byte.
 * What is taken is whole offers in an order that only rises, and all of the bytes.
 */
#include "client/catalogue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct catalogue_pages *p, size_t taken)
{
    size_t bytes = 0;
    for (size_t i = 0; i < p->n; i++) {
        struct record r;
        YZ_ASSERT(yzi_record_parse(p->offers[i], &r) == 0 && r.kind == RECORD_OFFER);
        bytes += p->offers[i].n;
    }
    YZ_ASSERT(bytes == taken);
    YZ_ASSERT((p->n > 0) == (p->last[0] != '\0'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct catalogue_pages p;
    yz_error err = {0};
    size_t cut = size ? data[0] * 4u : 0, taken = 0;
    yz_bytes rest = yzi_bytes(data + (size > 0), size - (size > 0));
    cut = cut < rest.n ? cut : rest.n;
    yzi_catalogue_pages_init(&p);
    int rc = yzi_catalogue_pages_take(&p, yzi_bytes(rest.p, cut), &err);
    taken = rc == 0 ? cut : 0;
    if (rc == 0) {
        YZ_ASSERT(p.complete == (cut == 0));
        rc = yzi_catalogue_pages_take(&p, yzi_bytes(rest.p + cut, rest.n - cut), &err);
        taken = rest.n;
    }
    if (rc == 0) {
        check(&p, taken);
    } else {
        YZ_ASSERT(rc == YZ_EMALFORMED && err.text[0]);
    }
    yzi_catalogue_pages_fini(&p);
    return 0;
}
