/* SPDX-License-Identifier: Apache-2.0
 *
 * The writing half of kept exchanges.
 */
#include "evidence/kept_format.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/table.h"
#include "evidence/standing.h"
#include "keys/keyfile.h"

#define DAY_MS 86400000u
#define OBJECTS_REMEMBERED_MAX 4096u

struct kept {
    char *dir;
    const struct clock *clock;
    uint64_t retention_ms;
    pthread_mutex_t mutex;   /* holds for everything below */
    char day[KEPT_DAY_TEXT]; /* the open one; "" when none is */
    char *day_dir;
    int fd; /* -1: none */
    uint8_t id[KEPT_ID_BYTES];
    uint64_t offset;
    struct key_pair key;
    bool dirty;
    bool torn;            /* an append failed half way: a new file is begun */
    struct table objects; /* written for this day, by name */
};

/* -- days -- */

static void day_of(uint64_t wall, char out[KEPT_DAY_TEXT])
{
    char text[32];
    yzi_time_format(wall, text);
    memcpy(out, text, KEPT_DAY_TEXT - 1);
    out[KEPT_DAY_TEXT - 1] = 0;
}

static void close_day(struct kept *k)
{
    if (k->fd >= 0) {
        close(k->fd);
    }
    k->fd = -1;
    k->day[0] = 0;
    k->dirty = false;
    k->torn = false;
    free(k->day_dir);
    k->day_dir = NULL;
    yzi_key_pair_fini(&k->key);
    yzi_table_fini(&k->objects, NULL);
    k->objects = (struct table){0};
}

static int open_file(struct kept *k, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    char name[sizeof KEPT_FILE_SUFFIX + 2 * KEPT_ID_BYTES];
    uint8_t head[KEPT_HEAD_BYTES] = KEPT_MAGIC;
    randombytes_buf(k->id, sizeof k->id);
    sodium_bin2hex(name, sizeof name, k->id, sizeof k->id);
    memcpy(name + 2 * KEPT_ID_BYTES, KEPT_FILE_SUFFIX, sizeof KEPT_FILE_SUFFIX);
    memcpy(head + sizeof KEPT_MAGIC, k->id, sizeof k->id);
    YZ_TRY(yzi_path_join(k->day_dir, name, &path));
    /* whole and durable before anything is appended, so that no reader meets half a head */
    YZ_TRY(yzi_file_create(path, yzi_bytes(head, sizeof head), 0600, err));
    k->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (k->fd < 0) {
        return yzi_fail(err, yzi_err_from_errno(errno), "%s: %s", path, strerror(errno));
    }
    k->offset = sizeof head;
    return YZ_OK;
}

static int open_key(struct kept *k, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_TRY(yzi_path_join(k->day_dir, KEPT_KEY_NAME, &path));
    int rc = yzi_keyfile_ensure(path, KEY_STORAGE, &k->key, err);
    if (rc == YZ_EEXIST) { /* another process was faster */
        rc = yzi_keyfile_load(path, KEY_STORAGE, &k->key, err);
    }
    YZ_TRY(rc);
    yzi_key_pair_hold(&k->key);
    return YZ_OK;
}

static int begin_day(struct kept *k, const char *day, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *objects = NULL;
    YZ_TRY(yzi_path_join(k->dir, day, &k->day_dir));
    YZ_TRY(yzi_path_join(k->day_dir, "objects", &objects));
    YZ_TRY(yzi_dir_make(objects, 0700, err));
    YZ_TRY(open_key(k, err));
    YZ_TRY(open_file(k, err));
    memcpy(k->day, day, sizeof k->day);
    return YZ_OK;
}

static int open_day(struct kept *k, yz_error *err)
{
    char day[KEPT_DAY_TEXT];
    day_of(yzi_wall_ms(k->clock), day);
    if (k->fd >= 0 && !k->torn && strcmp(day, k->day) == 0) {
        return YZ_OK;
    }
    close_day(k);
    int rc = begin_day(k, day, err);
    if (rc < 0) {
        close_day(k);
    }
    return rc;
}

