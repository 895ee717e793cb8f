/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs that are short of memory: each of ours is built once more, its name with "-short" behind
 * it, with the allocator of all that is linked into it statically (our own code) wrapped. Started
 * with YZ_SHORT_MEMORY=<file>, it shares this struct with the test, which arms it while it runs.
 * Without it, or with nothing armed, it is the program itself. What libraries allocate never fails:
 * libzmq ends the process then.
 */
#ifndef YZ_TESTS_FAULTS_SHORT_MEMORY_H
#define YZ_TESTS_FAULTS_SHORT_MEMORY_H

#include <stdatomic.h>
#include <stdint.h>

struct short_memory {
    _Atomic uint64_t nth;   /* this allocation fails, counted by `seen`; 0: none */
    _Atomic uint64_t every; /* and each that `seen` divides by it; 0: none */
    _Atomic uint64_t seen, failed;
};

#endif
