/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_scan_xml, with and without DOCTYPE, and yzi_decoder_feed before it.
 *
 * The first byte chooses how the file is read; the rest is the file.
 */
#include "tests/fuzz/fuzz_import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dataset *d;
    if (!d) {
        YZ_ASSERT(yzi_dataset_parse(yzi_bytes_str(import_yaml), "all.yaml", &d, NULL) == 0);
    }
    if (size < 1) {
        return 0;
    }
    d->xml.doctype = data[0] & 1;
    d->xml.anchored = data[0] & 2;
    d->xml.encoding = data[0] & 4 ? ENCODING_GB18030 : ENCODING_UTF8;
    import_twice(d, FORMAT_XML, yzi_bytes(data + 1, size - 1));
    return 0;
}
