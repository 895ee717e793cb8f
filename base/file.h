/* SPDX-License-Identifier: Apache-2.0
 *
 * Files: whole reads with a limit, atomic durable writes, and the ownership checks key files need.
 * Errors carry the path and the system's reason in `err`; besides those named, YZ_EPERM says that
 * the system refused us access. Any thread.
 */
#ifndef YZ_BASE_FILE_H
#define YZ_BASE_FILE_H

#include "base/bytes.h"

/* Append the whole regular file to `out` (initialised, its max is the limit: YZ_ETOOBIG beyond),
 * which on failure is as it was. YZ_ENOTFOUND, YZ_EIO (also: not a regular file), YZ_ENOMEM. */
YZ_MUST_USE int yzi_file_read(const char *path, yz_buf *out, yz_error *err);
/* The same of an open descriptor, from its beginning; `name` is for the message. A pipe or socket,
 * which could make us wait, is YZ_EIO. */
YZ_MUST_USE int yzi_file_read_fd(int fd, const char *name, yz_buf *out, yz_error *err);
/* Write there, likewise a regular file. YZ_EDISKFULL, YZ_EIO. */
YZ_MUST_USE int yzi_file_write_fd(int fd, const char *name, yz_bytes content, yz_error *err);
/* The same for secrets: additionally refuses (YZ_EPERM) a file that is not ours, is not regular, or
 * that group or others may read or write, or whose folder they may write (a sticky one is fine) or
 * is neither ours nor root's; the message tells the chmod to run. */
YZ_MUST_USE int yzi_file_read_private(const char *path, yz_buf *out, yz_error *err);
/* Write to a temporary beside it, fsync, rename over, fsync the folder: afterwards the file is the
 * old or the new one, whole. A symbolic link in its place is replaced, not followed. mode e.g.
 * 0644, 0600, whatever the umask. YZ_EDISKFULL, YZ_EIO. */
YZ_MUST_USE int yzi_file_write(const char *path, yz_bytes content, unsigned mode, yz_error *err);
/* The same without waiting for the disk: it survives the process, but after a loss of power the
 * file is the old one, the new one, or broken. For who can tell, and cannot wait. */
YZ_MUST_USE int yzi_file_write_cached(const char *path, yz_bytes content, unsigned mode,
                                      yz_error *err);
/* As above, but YZ_EEXIST when the file is there already. */
YZ_MUST_USE int yzi_file_create(const char *path, yz_bytes content, unsigned mode, yz_error *err);
/* Create the folder and its parents as needed, all with `mode` less the umask, and make that
 * durable; an existing folder is fine. YZ_EEXIST when something else is in the way. */
YZ_MUST_USE int yzi_dir_make(const char *path, unsigned mode, yz_error *err);
bool yzi_file_exists(const char *path);
/* "dir/name" in a malloc'd string; an absolute `name` is returned as it is. YZ_ENOMEM. */
YZ_MUST_USE int yzi_path_join(const char *dir, const char *name, char **out);
/* The folder part of a path ("." when none), malloc'd. */
YZ_MUST_USE int yzi_path_dir(const char *path, char **out);
/* Hold an exclusive lock on path (created 0600) for the life of the process or until close(*fd).
 * YZ_EBUSY when another process holds it (its pid is in the message). */
YZ_MUST_USE int yzi_file_lock(const char *path, int *out_fd, yz_error *err);

#endif
