/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_answer_of_provider, yz_answer_value, yz_answer_json.
 *
 * The input is what a provider may have sealed: u16 length of the head ‖ head ‖ body. Whatever is
 * taken for an answer must be readable to its last value, and its JSON must be JSON with as many
 * records.
 */
#include <jansson.h>
#include <string.h>

#include "client/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has_decimals(const yz_answer *a)
{
    for (size_t i = 0; i < yz_answer_fields(a); i++) {
        if (yz_answer_field_type(a, i) == YZ_TYPE_DECIMAL) {
            return true; /* jansson takes no number beyond a double */
        }
    }
    return false;
}

static void read_all(const yz_answer *a)
{
    size_t bytes = 0;
    for (size_t row = 0; row < yz_answer_rows(a); row++) {
        for (size_t f = 0; f < yz_answer_fields(a); f++) {
            const void *p;
            size_t n;
            YZ_ASSERT(yz_answer_value(a, row, f, &p, &n) == 0);
            YZ_ASSERT(p || n == 0);
            for (size_t i = 0; i < n; i++) {
                bytes += ((const uint8_t *)p)[i] != 0;
            }
        }
    }
    YZ_ASSERT(bytes <= YZ_PLAIN_MAX);
    YZ_ASSERT(strlen(yz_answer_reason(a)) <= YZ_REASON_MAX);
    YZ_ASSERT(strlen(yz_answer_detail(a)) <= YZ_DETAIL_MAX);
}

static void read_json(const yz_answer *a, int pretty)
{
    char *text = NULL;
    YZ_ASSERT(yz_answer_json(a, pretty, &text) == 0);
    if (!has_decimals(a)) {
        json_t *root = json_loads(text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        YZ_ASSERT(root);
        YZ_ASSERT(json_array_size(json_object_get(root, "records")) == yz_answer_rows(a));
        json_decref(root);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    yz_reader r = {data, size};
    uint16_t head_n;
    struct plain plain = {.type = PLAIN_ANSWER};
    if (yzi_read_u16(&r, &head_n) < 0 || yzi_read_bytes(&r, head_n, &plain.head) < 0) {
        return 0;
    }
    plain.body = yzi_bytes(r.p, r.left);
    struct response_header h = {.status = RESPONSE_ANSWERED,
                                .node.v = yzi_bytes_str("CN/GOV/MCA/@a1")};
    yz_buf nothing = {0}; /* the body is ours, and outlives the answer */
    yz_answer *a = NULL;
    yz_error err;
    int rc = yzi_answer_of_provider(&h, &plain, &nothing, &a, &err);
    YZ_ASSERT(rc == YZ_OK || rc == YZ_EMALFORMED || rc == YZ_ENOMEM);
    if (rc == YZ_OK) {
        read_all(a);
        read_json(a, 0);
        read_json(a, 1);
        yz_answer_free(a);
    }
    return 0;
}
