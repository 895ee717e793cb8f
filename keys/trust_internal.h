/* SPDX-License-Identifier: Apache-2.0
 *
 * Trust, inside: what is kept in the home (trust_files.c), what is being fetched (trust_pending.c),
 * and what is believed (trust.c). The mutex guards the fields any thread may ask for; everything
 * else belongs to the owner.
 *
 * Order of writing when a version is adopted, so that a crash between any two leaves a home that
 * opens, and never with less than was in force: roots (a newer root statement), statements (what
 * the new version would lose), directory.bundle, memory, and then statements without what the new
 * version includes. What a crash leaves behind too much is recognised on opening and ignored.
 */
#ifndef YZ_KEYS_TRUST_INTERNAL_H
#define YZ_KEYS_TRUST_INTERNAL_H

#include <pthread.h>

#include "keys/directory_internal.h"
#include "keys/trust.h"

#define TRUST_ROOTS_MAX (16u * 1024u * 1024u)
#define TRUST_STATEMENTS_MAX (1024u * 1024u * 1024u)
#define TRUST_BUNDLE_MAX (YZ_BUNDLE_BYTES_MAX + 2u * YZ_RECORD_MAX)

enum trust_file {
    TRUST_FILE_ANCHOR,
    TRUST_FILE_ROOTS,
    TRUST_FILE_BUNDLE,
    TRUST_FILE_STATEMENTS,
    TRUST_FILE_FRESHNESS,
    TRUST_FILE_MEMORY,
    TRUST_FILE_LOCK,
    TRUST_FILES_N
};

/* The highest ever seen; 0: none yet. */
struct trust_memory {
    uint64_t version;
    yz_digest manifest; /* SHA-256 of the manifest's body */
    uint64_t freshness; /* its time */
};

/* A directory being fetched. Zeroed: none. */
struct trust_pending {
    bool used;
    bool verified; /* its operators are those of a root statement we trust */
    struct arena arena;
    yz_buf record;
    struct record r;
    struct manifest manifest;
    yz_buf *chunks; /* manifest.chunks_n; empty: missing */
    size_t missing;
};

struct trust {
    const struct clock *clock;
    uint64_t warn_ms, stop_ms;
    char *files[TRUST_FILES_N];
    char *given_anchor;   /* may be NULL */
    yz_buf roots;         /* root statements trusted, oldest first, concatenated */
    yz_bytes root;        /* the newest of them, a view; empty: none */
    yz_buf freshness;     /* of the version in force */
    yz_digest statements; /* SHA-256 of the file as we last saw it */
    struct trust_pending pending, probe;
    bool probing; /* the manifest offered last is the probe */
    _Atomic uint64_t conflicts;
    pthread_mutex_t lock; /* guards what follows against other threads' reading */
    const struct directory *directory;
    struct trust_memory memory;
};

/* -- files -- (trust_files.c) -- errors name the file */
YZ_MUST_USE int yzi_trust_files_init(struct trust *t, const struct trust_options *o, yz_error *err);
void yzi_trust_files_fini(struct trust *t);
/* Hold the home against other processes until close(*out_fd); waits for them. */
YZ_MUST_USE int yzi_trust_files_lock(struct trust *t, int *out_fd, yz_error *err);
/* Append the file; an absent one is empty (*out_found false). */
YZ_MUST_USE int yzi_trust_file_read(const struct trust *t, enum trust_file f, yz_buf *out,
                                    bool *out_found, yz_error *err);
YZ_MUST_USE int yzi_trust_file_write(const struct trust *t, enum trust_file f, yz_bytes content,
                                     yz_error *err);
/* "…/roots: " and what is in err already, as YZ_ECORRUPT; out of memory stays what it is. */
int yzi_trust_corrupt(const struct trust *t, enum trust_file f, int rc, yz_error *err);
YZ_MUST_USE int yzi_trust_memory_read(const struct trust *t, struct trust_memory *out,
                                      yz_error *err);
YZ_MUST_USE int yzi_trust_memory_write(const struct trust *t, const struct trust_memory *m,
                                       yz_error *err);
/* Read everything there is into a fresh trust. */
YZ_MUST_USE int yzi_trust_load(struct trust *t, yz_error *err);

/* -- roots -- (trust_files.c) */
/* Add a statement that follows; memory only. */
YZ_MUST_USE int yzi_trust_root_add(struct trust *t, yz_bytes record);
/* The one trusted that says whether `record` may be: of the same version if there is one, else the
 * newest. Empty when there is none. */
yz_bytes yzi_trust_root_for(const struct trust *t, yz_bytes record);

/* -- pending -- (trust_pending.c) */
void yzi_trust_pending_fini(struct trust_pending *p);
void yzi_trust_pending_clear(struct trust *t);
bool yzi_trust_pending_complete(const struct trust *t);

/* -- in force -- (trust.c) */
/* Verify a freshness record against the directory in force: signature, instance, root hash. */
YZ_MUST_USE int yzi_trust_check_freshness(const struct directory *d, const struct record *r,
                                          struct freshness *out, yz_error *err);
void yzi_trust_manifest_digest(const struct directory *d, yz_digest *out);
/* Lay the kept sets of a concatenation over *d (replaced); counts contradictions. */
YZ_MUST_USE int yzi_trust_keep_sets(struct trust *t, yz_bytes records, const struct directory **d,
                                    yz_error *err);

#endif
