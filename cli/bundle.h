/* SPDX-License-Identifier: Apache-2.0
 *
 * Directory bundles as files and answers. One that does not verify makes the exit code 5, whatever
 * is wrong with it.
 */
#ifndef YZ_CLI_BUNDLE_H
#define YZ_CLI_BUNDLE_H

#include "cli/cli.h"
#include "keys/directory.h"

#define BUNDLE_MAX ((size_t)512 * 1024 * 1024)

struct bundle_parts { /* views into the bundle, the list in the arena */
    yz_bytes manifest, *chunks;
    size_t n;
};
/* `where` is what the sentence begins with: a path, a socket. */
YZ_MUST_USE int yzi_bundle_split(struct cli *c, yz_bytes bundle, const char *where,
                                 struct bundle_parts *out);
/* *out holds one reference. */
YZ_MUST_USE int yzi_bundle_verify(struct cli *c, yz_bytes trusted_root,
                                  const struct bundle_parts *p, const char *where,
                                  const struct directory **out);
/* Put `where` before the sentence of a failed verification, and set the exit code. Returns rc. */
int yzi_bundle_refuse(struct cli *c, int rc, const char *where);

/* yz directory show */
YZ_MUST_USE int yzi_directory_show_run(struct cli *c);

#endif
