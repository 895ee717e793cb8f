/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_keyfile_parse, yzi_keyfile_format.
 *
 * The first byte chooses the use asked for, the rest is the text. A text is refused, or is exactly
 * what formatting the pair gives; and no text is good for two uses.
 */
#include "keys/keyfile.h"

#define USES_N 10u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    enum key_use use = (enum key_use)(1 + data[0] % USES_N);
    yz_bytes text = yzi_bytes(data + 1, size - 1);
    struct key_pair k = {0}, other = {0};
    unsigned line = 99;
    int rc = yzi_keyfile_parse(text, use, &k, &line);
    if (rc != 0) {
        YZ_ASSERT(rc == YZ_EMALFORMED || rc == YZ_EINVAL || rc == YZ_ESIGNATURE);
        YZ_ASSERT(line <= 5 && (line == 0) == (rc == YZ_ESIGNATURE));
        YZ_ASSERT(!k.secret.p);
        return 0;
    }
    YZ_ASSERT(line == 99 && k.use == use);
    yz_buf again;
    yzi_buf_init(&again, text.n);
    YZ_ASSERT(yzi_keyfile_format(&k, &again) == 0);
    YZ_ASSERT(yzi_bytes_eq(text, yzi_bytes_buf(&again)));
    enum key_use next = (enum key_use)(1 + use % USES_N);
    YZ_ASSERT(yzi_keyfile_parse(text, next, &other, &line) == YZ_EINVAL && line == 2);
    yzi_buf_wipe(&again);
    yzi_key_pair_fini(&k);
    return 0;
}