/* -- appending -- */

static int put_sized(yz_buf *b, yz_bytes v)
{
    YZ_ENSURE(v.n <= KEPT_RECORD_MAX, YZ_ETOOBIG);
    YZ_TRY(yzi_buf_put_u32(b, (uint32_t)v.n));
    return yzi_buf_put(b, v);
}

static int write_all(int fd, yz_bytes v)
{
    while (v.n) {
        ssize_t n = write(fd, v.p, v.n);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        YZ_ENSURE(n > 0, n < 0 ? yzi_err_from_errno(errno) : YZ_EIO);
        v.p += n;
        v.n -= (size_t)n;
    }
    return YZ_OK;
}

/* Seal the record and append it. What a failed append left is cut off again, or, when even that
 * fails, stays as the torn end of a file that is not written to any more. */
static int append(struct kept *k, yz_bytes record)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    uint8_t ad[KEPT_AD_BYTES], *p;
    size_t sealed = KEPT_NONCE_BYTES + record.n + KEPT_TAG_BYTES;
    yzi_buf_init(&out, 4 + sealed);
    YZ_TRY(open_day(k, NULL));
    YZ_TRY(yzi_buf_put_u32(&out, (uint32_t)sealed));
    YZ_TRY(yzi_buf_extend(&out, sealed, &p));
    randombytes_buf(p, KEPT_NONCE_BYTES);
    yzi_kept_ad(k->id, k->offset, ad);
    const uint8_t *key = yzi_key_pair_open(&k->key);
    crypto_aead_xchacha20poly1305_ietf_encrypt(p + KEPT_NONCE_BYTES, NULL, record.p, record.n, ad,
                                               sizeof ad, NULL, p, key);
    yzi_key_pair_close(&k->key);
    int rc = write_all(k->fd, yzi_bytes_buf(&out));
    if (rc < 0) {
        k->torn = ftruncate(k->fd, (off_t)k->offset) != 0;
        return rc;
    }
    k->offset += out.n;
    k->dirty = true;
    return YZ_OK;
}

int yzi_kept_record_write(const struct kept_exchange *x, yz_buf *b)
{
    YZ_TRY(yzi_buf_put_u8(b, x->has_subjects ? KEPT_KIND_WITH_SUBJECTS : KEPT_KIND_EXCHANGE));
    YZ_TRY(yzi_buf_put_u8(b, (uint8_t)x->role));
    YZ_TRY(yzi_buf_put_u64(b, x->at));
    YZ_TRY(yzi_buf_put_u8(b, (uint8_t)x->answer_kind));
    YZ_TRY(yzi_buf_put(b, yzi_bytes_digest(&x->directory)));
    const yz_bytes parts[] = {x->broker,       x->request, x->answer,   x->request_plain,
                              x->answer_plain, x->receipt, x->data_set, x->subjects};
    size_t n = sizeof parts / sizeof parts[0] - (x->has_subjects ? 0 : 2);
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(put_sized(b, parts[i]));
    }
    return YZ_OK;
}

static int append_locked(struct kept *k, yz_bytes record)
{
    pthread_mutex_lock(&k->mutex);
    int rc = append(k, record);
    pthread_mutex_unlock(&k->mutex);
    return rc;
}

int yzi_kept_exchange(struct kept *k, const struct kept_exchange *x)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf b;
    yzi_buf_init(&b, KEPT_RECORD_MAX);
    int rc = yzi_kept_record_write(x, &b);
    YZ_TRY(rc == YZ_ELIMIT ? YZ_ETOOBIG : rc);
    return append_locked(k, yzi_bytes_buf(&b));
}

