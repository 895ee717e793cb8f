/* SPDX-License-Identifier: Apache-2.0
 *
 * A data set's records in its own LMDB environment: records by key with the change sequence, and
 * the definition's digest. Values of fields classified sensitive or higher are encrypted with the
 * data set's key (associated data: data set, record, field); where such a field is part of the key,
 * the stored key holds a keyed hash instead of the value.
 *
 * Threads: imports and changes of the definition from the one writer thread; everything else from
 * any thread. A query is one read transaction, ended before the function returns.
 */
#ifndef YZ_DATASET_STORE_H
#define YZ_DATASET_STORE_H

#include <stdatomic.h>

#include "adapters/dataset/definition.h"
#include "base/secret.h"
#include "proto/payload.h"

struct store;
struct clock;

struct store_options {
    const char *dir;               /* created 0700 when absent */
    const struct dataset *dataset; /* the store takes a reference of its own */
    yz_secret *storage_key;        /* 32 bytes, borrowed until close; may be NULL when no field is
                                      sensitive (YZ_EINVAL otherwise) */
    const char *keys_dir;          /* where this data set has its own key, created 0700 when absent;
                                      NULL: it is under the storage key, and cannot be rotated */
    const struct clock *clock;     /* borrowed; NULL: the system's */
    bool read_only;
};
/* YZ_ECONFIG when the store was made from an incompatible definition (which field, what to do);
 * YZ_EBUSY, YZ_ECORRUPT, YZ_EIO, YZ_EDISKFULL. */
YZ_MUST_USE int yzi_store_open(const struct store_options *o, struct store **out, yz_error *err);
/* Another holder; each closes it, and with the last it is closed. Any thread. */
struct store *yzi_store_ref(struct store *s); /* gives s */
void yzi_store_close(struct store *s);
/* The definition in force. Writer thread only, and good until it changes the definition. */
const struct dataset *yzi_store_dataset(const struct store *s);
/* The same with a reference for the caller. Any thread. */
const struct dataset *yzi_store_ref_dataset(struct store *s);

/* Change the definition, while answers go on: in one transaction what is stored is brought up to
 * date (indexes that are dropped are emptied, new ones are built by yzi_store_build_step), then the
 * new definition is in force. A query that was judged by the former one and meets the new one gets
 * YZ_EAGAIN and is to be judged again. *changed: whether there was anything to do; the same file
 * again only tries once more to build unique indexes that records kept from it. After a failure the
 * former definition is in force: YZ_ECONFIG, what is stored does not fit it (which field, what to
 * do); YZ_ELIMIT, the open store had too many different indexes; YZ_EINVAL, it needs a storage key;
 * YZ_EDISKFULL, YZ_EIO, YZ_ENOMEM. Writer thread only. */
YZ_MUST_USE int yzi_store_redefine(struct store *s, const struct dataset *d, bool *changed,
                                   yz_error *err);

/* Whether a change of the definition failed when it was perhaps done. yzi_store_build_step tries it
 * again, as does whatever changes data. Writer thread only. */
bool yzi_store_is_unsettled(const struct store *s);

#define STORE_KEY_ID_MAX 16u
struct store_state {
    uint64_t records, sequence; /* as seen by one transaction */
    uint64_t generation;        /* in force; rises with each switch */
    unsigned removed;           /* generations that a crash left, removed at the start: */
    unsigned unfinished; /* of these, some were being loaded; the others were in force before */
    unsigned indexes_building, indexes_broken;
    bool has_key;                      /* some field is sensitive: what it is encrypted under: */
    char key_id[STORE_KEY_ID_MAX + 1]; /* "": the adapter's storage key */
    uint64_t key_since;                /* Unix ms; 0: not known, under the adapter's */
    unsigned keys_found;               /* that a crash left, destroyed at the start */
    bool key_left;                     /* one nothing is under could not be; tried by the next */
};
YZ_MUST_USE int yzi_store_state(struct store *s, struct store_state *out);
/* Change sequence of the last committed change; 0 when empty. */
YZ_MUST_USE int yzi_store_sequence(struct store *s, uint64_t *out);
YZ_MUST_USE int yzi_store_count(struct store *s, uint64_t *out);

/* Finish what a failing disk left half done, a switch or a change of the definition. Everything
 * that writes does it first. YZ_EIO, YZ_EDISKFULL, YZ_ENOMEM. Writer thread only. */
YZ_MUST_USE int yzi_store_settle(struct store *s, yz_error *err);

/* Build indexes that the definition gained, a bounded piece in one short transaction; answers go on
 * meanwhile, and an index is used from when it is whole. After a restart the build goes on where it
 * was. *more: call again. YZ_EEXIST: a unique index finds two records with the same values (err
 * says which index); it is left out of use and tried again by the next start, and *more is right.
 * YZ_EIO, YZ_EDISKFULL, YZ_ECORRUPT, YZ_ENOMEM. Writer thread only. */
YZ_MUST_USE int yzi_store_build_step(struct store *s, bool *more, yz_error *err);

unsigned yzi_store_to_build(struct store *s); /* how many indexes are not whole yet; any thread */

