/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_scan_json (an array behind a path, an array, lines), with it yzi_normalise and the
 * mapper.
 *
 * The first byte chooses how the file is read; the rest is the file.
 */
#include "tests/fuzz/fuzz_import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dataset *d;
    static struct dataset_path path;
    if (!d) {
        YZ_ASSERT(yzi_dataset_parse(yzi_bytes_str(import_yaml), "all.yaml", &d, NULL) == 0);
        path = d->json.path;
    }
    if (size < 1) {
        return 0;
    }
    d->json.path = data[0] & 1 ? path : (struct dataset_path){0};
    import_twice(d, data[0] & 2 ? FORMAT_JSONL : FORMAT_JSON, yzi_bytes(data + 1, size - 1));
    return 0;
}