int yzi_kept_receipt(struct kept *k, const yz_digest *request_digest, yz_bytes broker,
                     yz_bytes receipt)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, YZ_HOP_MAX + YZ_ID_MAX + 64);
    YZ_TRY(yzi_buf_put_u8(&b, KEPT_KIND_RECEIPT));
    YZ_TRY(yzi_buf_put(&b, yzi_bytes_digest(request_digest)));
    YZ_TRY(put_sized(&b, broker));
    YZ_TRY(put_sized(&b, receipt));
    return append_locked(k, yzi_bytes_buf(&b));
}

int yzi_kept_sync(struct kept *k)
{
    pthread_mutex_lock(&k->mutex);
    int rc = YZ_OK;
    if (k->dirty && k->fd >= 0) {
        rc = fdatasync(k->fd) == 0 ? YZ_OK : yzi_err_from_errno(errno);
        k->dirty = rc < 0;
    }
    pthread_mutex_unlock(&k->mutex);
    return rc;
}

/* -- objects -- */

void yzi_kept_object_name(const yz_digest *directory, yz_bytes node, char out[KEPT_OBJECT_NAME])
{
    uint8_t name[32];
    crypto_generichash(name, sizeof name, node.p, node.n, directory->b, sizeof directory->b);
    sodium_bin2hex(out, KEPT_OBJECT_NAME, name, sizeof name);
}

static int keep_object(struct kept *k, const struct directory *d, yz_node_id node)
{
    static int there;
    char name[KEPT_OBJECT_NAME], place[KEPT_OBJECT_NAME + 16];
    yzi_kept_object_name(yzi_directory_root_hash(d), node.v, name);
    if (yzi_table_get(&k->objects, yzi_bytes_str(name))) {
        return YZ_OK;
    }
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, STANDING_MAX);
    snprintf(place, sizeof place, "objects/%s", name);
    YZ_TRY(yzi_path_join(k->day_dir, place, &path));
    int rc = yzi_standing_write(d, node, &b);
    if (rc == YZ_OK && !yzi_file_exists(path)) {
        rc = yzi_file_create(path, yzi_bytes_buf(&b), 0600, NULL);
    }
    if (rc < 0 && rc != YZ_EEXIST) {
        return rc;
    }
    if (yzi_table_count(&k->objects) >= OBJECTS_REMEMBERED_MAX) {
        yzi_table_fini(&k->objects, NULL);
        k->objects = (struct table){0};
    }
    yz_ignore(yzi_table_put(&k->objects, yzi_bytes_str(name), &there),
              "otherwise the file is looked for once more");
    return YZ_OK;
}

int yzi_kept_directory(struct kept *k, const struct directory *d, const yz_node_id *nodes, size_t n)
{
    pthread_mutex_lock(&k->mutex);
    int rc = open_day(k, NULL);
    for (size_t i = 0; i < n && rc == YZ_OK; i++) {
        rc = keep_object(k, d, nodes[i]);
    }
    pthread_mutex_unlock(&k->mutex);
    return rc;
}

/* -- the end of days -- */

static int destroy_key(const char *path)
{
    uint8_t zero[256] = {0};
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? YZ_OK : yzi_err_from_errno(errno);
    }
    int rc = write_all(fd, yzi_bytes(zero, sizeof zero));
    rc = rc == YZ_OK && fsync(fd) != 0 ? yzi_err_from_errno(errno) : rc;
    close(fd);
    YZ_TRY(rc);
    return unlink(path) == 0 ? YZ_OK : yzi_err_from_errno(errno);
}

static int remove_tree(const char *path)
{
    DIR *d = opendir(path);
    YZ_ENSURE(d, yzi_err_from_errno(errno));
    int rc = YZ_OK;
    for (struct dirent *e; rc == YZ_OK && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        YZ_AUTO(yzi_free_ptr) char *inner = NULL;
        struct stat st;
        rc = yzi_path_join(path, e->d_name, &inner);
        if (rc == YZ_OK && lstat(inner, &st) == 0 && S_ISDIR(st.st_mode)) {
            rc = remove_tree(inner);
        } else if (rc == YZ_OK && unlink(inner) != 0) {
            rc = yzi_err_from_errno(errno);
        }
    }
    closedir(d);
    YZ_TRY(rc);
    return rmdir(path) == 0 ? YZ_OK : yzi_err_from_errno(errno);
}

