/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: all of base/json.h.
 *
 * The input is a list of calls in any order. What the writer then calls right, another
 * implementation must read, and the same calls without indentation must mean the same; what it
 * calls wrong must be wrong for a reason it is allowed to give.
 */
#include <jansson.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

#define OUT_MAX 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A byte of length and as many bytes, or what is left. */
static yz_bytes take(yz_reader *r)
{
    uint8_t n = 0;
    yz_bytes v;
    yz_ignore(yzi_read_u8(r, &n), "at the end it is empty");
    YZ_ASSERT(yzi_read_bytes(r, n < r->left ? n : r->left, &v) == 0);
    return v;
}

static uint64_t take_u64(yz_reader *r)
{
    uint8_t p[8] = {0};
    yz_bytes v = take(r);
    if (v.n) {
        memcpy(p, v.p, v.n < 8 ? v.n : 8);
    }
    return yzi_load_u64(p);
}

static void play_value(struct json *j, uint8_t op, yz_reader *r)
{
    switch (op % 8) {
    case 0:
        yzi_json_text(j, take(r));
        break;
    case 1:
        yzi_json_u64(j, take_u64(r));
        break;
    case 2:
        yzi_json_i64(j, (int64_t)take_u64(r));
        break;
    case 3:
        yzi_json_bool(j, op & 8);
        break;
    case 4:
        yzi_json_str(j, NULL);
        break;
    case 5:
        yzi_json_hex(j, take(r));
        break;
    case 6:
        yzi_json_number(j, take(r));
        break;
    default:
        yzi_json_str(j, "a\"\n");
        break;
    }
}

static int play(yz_bytes calls, yz_buf *out, bool pretty)
{
    struct json j;
    yzi_json_init(&j, out, pretty);
    yz_reader r = yzi_reader(calls);
    uint8_t op;
    while (yzi_read_u8(&r, &op) == 0) {
        switch (op & 0xf0) {
        case '[' & 0xf0: /* so that a corpus of text is of use: [ ] { } stand for themselves */
            op == '[' ? yzi_json_array(&j) : yzi_json_array_end(&j);
            break;
        case '{' & 0xf0:
            op == '{' ? yzi_json_object(&j) : yzi_json_object_end(&j);
            break;
        case 'k' & 0xf0:
            yzi_json_key_bytes(&j, take(&r));
            break;
        default:
            play_value(&j, op, &r);
            break;
        }
    }
    return yzi_json_end(&j);
}

/* NULL when it is right but beyond what jansson can hold: a number too large, NUL in a key. */
static json_t *read_back(const yz_buf *out)
{
    json_error_t err;
    json_t *v = json_loadb((const char *)out->p, out->n,
                           JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &err);
    YZ_ASSERT(v || json_error_code(&err) == json_error_numeric_overflow ||
              json_error_code(&err) == json_error_null_byte_in_key);
    return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    yz_bytes calls = yzi_bytes(data, size);
    yz_buf plain, pretty;
    yzi_buf_init(&plain, OUT_MAX);
    yzi_buf_init(&pretty, OUT_MAX);
    int rc = play(calls, &plain, false), pretty_rc = play(calls, &pretty, true);
    YZ_ASSERT(rc == 0 || rc == YZ_EINTERNAL || rc == YZ_EMALFORMED || rc == YZ_ELOOP ||
              rc == YZ_ELIMIT);
    YZ_ASSERT(pretty_rc == rc || pretty_rc == YZ_ELIMIT); /* which indentation reaches earlier */
    if (rc == 0) {
        YZ_ASSERT(yzi_utf8_is_valid(yzi_bytes_buf(&plain)));
        json_t *v = read_back(&plain);
        if (v && pretty_rc == 0) {
            json_t *w = read_back(&pretty);
            YZ_ASSERT(w && json_equal(v, w));
            json_decref(w);
        }
        json_decref(v);
    }
    yzi_buf_fini(&plain);
    yzi_buf_fini(&pretty);
    return 0;
}
