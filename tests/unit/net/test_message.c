/* SPDX-License-Identifier: Apache-2.0
 *
 * net/message: ownership moves, bytes stay readable.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "net/message.h"

static void test_message__moves_and_copies(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "short",
                                        "one that does not fit into the struct of libzmq itself"};
    for (size_t i = 0; i < 3; i++) {
        struct message a = {0}, b = {0};
        assert_int_equal(yzi_message_copy(&a, yzi_bytes_str(texts[i])), 0);
        assert_true(yzi_bytes_eq_str(a.bytes, texts[i]));
        yzi_message_move(&b, &a);
        assert_false(a.live);
        memset(&a, 0xee, sizeof a); /* nothing of b lies in a */
        assert_true(yzi_bytes_eq_str(b.bytes, texts[i]));
        yzi_message_fini(&b);
        yzi_message_fini(&b);
        a = (struct message){0};
        yzi_message_move(&b, &a);
        assert_false(b.live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message__moves_and_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
