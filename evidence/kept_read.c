/* SPDX-License-Identifier: Apache-2.0
 *
 * The reading half of kept exchanges: days in order, in each the files in the order of their names.
 * What does not open is named; only a file that ends within a record is passed over, because that
 * is how one ends whose writer was killed, and it is counted.
 */
#include "evidence/kept_format.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "evidence/standing.h"
#include "keys/keyfile.h"

/* -- a record's inside -- */

static int read_sized(yz_reader *r, yz_bytes *out)
{
    uint32_t n;
    YZ_TRY(yzi_read_u32(r, &n));
    return yzi_read_bytes(r, n, out);
}

static int check_broker(yz_bytes id)
{
    yz_node_id node;
    YZ_ENSURE(yzi_node_id_parse(id, &node) == YZ_OK && yzi_node_is_broker(node), YZ_EMALFORMED);
    return YZ_OK;
}

static int parse_subjects(yz_reader *r, struct kept_exchange *x)
{
    x->has_subjects = true;
    YZ_TRY(read_sized(r, &x->data_set));
    YZ_TRY(read_sized(r, &x->subjects));
    YZ_ENSURE(x->data_set.n <= YZ_SEGMENT_MAX && x->subjects.n <= SUBJECTS_MAX, YZ_EMALFORMED);
    return yzi_subjects_check(x->subjects);
}

static int parse_exchange(yz_reader *r, struct kept_exchange *x)
{
    uint8_t role, kind;
    YZ_TRY(yzi_read_u8(r, &role));
    YZ_TRY(yzi_read_u64(r, &x->at));
    YZ_TRY(yzi_read_u8(r, &kind));
    YZ_TRY(yzi_read_into(r, x->directory.b, sizeof x->directory.b));
    yz_bytes *const parts[] = {&x->broker,        &x->request,      &x->answer,
                               &x->request_plain, &x->answer_plain, &x->receipt};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        YZ_TRY(read_sized(r, parts[i]));
    }
    YZ_ENSURE(role == KEPT_CONSUMER || role == KEPT_PROVIDER, YZ_EMALFORMED);
    YZ_ENSURE(kind == FRAME_RESPONSE || kind == FRAME_OUTCOME, YZ_EMALFORMED);
    x->role = (enum kept_role)role;
    x->answer_kind = (enum frame_kind)kind;
    YZ_TRY(check_broker(x->broker));
    yz_bytes header, block;
    YZ_TRY(yzi_entry_message_parse(x->request, &header, &block));
    return yzi_entry_message_parse(x->answer, &header, &block);
}

int yzi_kept_record_parse(yz_bytes bytes, struct kept_record *out)
{
    struct kept_record k = {0};
    yz_reader r = yzi_reader(bytes);
    uint8_t kind;
    YZ_TRY(yzi_read_u8(&r, &kind));
    if (kind == KEPT_KIND_EXCHANGE || kind == KEPT_KIND_WITH_SUBJECTS) {
        YZ_TRY(parse_exchange(&r, &k.exchange));
        YZ_TRY(kind == KEPT_KIND_WITH_SUBJECTS ? parse_subjects(&r, &k.exchange) : YZ_OK);
        yzi_entry_digest(k.exchange.request, &k.request_digest);
    } else {
        YZ_ENSURE(kind == KEPT_KIND_RECEIPT, YZ_EMALFORMED);
        k.is_receipt = true;
        YZ_TRY(yzi_read_into(&r, k.request_digest.b, sizeof k.request_digest.b));
        YZ_TRY(read_sized(&r, &k.exchange.broker));
        YZ_TRY(read_sized(&r, &k.exchange.receipt));
        YZ_TRY(check_broker(k.exchange.broker));
        YZ_ENSURE(k.exchange.receipt.n > 0, YZ_EMALFORMED);
    }
    YZ_TRY(yzi_read_end(&r));
    *out = k;
    return YZ_OK;
}

/* -- a file -- */

struct reading {
    const char *dir;
    struct key_pair key; /* of the day; zeroed between days */
    kept_visit *visit;
    kept_damage *damage; /* NULL: the first damage ends it */
    void *ctx;
    struct kept_summary summary;
    yz_buf sealed, plain;
    yz_error *err;
};

struct kept_file {
    const char *path;
    int fd;
    uint64_t offset, size;
    uint8_t id[KEPT_ID_BYTES];
    bool skipped; /* the record before did not open */
};

#define FILE_ENDS INT_MAX /* no visitor returns this */

static int system_fault(const struct reading *r, const char *path)
{
    int e = errno;
    return yzi_fail(r->err, yzi_err_from_errno(e), "%s: %s", path, strerror(e));
}

/* Something does not hold: with a survey it is told, and FILE_ENDS returned. */
static int tell(struct reading *r, const yz_error *what)
{
    if (!r->damage) {
        return yzi_fail(r->err, what->code, "%s", what->text);
    }
    r->summary.damaged++;
    r->damage(r->ctx, what->text);
    return FILE_ENDS;
}

