/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: yzi_config_parse, yzi_config_dump (and below them yzi_config_tree,
 * yzi_config_fill, libfyaml's event parser).
 *
 * Any text is either a fault, told in one valid sentence and with the target untouched, or a
 * configuration whose dump parses back and dumps to the same bytes.
 */
#include "base/config.h"
#include "base/text.h"
#include "tests/unit/base/config_example.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libfyaml [0.7.12] loses the text of some quoted keys it then refuses. Once, for a file nobody
 * goes on with. That we give back all the library gave us is seen by test_config, which has no such
 * excuse. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml";
}

static void check_fault(int rc, const yz_error *err, const struct example *target)
{
    YZ_ASSERT(rc == YZ_ECONFIG || rc == YZ_ELIMIT);
    YZ_ASSERT(err->code == rc);
    YZ_ASSERT(strncmp(err->text, "f:", 2) == 0);
    for (const char *c = err->text; *c; c++) {
        YZ_ASSERT((unsigned char)*c >= 0x20 && *c != 0x7f);
    }
    YZ_ASSERT(yzi_utf8_is_valid(yzi_bytes_str(err->text)));
    for (size_t i = 0; i < sizeof *target; i++) {
        YZ_ASSERT(((const uint8_t *)target)[i] == 0x5a);
    }
}

static void check_dump(const struct example *first, struct arena *arena)
{
    YZ_AUTO(yzi_buf_fini) yz_buf one = {0};
    YZ_AUTO(yzi_buf_fini) yz_buf two = {0};
    struct example again;
    yz_error err;
    yzi_buf_init(&one, (size_t)8 << 20);
    yzi_buf_init(&two, (size_t)8 << 20);
    YZ_ASSERT(yzi_config_dump(example_fields, first, &one) == YZ_OK);
    int rc = yzi_config_parse(yzi_bytes_buf(&one), "f", "/elsewhere", example_fields, arena, &again,
                              &err);
    if (one.n > (size_t)1 << 20) { /* comments and quotes may carry it over what is read */
        YZ_ASSERT(rc == YZ_ECONFIG);
        return;
    }
    YZ_ASSERT(rc == YZ_OK);
    YZ_ASSERT(yzi_config_dump(example_fields, &again, &two) == YZ_OK);
    YZ_ASSERT(yzi_bytes_eq(yzi_bytes_buf(&one), yzi_bytes_buf(&two)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena = {0};
    yzi_arena_init(&arena, (size_t)16 << 20);
    struct example target;
    yz_error err = {0};
    memset(&target, 0x5a, sizeof target);
    int rc = yzi_config_parse(yzi_bytes(data, size), "f", "/etc/yz", example_fields, &arena,
                              &target, &err);
    if (rc < 0) {
        check_fault(rc, &err, &target);
    } else {
        check_dump(&target, &arena);
    }
    return 0;
}