static int destroy_day(const char *dir, const char *day, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_AUTO(yzi_free_ptr) char *key = NULL;
    YZ_TRY(yzi_path_join(dir, day, &path));
    YZ_TRY(yzi_path_join(path, KEPT_KEY_NAME, &key));
    int rc = destroy_key(key);
    rc = rc < 0 ? rc : remove_tree(path);
    return rc < 0 ? yzi_fail(err, rc, "%s: could not be destroyed (%s)", path, yz_err_words(rc))
                  : YZ_OK;
}

static bool is_day(const char *name)
{
    uint64_t ignored;
    return strlen(name) == KEPT_DAY_TEXT - 1 && yzi_time_parse(name, &ignored) == YZ_OK;
}

/* So that whoever asks later is told that there was more. */
static int note_destroyed(const struct kept *k, const char day[KEPT_DAY_TEXT], yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    char line[KEPT_DAY_TEXT + 1];
    snprintf(line, sizeof line, "%.10s\n", day);
    YZ_TRY(yzi_path_join(k->dir, KEPT_DESTROYED_NAME, &path));
    return yzi_file_write(path, yzi_bytes_str(line), 0600, err);
}

int yzi_kept_expire(struct kept *k, unsigned *out_days, yz_error *err)
{
    uint64_t now = yzi_wall_ms(k->clock);
    char last[KEPT_DAY_TEXT]; /* the oldest day that stays: it ended less than retention ago */
    day_of(now > k->retention_ms ? now - k->retention_ms : 0, last);
    DIR *d = opendir(k->dir);
    if (!d) {
        return yzi_fail(err, yzi_err_from_errno(errno), "%s: %s", k->dir, strerror(errno));
    }
    int rc = YZ_OK;
    unsigned days = 0;
    char latest[KEPT_DAY_TEXT] = "";
    for (struct dirent *e; rc == YZ_OK && (e = readdir(d)) != NULL;) {
        if (is_day(e->d_name) && strcmp(e->d_name, last) < 0) {
            if (strcmp(e->d_name, latest) > 0) {
                memcpy(latest, e->d_name, sizeof latest);
            }
            rc = destroy_day(k->dir, e->d_name, err);
            days += rc == YZ_OK;
        }
    }
    closedir(d);
    if (rc == YZ_OK && days) {
        rc = note_destroyed(k, latest, err);
    }
    if (out_days) {
        *out_days = days;
    }
    return rc;
}

/* -- making and ending -- */

int yzi_kept_open(const struct kept_options *o, struct kept **out, yz_error *err)
{
    struct kept *k;
    YZ_ENSURE(o->retention_ms >= DAY_MS, YZ_EINVAL);
    YZ_TRY(yzi_dir_make(o->dir, 0700, err));
    YZ_TRY(yzi_alloc(1, sizeof *k, &k));
    k->clock = o->clock;
    k->retention_ms = o->retention_ms;
    k->fd = -1;
    pthread_mutex_init(&k->mutex, NULL);
    int rc = yzi_bytes_dup_str(yzi_bytes_str(o->dir), &k->dir);
    if (rc < 0) { /* the day is opened with its first record */
        yzi_kept_close(k);
        return rc;
    }
    *out = k;
    return YZ_OK;
}

void yzi_kept_close(struct kept *k)
{
    if (!k) {
        return;
    }
    yz_ignore(yzi_kept_sync(k), "it is in the system's hands");
    close_day(k);
    pthread_mutex_destroy(&k->mutex);
    free(k->dir);
    free(k);
}
