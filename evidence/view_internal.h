/* SPDX-License-Identifier: Apache-2.0
 *
 * A view from the inside: view.c decides, view_file.c keeps. Private to evidence/.
 */
#ifndef YZ_EVIDENCE_VIEW_INTERNAL_H
#define YZ_EVIDENCE_VIEW_INTERNAL_H

#include "evidence/view.h"

#define VIEW_CANDIDATES_MAX 16u
#define VIEW_ENDS_MAX 8u
#define VIEW_FILE_MAX 65536u

struct sighting { /* a checkpoint, and who showed it */
    uint64_t log, size;
    yz_digest root;
    uint8_t key[32];
    uint8_t signature[64];
    char from[YZ_ID_MAX + 1];
    unsigned refused;  /* how often the broker did not prove it */
    uint64_t retry_at; /* monotonic; not before */
};

struct log_view {
    struct log_view *next;
    char broker[YZ_ID_MAX + 1];
    yz_node_id node; /* view of broker */
    char *path, *broken_path;
    bool has_latest;
    struct sighting latest;
    struct sighting ends[VIEW_ENDS_MAX]; /* the last we held of earlier logs, the newest first */
    unsigned ends_n;
    struct sighting candidates[VIEW_CANDIDATES_MAX];
    unsigned candidates_n;
    bool changed; /* since it was kept */
    uint64_t looked_at;
    bool is_broken;
    char reason[400];

    /* the proof asked for: between these two, or that `newer` opens a log that follows ours */
    bool asking;
    uint8_t asked[CONSISTENCY_NAME_BYTES];
    struct sighting older, newer;
    uint64_t asked_at, ask_after;
};

/* The file's text, and back into an empty view of that broker. YZ_EMALFORMED, *out_line (may be
 * NULL) says where. */
YZ_MUST_USE int yzi_view_format(const struct log_view *v, yz_buf *out);
YZ_MUST_USE int yzi_view_parse(yz_bytes text, struct log_view *v, unsigned *out_line);
/* Read NAME.view, and whether NAME.equivocation is there. */
YZ_MUST_USE int yzi_view_load(struct log_view *v, yz_error *err);
YZ_MUST_USE int yzi_view_keep(struct log_view *v, yz_error *err);
/* Write NAME.equivocation: the sentence, and both checkpoints as signed notes. */
YZ_MUST_USE int yzi_view_keep_broken(const struct log_view *v, const struct sighting *a,
                                     const struct sighting *b, yz_error *err);
/* The first line of NAME.equivocation into v->reason, if it is there. */
void yzi_view_look_broken(struct log_view *v);

#endif