static int corrupt(struct reading *r, const struct kept_file *f, const char *what)
{
    yz_error e = {0};
    yz_ignore(yzi_fail(&e, YZ_ECORRUPT, "%s: at byte %llu: %s", f->path,
                       (unsigned long long)f->offset, what),
              "the sentence is what is wanted");
    return tell(r, &e);
}

/* A record that is none: the next is where its length says, unless that led nowhere before. */
static int pass_over(struct reading *r, struct kept_file *f, uint32_t n, const char *what)
{
    bool again = f->skipped;
    int rc = corrupt(r, f, what);
    if (rc != FILE_ENDS || again) {
        return rc;
    }
    f->skipped = true;
    f->offset += 4u + n;
    return YZ_OK;
}

/* Exactly n bytes at the offset; false when the file ends before. */
static bool read_at(const struct kept_file *f, uint64_t offset, uint8_t *out, size_t n)
{
    while (n) {
        ssize_t got = pread(f->fd, out, n, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        out += got;
        offset += (uint64_t)got;
        n -= (size_t)got;
    }
    return true;
}

static int open_record(struct reading *r, const struct kept_file *f, uint32_t n)
{
    uint8_t ad[KEPT_AD_BYTES], *sealed, *plain;
    yzi_kept_ad(f->id, f->offset, ad);
    yzi_buf_clear(&r->sealed);
    yzi_buf_clear(&r->plain);
    YZ_TRY(yzi_buf_extend(&r->sealed, n, &sealed));
    YZ_TRY(yzi_buf_extend(&r->plain, n - KEPT_NONCE_BYTES - KEPT_TAG_BYTES, &plain));
    YZ_ENSURE(read_at(f, f->offset + 4, sealed, n), YZ_EIO);
    const uint8_t *key = yzi_key_pair_open(&r->key);
    int rc = crypto_aead_xchacha20poly1305_ietf_decrypt(
        plain, NULL, NULL, sealed + KEPT_NONCE_BYTES, n - KEPT_NONCE_BYTES, ad, sizeof ad, sealed,
        key);
    yzi_key_pair_close(&r->key);
    return rc == 0 ? YZ_OK : YZ_ESIGNATURE;
}

/* The record at the offset: YZ_OK and visited, or FILE_ENDS. */
static int read_record(struct reading *r, struct kept_file *f)
{
    uint8_t length[4];
    if (f->offset == f->size) {
        return FILE_ENDS;
    }
    uint32_t n = read_at(f, f->offset, length, sizeof length) ? yzi_load_u32(length) : 0;
    if (f->size - f->offset < sizeof length || f->size - f->offset - sizeof length < n) {
        r->summary.torn++;
        return FILE_ENDS;
    }
    if (n <= KEPT_NONCE_BYTES + KEPT_TAG_BYTES || n > KEPT_RECORD_MAX + 1024u) {
        return corrupt(r, f, "no record has this length");
    }
    int rc = open_record(r, f, n);
    if (rc == YZ_ESIGNATURE) {
        return pass_over(r, f, n,
                         f->skipped ? "nor does this record open: the rest of the file is not read"
                                    : "the record does not open: it was changed, or the key is "
                                      "another day's");
    }
    YZ_TRY(rc);
    f->skipped = false;
    struct kept_record record;
    if (yzi_kept_record_parse(yzi_bytes_buf(&r->plain), &record) < 0) {
        return pass_over(r, f, n, "what was sealed is not in the format");
    }
    record.place = (struct kept_place){f->path, f->offset};
    f->offset += 4u + n;
    r->summary.records++;
    return r->visit(r->ctx, &record);
}

static int read_head(struct reading *r, struct kept_file *f)
{
    uint8_t head[KEPT_HEAD_BYTES];
    struct stat st;
    if (fstat(f->fd, &st) != 0) {
        return system_fault(r, f->path);
    }
    f->size = (uint64_t)st.st_size;
    if (!read_at(f, 0, head, sizeof head) || memcmp(head, KEPT_MAGIC, sizeof KEPT_MAGIC) != 0) {
        return corrupt(r, f, "not a file of kept exchanges");
    }
    memcpy(f->id, head + sizeof KEPT_MAGIC, sizeof f->id);
    f->offset = sizeof head;
    return YZ_OK;
}

static int read_file(struct reading *r, const char *path)
{
    struct kept_file f = {.path = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
    if (f.fd < 0) {
        return system_fault(r, path);
    }
    int rc = read_head(r, &f);
    while (rc == YZ_OK) {
        rc = read_record(r, &f);
    }
    close(f.fd);
    return rc == FILE_ENDS ? YZ_OK : rc;
}

/* -- days -- */

static int ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && strcmp(name + n - m, suffix) == 0;
}

static int is_kept_file(const struct dirent *e)
{
    return ends_with(e->d_name, KEPT_FILE_SUFFIX);
}

static int is_day(const struct dirent *e)
{
    uint64_t ignored;
    return strlen(e->d_name) == KEPT_DAY_TEXT - 1 && yzi_time_parse(e->d_name, &ignored) == YZ_OK;
}

static void free_names(struct dirent **names, int n)
{
    for (int i = 0; i < n; i++) {
        free(names[i]);
    }
    free(names);
}

static int open_key(struct reading *r, const char *day_dir)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    yz_error e = {0};
    YZ_TRY(yzi_path_join(day_dir, KEPT_KEY_NAME, &path));
    int rc = yzi_keyfile_load(path, KEY_STORAGE, &r->key, &e);
    if (rc < 0) {
        e.code = rc;
        return rc == YZ_ENOMEM || rc == YZ_EIO ? yzi_fail(r->err, rc, "%s", e.text) : tell(r, &e);
    }
    return YZ_OK;
}

