/* SPDX-License-Identifier: Apache-2.0
 *
 * Bad disks without a bad disk: a shim before the C library that makes chosen calls on chosen files
 * fail, write only half, or kill the process, at the n-th of them. Two ways to use it:
 *
 *  - In this process: link yz_test_io and use io_faults_local(). What our code and the libraries it
 *    loads (LMDB) call is then seen; what the C library does inside itself (stdio) is not.
 *  - In another program, a daemon: start it with LD_PRELOAD=build/.../lib/libyz_shim_io.so and
 *    YZ_IO_CONTROL=<file made by io_faults_create>. Both see the same memory, so that faults can be
 *    armed and counted while it runs, and it inherits them to what it starts. A program without
 *    YZ_IO_CONTROL, or with a file that is none, runs as if the shim were not there. Under
 *    AddressSanitizer preloading needs ASAN_OPTIONS=verify_asan_link_order=0.
 *
 * What counts: calls of a kind in `kinds`, made on a regular file or a folder (sockets, pipes,
 * eventfds and terminals never count) whose path begins with `folder`, which is absolute, without
 * symbolic links, and holds `name` ("": every path). Renaming and linking count when the new name
 * does. From `nth` on, counted from io_faults_arm, `times` such calls are harmed as `harm` says;
 * `seen` and `failed` count until it is armed again. io_faults_arm(f, kinds, 0, ...) only counts:
 * run once like that to learn how many calls there are, then fail each.
 *
 * Fields are atomics, but io_faults_arm sets several: call it while the other side does nothing, or
 * does not mind. Any thread may make calls meanwhile.
 */
#ifndef YZ_TESTS_FAULTS_SHIM_IO_H
#define YZ_TESTS_FAULTS_SHIM_IO_H

#include <stdatomic.h>
#include <stdint.h>

enum {
    IO_WRITE = 1u << 0,  /* write, writev, pwrite, pwritev */
    IO_SYNC = 1u << 1,   /* fsync, fdatasync, msync; sync_file_range */
    IO_RENAME = 1u << 2, /* rename, renameat, renameat2 */
    IO_LINK = 1u << 3,   /* link, linkat */
    IO_CREATE = 1u << 4, /* open and openat with O_CREAT; mkdir, mkdirat */
    IO_SIZE = 1u << 5,   /* ftruncate, truncate, fallocate, posix_fallocate */
    IO_UNLINK = 1u << 6, /* unlink, unlinkat, rmdir */
    IO_OPEN = 1u << 7,   /* open and openat without O_CREAT */
    IO_CHANGES = IO_WRITE | IO_SYNC | IO_RENAME | IO_LINK | IO_CREATE | IO_SIZE | IO_UNLINK,
};

enum io_harm {
    IO_FAIL,  /* nothing is done, `error` is the reason */
    IO_SHORT, /* a write does half (at least one byte) and says so; other kinds: as IO_FAIL */
    IO_TORN,  /* a write does half, then fails with `error`; other kinds: as IO_FAIL */
    IO_LATE,  /* all is done, and `error` is said nevertheless: the outcome is unknown */
    IO_LAST, /* the first as IO_LATE, those after it as IO_FAIL: a disk goes with the last it did */
    IO_KILL_BEFORE, /* SIGKILL before the call */
    IO_KILL_TORN,   /* SIGKILL when half is written; other kinds: as IO_KILL_BEFORE */
    IO_KILL_AFTER,  /* SIGKILL when it is done, before the caller learns of it */
};
#define IO_ALWAYS UINT32_MAX /* for `times` */

struct io_faults {
    uint64_t magic;
    char folder[512], name[128];
    _Atomic uint32_t kinds, harm, times;
    _Atomic int32_t error; /* ENOSPC, EIO, EROFS, EDQUOT, ... */
    _Atomic uint64_t nth;  /* 1 is the first; 0: none */
    _Atomic uint64_t seen, failed;
};

/* The faults of this process (one that links the shim): nothing is armed. Owned by the shim. */
struct io_faults *io_faults_local(void);
/* Make the control file and map it. Aborts the program when it cannot: it is a test. */
struct io_faults *io_faults_create(const char *control_file);
void io_faults_free(struct io_faults *f);
/* Which files; nothing is counted before. The folder must exist. */
void io_faults_watch(struct io_faults *f, const char *folder, const char *name);
/* From now on, `times` calls of these kinds beginning with the n-th. */
void io_faults_arm(struct io_faults *f, uint32_t kinds, uint64_t nth, uint32_t times,
                   enum io_harm harm, int error);
/* No faults, no counting; `seen` and `failed` stay to be read. */
void io_faults_disarm(struct io_faults *f);

#endif