/* -- import -- */
enum import_format { FORMAT_CSV, FORMAT_JSON, FORMAT_JSONL, FORMAT_XML };
enum import_mode {
    IMPORT_UPSERT = 1, /* insert, or update what has the key */
    IMPORT_INSERT,     /* insert; a record that is there already must be equal */
    IMPORT_REPLACE,    /* the file is the whole register: what is not in it goes */
    IMPORT_DELETE      /* a file of keys: those records go; other fields are not read */
};
/* The format a file's name tells by its end (.csv .json .jsonl .ndjson .xml); false: none. */
bool yzi_import_format_of(const char *name, enum import_format *out);

struct import_fault {
    const char *file;  /* the source's name */
    uint64_t line;     /* where the record starts, from 1 */
    uint64_t column;   /* in characters from 1, when the form is wrong (JSON, XML); 0: none */
    uint64_t record;   /* which it is, from 1; 0: the line tells, or no record is meant */
    const char *field; /* NULL when the record as a whole is wrong, or the file is */
    const char *reason;
};
/* "file:line:column: record N: field: reason", what there is of it, cut to `cap`. */
void yzi_import_fault_text(const struct import_fault *f, char *out, size_t cap);

enum import_change_kind { CHANGE_ADDED = 1, CHANGE_CHANGED, CHANGE_REMOVED };
/* Plain values by field of the definition, valid during the call; before is NULL for what was
 * added, after for what goes. */
struct import_change {
    enum import_change_kind kind;
    const struct query_value *before, *after;
};

struct import_report {
    uint64_t rows, inserted, updated, unchanged, faults;
    uint64_t deleted;                /* by IMPORT_DELETE, or not in the file of an IMPORT_REPLACE */
    uint64_t absent;                 /* keys of an IMPORT_DELETE that no record has */
    uint64_t rejected;               /* left out, see `rejects` */
    uint64_t sequence;               /* after the import */
    bool unseen[DATASET_FIELDS_MAX]; /* by field: no record had anything at its path */
};

/* How far some work on a store is: what it does now, and how much of that. */
enum work_phase {
    PHASE_COPY,  /* the register is copied, to be changed beside; done and total are not known */
    PHASE_READ,  /* the file is; done and total are its bytes */
    PHASE_SORT,  /* the same, and its records are sorted */
    PHASE_LOAD,  /* sorted records are written; done and total are records, as below */
    PHASE_INDEX, /* rows, done and total are entries of indexes */
    PHASE_EXPORT,
    PHASE_ENCRYPT
};
struct work_progress {
    enum work_phase phase;
    uint64_t rows, done, total; /* rows since the phase began; total 0: not known */
};
typedef void work_progress_fn(void *ctx, const struct work_progress *at);
const char *yzi_work_phase_name(enum work_phase phase); /* "copying", "reading", ... */

struct import_rejects; /* rejects.h */
struct import_source {
    int fd;           /* a regular file, read from its start, perhaps twice; YZ_EINVAL otherwise */
    const char *name; /* for messages */
    enum import_format format;
    enum import_mode mode;
    bool dry_run; /* check everything, change nothing */
    /* called for each fault, at most max_faults times; may be NULL */
    void (*fault)(void *ctx, const struct import_fault *f);
    work_progress_fn *progress; /* called every few thousand rows; may be NULL */
    /* called for each change, also of a dry run; a negative return ends the import, which then
     * changes nothing. May be NULL. A large import may begin again with its first row, and says so
     * by a call with NULL. */
    int (*change)(void *ctx, const struct import_change *c);
    void *ctx;
    uint64_t max_faults;            /* 0: 20 */
    struct import_rejects *rejects; /* wrong records are written there and the others imported;
                                       NULL: all or nothing */
    const _Atomic bool
        *cancel; /* looked at now and then: YZ_ECANCELLED, nothing changed; or NULL */
};
/* Import, all or nothing: with any fault nothing is changed and YZ_EDATA returned, err holding the
 * first fault as "file:line: field: reason" and *out being filled, too (with nothing inserted,
 * updated, unchanged or deleted). The scan goes on behind a wrong record, until max_faults were
 * found; where the file itself is wrong (header, quoting, not well-formed) it does not. Reasons
 * never repeat a value. The same file again changes nothing. What is small is one transaction; what
 * would not fit in memory is loaded into a new generation and switched to at the end, and so is
 * every IMPORT_REPLACE: answers go on from the old one meanwhile, and after a crash at any moment
 * the store is the old or the new one. YZ_EDISKFULL, YZ_EIO, YZ_ENOMEM, YZ_ECANCELLED. Writer
 * thread only. */
YZ_MUST_USE int yzi_store_import(struct store *s, const struct import_source *src,
                                 struct import_report *out, yz_error *err);
/* The same checks without a store: duplicate keys are not looked for. */
YZ_MUST_USE int yzi_dataset_check(const struct dataset *d, const struct import_source *src,
                                  struct import_report *out, yz_error *err);