static int read_day(struct reading *r, const char *day)
{
    YZ_AUTO(yzi_free_ptr) char *day_dir = NULL;
    struct dirent **names;
    YZ_TRY(yzi_path_join(r->dir, day, &day_dir));
    int rc = open_key(r, day_dir);
    if (rc != YZ_OK) {
        return rc == FILE_ENDS ? YZ_OK : rc; /* without it nothing of the day can be read */
    }
    int n = scandir(day_dir, &names, is_kept_file, alphasort);
    if (n < 0) {
        yzi_key_pair_fini(&r->key);
        return system_fault(r, day_dir);
    }
    for (int i = 0; i < n && rc == YZ_OK; i++) {
        YZ_AUTO(yzi_free_ptr) char *path = NULL;
        rc = yzi_path_join(day_dir, names[i]->d_name, &path);
        rc = rc < 0 ? rc : read_file(r, path);
    }
    free_names(names, n);
    yzi_key_pair_fini(&r->key);
    r->summary.days++;
    return rc;
}

int yzi_kept_each(const char *dir, const char *from, const char *to, kept_visit *visit, void *ctx,
                  struct kept_summary *out, yz_error *err)
{
    return yzi_kept_survey(dir, from, to, visit, NULL, ctx, out, err);
}

int yzi_kept_survey(const char *dir, const char *from, const char *to, kept_visit *visit,
                    kept_damage *damage, void *ctx, struct kept_summary *out, yz_error *err)
{
    struct reading r = {.dir = dir, .visit = visit, .damage = damage, .ctx = ctx, .err = err};
    struct dirent **days;
    int n = scandir(dir, &days, is_day, alphasort);
    if (n < 0) {
        return system_fault(&r, dir);
    }
    yzi_buf_init(&r.sealed, KEPT_RECORD_MAX + 1024u);
    yzi_buf_init(&r.plain, KEPT_RECORD_MAX + 1024u);
    int rc = YZ_OK;
    for (int i = 0; i < n && rc == YZ_OK; i++) {
        const char *day = days[i]->d_name;
        if ((!from || strcmp(day, from) >= 0) && (!to || strcmp(day, to) <= 0)) {
            rc = read_day(&r, day);
        }
    }
    free_names(days, n);
    yzi_buf_fini(&r.sealed);
    yzi_buf_wipe(&r.plain);
    if (out) {
        *out = r.summary;
    }
    return rc;
}

static int read_destroyed(const char *dir, char out[KEPT_DAY_TEXT], yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = 64};
    uint64_t ignored;
    YZ_TRY(yzi_path_join(dir, KEPT_DESTROYED_NAME, &path));
    if (!yzi_file_exists(path)) {
        return YZ_OK;
    }
    YZ_TRY(yzi_file_read(path, &text, err));
    if (text.n == KEPT_DAY_TEXT && text.p[KEPT_DAY_TEXT - 1] == '\n') {
        memcpy(out, text.p, KEPT_DAY_TEXT - 1);
    }
    if (yzi_time_parse(out, &ignored) < 0) {
        return yzi_fail(err, YZ_ECORRUPT, "%s: is not the name of a day", path);
    }
    return YZ_OK;
}

int yzi_kept_span(const char *dir, struct kept_span *out, yz_error *err)
{
    struct kept_span span = {.first = ""};
    struct dirent **days;
    const struct reading r = {.dir = dir, .err = err};
    YZ_TRY(read_destroyed(dir, span.destroyed, err));
    int n = scandir(dir, &days, is_day, alphasort);
    if (n < 0) {
        return system_fault(&r, dir);
    }
    if (n > 0) {
        memcpy(span.first, days[0]->d_name, KEPT_DAY_TEXT);
    }
    free_names(days, n);
    *out = span;
    return YZ_OK;
}

int yzi_kept_object(const char *dir, const char *day, const yz_digest *directory, yz_bytes node,
                    yz_buf *out, yz_error *err)
{
    char name[KEPT_OBJECT_NAME], place[KEPT_DAY_TEXT + KEPT_OBJECT_NAME + 16];
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    yzi_kept_object_name(directory, node, name);
    snprintf(place, sizeof place, "%.10s/objects/%s", day, name);
    YZ_TRY(yzi_path_join(dir, place, &path));
    yzi_buf_init(out, STANDING_MAX);
    return yzi_file_read(path, out, err);
}
