/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking bundles apart and verifying them.
 */
#include "cli/bundle.h"

int yzi_bundle_refuse(struct cli *c, int rc, const char *where)
{
    bool ours = rc == YZ_ENOMEM || rc == YZ_ELIMIT;
    yzi_error_prefix(yzi_cli_error(c), "%s", where);
    yzi_cli_exit_with(c, ours ? EXIT_FAILED : EXIT_UNVERIFIED);
    return rc;
}

int yzi_bundle_split(struct cli *c, yz_bytes bundle, const char *where, struct bundle_parts *out)
{
    struct bundle_parts p = {.n = YZ_MANIFEST_CHUNKS_MAX};
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), p.n, sizeof *p.chunks, &p.chunks));
    int rc = yzi_directory_bundle_parse(bundle, &p.manifest, p.chunks, &p.n);
    if (rc < 0) {
        yzi_fail(yzi_cli_error(c), rc, "not a directory bundle, or damaged");
        return yzi_bundle_refuse(c, rc, where);
    }
    *out = p;
    return YZ_OK;
}

int yzi_bundle_verify(struct cli *c, yz_bytes trusted_root, const struct bundle_parts *p,
                      const char *where, const struct directory **out)
{
    int rc =
        yzi_directory_verify(trusted_root, p->manifest, p->chunks, p->n, out, yzi_cli_error(c));
    return rc < 0 ? yzi_bundle_refuse(c, rc, where) : YZ_OK;
}
