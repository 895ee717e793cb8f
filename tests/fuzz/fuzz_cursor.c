/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: yzi_cursor_open. Bytes nobody sealed are no cursor; what was sealed comes back whole, and
 * with any byte of it replaced it is none.
 */
#include <stddef.h>
#include <stdint.h>

#include "adapters/dataset/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[CURSOR_KEY_BYTES] = {7};

static struct cursor_binding binding(void)
{
    return (struct cursor_binding){.node.v = yzi_bytes_str("CN/GOV/MCA/@a1"),
                                   .consumer.v = yzi_bytes_str("CN/GOV/HB/window"),
                                   .service.v = yzi_bytes_str("CN/GOV/MCA/civil/marriage/v1"),
                                   .grant = yzi_bytes_str("g"),
                                   .policy_version = 1,
                                   .generation = 1};
}

static int open_it(yz_bytes cursor, yz_buf *position)
{
    struct cursor_binding b = binding();
    const char *reason = NULL;
    yzi_buf_init(position, CURSOR_POSITION_MAX);
    int rc = yzi_cursor_open(key, &b, 1, cursor, position, &reason);
    YZ_ASSERT(rc == 0 || (rc == YZ_EINVAL && reason));
    YZ_ASSERT(rc == 0 || position->n == 0);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor_binding b = binding();
    yz_bytes input = yzi_bytes(data, size);
    yz_buf position, cursor;
    YZ_ASSERT(open_it(input, &position) == YZ_EINVAL);
    yzi_buf_fini(&position);
    yzi_buf_init(&cursor, YZ_CURSOR_MAX);
    int rc = yzi_cursor_seal(key, &b, 1, input, &cursor);
    YZ_ASSERT(rc == 0 || (rc == YZ_EINVAL && (size == 0 || size > CURSOR_POSITION_MAX)));
    if (rc == 0) {
        YZ_ASSERT(open_it(yzi_bytes_buf(&cursor), &position) == 0);
        YZ_ASSERT(yzi_bytes_eq(yzi_bytes_buf(&position), input));
        yzi_buf_fini(&position);
        cursor.p[data[0] % cursor.n] ^= (uint8_t)(size | 1);
        YZ_ASSERT(open_it(yzi_bytes_buf(&cursor), &position) == YZ_EINVAL);
        yzi_buf_fini(&position);
    }
    yzi_buf_fini(&cursor);
    return 0;
}
