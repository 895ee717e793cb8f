/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes the n-th allocation fail, to see that running out of memory at any point is an error that
 * leaks nothing. Works at link time (library yz_test_alloc): it sees the calls of malloc, calloc,
 * realloc and free in our own code and in the test, not those inside shared libraries (libsodium's
 * guarded memory, strdup). Each thread has its own count, so other threads do not disturb it.
 */
#ifndef YZ_TESTS_SUPPORT_ALLOC_FAIL_H
#define YZ_TESTS_SUPPORT_ALLOC_FAIL_H

#include <stddef.h>

/* The n-th allocation of this thread from now on fails, once; 0: none does. Begins to watch: blocks
 * allocated from now on are counted by yz_alloc_fail_stop until they are freed. */
void yz_alloc_fail_start(size_t nth);

/* Allocations seen since start (failed ones included), and how many blocks of them this thread has
 * not freed. Ends the watch. */
struct alloc_fail_result {
    size_t calls, live;
    int failed; /* the n-th allocation was reached and refused */
};
struct alloc_fail_result yz_alloc_fail_stop(void);

/* For flows that also run code which must not fail (puppets, the test itself): the n-th allocation
 * of this thread, counted only between resume and pause, fails, once. Paused at first; blocks are
 * not counted. Ends with yz_alloc_fail_stop. */
void yz_alloc_fail_arm(size_t nth);
void yz_alloc_fail_resume(void);
void yz_alloc_fail_pause(void);
int yz_alloc_fail_hit(void); /* it has failed */

/* The same for the threads with these ids (gettid), at most 16, all together and without pausing:
 * the n-th allocation of any of them fails, once. For the workers of what is tested; ends with
 * yz_alloc_fail_in(NULL, 0, 0). Gives whether that before it has failed. */
int yz_alloc_fail_in(const int *tids, size_t n, size_t nth);
int yz_alloc_fail_in_hit(void);

/* Call run(ctx) with its first allocation failing, then with its second, and so on until it gets by
 * without a failure. `run` frees everything it made, whatever happens, and returns the code of the
 * first call that failed. Gives the number of allocations failed, or -1 with words on stderr when a
 * run did not return YZ_ENOMEM, left a block behind, or the last did not return 0. */
int yz_alloc_fail_each(int (*run)(void *ctx), void *ctx);

#endif