/* -- keys -- */
struct rotation {
    work_progress_fn *progress; /* may be NULL */
    /* Called again and again: a chance to write (yzi_store_write, not an import) to this store and
     * others. What is written goes to both generations. May be NULL. */
    void (*between)(void *ctx);
    void *ctx;
    const _Atomic bool *cancel; /* looked at now and then; or NULL */
};
struct rotation_report {
    uint64_t records, sequence;
    char key_id[STORE_KEY_ID_MAX + 1], former_id[STORE_KEY_ID_MAX + 1]; /* "": the adapter's */
    uint64_t since;
    bool destroyed; /* the former key is: false for the adapter's, which others may be under, and
                       when its file could not be; then the next start tries again */
};
/* Put the data set under a fresh key: a new generation is made of all records, and switched to.
 * Answers go on from the old one meanwhile; cursors of the old one end ("cursor-data"). The key is
 * on disk before anything is under it, and the old one is destroyed when the switch is durable:
 * after a crash at any moment the store is wholly under the one or the other, and the next start
 * destroys the key it is not under. The sequence does not change. YZ_EINVAL (no sensitive field, or
 * no folder of keys); YZ_ECANCELLED, YZ_EDISKFULL, YZ_EIO, YZ_ENOMEM, YZ_ECORRUPT: it is under the
 * old key, unless err says that it may be under either. Writer thread only. */
YZ_MUST_USE int yzi_store_rotate(struct store *s, const struct rotation *o,
                                 struct rotation_report *out, yz_error *err);
/* Write the generation in force, as of one moment, without its free pages, to fd: an LMDB data
 * file. It holds no key. Any thread. YZ_EDISKFULL, YZ_EIO. */
YZ_MUST_USE int yzi_store_backup(struct store *s, int fd, struct store_state *out, yz_error *err);
/* Make such a file the store of a folder that has none and that nobody has open. YZ_EEXIST,
 * YZ_EBUSY, YZ_ECORRUPT (no such file), YZ_EDISKFULL, YZ_EIO. */
YZ_MUST_USE int yzi_store_restore(const char *dir, int fd, const struct clock *clock,
                                  yz_error *err);

/* -- query -- */
/* Why a query is refused: a reason code of the answer and a sentence, which names fields and never
 * values. */
struct query_fault {
    const char *reason; /* static */
    char detail[400];
};

struct query_limits {
    uint32_t rows;             /* rows at most */
    size_t bytes;              /* bytes of rows at most */
    uint64_t entries;          /* index entries looked at, at most; a get has none. 0: 100,000 */
    uint64_t deadline_mono_ms; /* give up after; 0: none */
    /* Not a limit, but what goes with every query likewise: the keys of the records that the answer
     * gives out are appended here (proto/subject.h), whatever fields it has; of a count those of
     * the records counted, when they are few. On failure it is as it was. NULL: not wanted. */
    yz_buf *subjects;
};
struct query_result {
    uint32_t rows;
    uint64_t sequence; /* the data set's, as seen by the transaction */
};

/* What of the records a question may see. A grant decides it (adapters/access); here it is kept to.
 * Records that do not meet the row filter are, for the question, not there: neither given nor
 * counted, and by find and count not even looked at, so that no limit and no time tells of them.
 * What a field holds that is `hidden` shows in nothing, the order of the records included: where
 * the walk through an index would follow such values, the records are put into an order of what is
 * shown, and given all at once or not at all. */
#define QUERY_MASKED_MAX 64u
struct query_view {
    const struct query_condition *row_filter; /* every one holds; fields and values as in a query */
    size_t row_filter_n;                      /* at most YZ_QUERY_CONDITIONS_MAX */
    const bool *hidden; /* by field: not shown as it is; NULL: none is hidden */
    /* Brings a value of projection[column] into the form in which it is shown, in *out: the value
     * itself, or what was written to `room`. NULL: all are shown as they are. */
    int (*mask)(const void *ctx, size_t column, const struct query_value *v,
                uint8_t room[QUERY_MASKED_MAX], struct query_value *out);
    const void *mask_ctx;
};
/* Serve QUERY_GET: the records with q->keys, in the order of the keys (absent ones are left out),
 * `projection` (indexes into the fields of `d`) in that order, appended to `rows` as
 * proto/payload.h lays them out. YZ_EAGAIN: `d` is not the definition in force any more. On
 * YZ_EINVAL *fault has the answer's reason ("bad-key", "bad-value", "too-many-keys").
 * YZ_ETOOBIG beyond limits or, when set, q->limit; YZ_ETIMEOUT, YZ_ECORRUPT, YZ_EIO, YZ_ENOMEM.
 * YZ_EUNSUPPORTED for any other operation, and for a get with a filter, order, cursor or predicate:
 * left out, they would make it another question. `view` NULL: everything. YZ_EDENIED: its row
 * filter does not fit the definition. On failure `rows` is as it was. */
YZ_MUST_USE int yzi_store_get(struct store *s, const struct dataset *d, const struct query *q,
                              const unsigned *projection, size_t projection_n,
                              const struct query_view *view, const struct query_limits *limits,
                              yz_buf *rows, struct query_result *out, struct query_fault *fault);

#endif
