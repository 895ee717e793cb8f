/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys that generations are under. Each data set with sensitive fields has a random key of its
 * own, in a file of a folder apart from its records:
 *
 *     <keys>/<id>.key      a storage key file; id: 16 hex digits, at random
 *
 * and a generation says in its meta database which it is under. A new key's file is durable before
 * anything is written under it, and an old one's is destroyed when the switch to a generation under
 * another is durable; so a start that finds the generation in force has its key, and whatever else
 * lies in the folder is a leftover, which is destroyed then. A store without a folder for keys, or
 * made before there was one, is under the adapter's storage key, which is never destroyed here.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/dataset/store_impl.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "keys/keyfile.h"

#define SUBKEYS 3u
#define KEY_ID_BYTES 8u
#define FILE_END ".key"
#define FILE_NAME_MAX (STORE_KEY_ID_MAX + sizeof FILE_END)
#define STRAY_PREFIX ".tmp-" /* what a crash leaves of a file being written (base/file.c) */

enum { SUBKEY_SEAL = 1, SUBKEY_HASH = 2, SUBKEY_CHECK = 3, SUBKEY_INDEX = 4 };
static const char kdf_context[crypto_kdf_CONTEXTBYTES] = {'y', 'z', 's', 't', 'o', 'r', 'e', '1'};

/* -- subkeys -- */

/* Three subkeys in one secret; the check value is a fourth, which says nothing about the others. */
static int derive(struct key_set *k, const uint8_t key[crypto_kdf_KEYBYTES])
{
    static const uint64_t ids[SUBKEYS] = {SUBKEY_SEAL, SUBKEY_HASH, SUBKEY_INDEX};
    uint8_t sub[SUBKEYS * STORE_SUBKEY_BYTES];
    int rc =
        crypto_kdf_derive_from_key(k->check, STORE_SUBKEY_BYTES, SUBKEY_CHECK, kdf_context, key);
    for (size_t i = 0; i < SUBKEYS; i++) {
        rc |= crypto_kdf_derive_from_key(sub + i * STORE_SUBKEY_BYTES, STORE_SUBKEY_BYTES, ids[i],
                                         kdf_context, key);
    }
    int copied = rc == 0 ? yzi_secret_copy(&k->subkeys, yzi_bytes(sub, sizeof sub)) : YZ_EINTERNAL;
    sodium_memzero(sub, sizeof sub);
    YZ_TRY(copied);
    k->keys.seal = yzi_secret_open(&k->subkeys); /* until the end: any thread reads them */
    k->keys.hash = k->keys.seal + STORE_SUBKEY_BYTES;
    k->keys.index = k->keys.hash + STORE_SUBKEY_BYTES;
    return 0;
}

static void free_set(struct key_set *k)
{
    if (k->keys.seal) {
        yzi_secret_close(&k->subkeys);
    }
    yzi_secret_fini(&k->subkeys);
    free(k);
}

static int new_set(const char *id, const uint8_t key[crypto_kdf_KEYBYTES], struct key_set **out)
{
    struct key_set *k;
    YZ_TRY(yzi_alloc(1, sizeof *k, &k));
    atomic_init(&k->refs, 1);
    snprintf(k->id, sizeof k->id, "%s", id);
    int rc = derive(k, key);
    if (rc < 0) {
        free_set(k);
        return rc;
    }
    *out = k;
    return 0;
}

struct key_set *yzi_key_set_ref(struct key_set *k)
{
    if (k) {
        atomic_fetch_add(&k->refs, 1);
    }
    return k;
}

void yzi_key_set_unref(struct key_set **set)
{
    struct key_set *k = *set;
    *set = NULL;
    if (k && atomic_fetch_sub(&k->refs, 1) == 1) {
        free_set(k);
    }
}

/* -- files -- */

static int key_path(const struct store *s, const char *id, char **out)
{
    char name[FILE_NAME_MAX];
    snprintf(name, sizeof name, "%s" FILE_END, id);
    return yzi_path_join(s->keys_dir, name, out);
}

static bool is_id(yz_bytes text)
{
    uint8_t b[KEY_ID_BYTES];
    return text.n == STORE_KEY_ID_MAX && yzi_hex_decode(text, b, sizeof b) == 0;
}

static int load_file(const struct store *s, const char *id, struct key_set **out, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_AUTO(yzi_key_pair_fini) struct key_pair pair = {0};
    YZ_TRY(key_path(s, id, &path));
    int rc = yzi_keyfile_load(path, KEY_STORAGE, &pair, err);
    if (rc == YZ_ENOTFOUND) {
        return yzi_fail(err, YZ_ECONFIG,
                        "%s: is under the key %s, and there is no %s; put that file back where it "
                        "was, or import everything into a new store folder",
                        s->dir, id, path);
    }
    YZ_TRY(rc);
    rc = new_set(id, yzi_key_pair_open(&pair), out);
    yzi_key_pair_close(&pair);
    return rc;
}

static int load_adapters(struct store *s, struct key_set **out)
{
    YZ_ENSURE(s->storage_key && s->storage_key->n == crypto_kdf_KEYBYTES, YZ_EINVAL);
    int rc = new_set("", yzi_secret_open(s->storage_key), out);
    yzi_secret_close(s->storage_key);
    return rc;
}

int yzi_key_set_load(struct store *s, yz_bytes id, struct key_set **out, yz_error *err)
{
    char name[STORE_KEY_ID_MAX + 1] = "";
    if (id.n == 0) {
        return load_adapters(s, out);
    }
    YZ_ENSURE(is_id(id), YZ_ECORRUPT);
    if (!s->keys_dir) {
        return yzi_fail(err, YZ_ECONFIG,
                        "%s: has a key of its own, and no folder of keys was named", s->dir);
    }
    memcpy(name, id.p, id.n);
    return load_file(s, name, out, err);
}

int yzi_key_set_make(struct store *s, struct key_set **out, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    uint8_t b[KEY_ID_BYTES], unused[32];
    char id[STORE_KEY_ID_MAX + 1];
    YZ_ENSURE(s->keys_dir, YZ_EINVAL);
    randombytes_buf(b, sizeof b);
    YZ_TRY(yzi_hex_encode(yzi_bytes(b, sizeof b), id, sizeof id));
    YZ_TRY(yzi_dir_make(s->keys_dir, 0700, err));
    YZ_TRY(key_path(s, id, &path));
    YZ_TRY(yzi_keyfile_create(path, KEY_STORAGE, unused, err));
    YZ_TRY(load_file(s, id, out, err));
    (*out)->since = yzi_wall_ms(s->clock);
    return 0;
}

/* -- the folder -- */

/* The id that a file's name tells; false: it is no key file of ours. */
static bool id_of(const char *name, char out[STORE_KEY_ID_MAX + 1])
{
    if (strlen(name) != STORE_KEY_ID_MAX + strlen(FILE_END) ||
        strcmp(name + STORE_KEY_ID_MAX, FILE_END) != 0 ||
        !is_id(yzi_bytes(name, STORE_KEY_ID_MAX))) {
        return false;
    }
    memcpy(out, name, STORE_KEY_ID_MAX);
    out[STORE_KEY_ID_MAX] = '\0';
    return true;
}

static int sync_folder(int dir_fd)
{
    return fsync(dir_fd) == 0 ? 0 : yzi_err_from_errno(errno);
}

static bool is_stray(const char *name)
{
    return strncmp(name, STRAY_PREFIX, strlen(STRAY_PREFIX)) == 0;
}

/* Overwritten where it lies, as far as the file system and the device write in place at all, and
 * only then without a name. */
static int destroy(int dir_fd, const char *name)
{
    uint8_t noise[1024];
    struct stat st;
    int fd = openat(dir_fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    YZ_ENSURE(fd >= 0, yzi_err_from_errno(errno));
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (ok && is_stray(name) && st.st_nlink > 1) {
        st.st_size = 0; /* another name of a key file that is whole, and perhaps in use */
    }
    for (off_t at = 0; ok && at < st.st_size;) {
        size_t left = (size_t)(st.st_size - at), n = left < sizeof noise ? left : sizeof noise;
        randombytes_buf(noise, n);
        ssize_t w = pwrite(fd, noise, n, at);
        ok = w > 0;
        at += ok ? w : 0;
    }
    ok = ok && fsync(fd) == 0;
    int rc = ok ? 0 : YZ_EIO;
    close(fd);
    /* a disk that cannot be written to may still forget the name */
    YZ_ENSURE(unlinkat(dir_fd, name, 0) == 0, yzi_err_from_errno(errno));
    return rc;
}

static int destroy_strays(DIR *d)
{
    int rc = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        int one = is_stray(e->d_name) ? destroy(dirfd(d), e->d_name) : 0;
        rc = rc < 0 ? rc : one;
    }
    return rc;
}

static int destroy_keys(DIR *d, const char *keep, unsigned *destroyed)
{
    int rc = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char id[STORE_KEY_ID_MAX + 1];
        if (id_of(e->d_name, id) && strcmp(id, keep) != 0) {
            int one = destroy(dirfd(d), e->d_name);
            rc = rc < 0 ? rc : one;
            *destroyed += one == 0;
        }
    }
    return rc;
}

int yzi_key_set_destroy_others(struct store *s, const char *keep, unsigned *destroyed)
{
    unsigned n = 0;
    if (!s->keys_dir) {
        return 0;
    }
    DIR *d = opendir(s->keys_dir);
    YZ_ENSURE(d || errno != ENOENT, 0);
    YZ_ENSURE(d, yzi_err_from_errno(errno));
    int rc = destroy_strays(d);
    rewinddir(d);
    int keys = destroy_keys(d, keep, &n);
    rc = rc < 0 ? rc : keys;
    int synced = sync_folder(dirfd(d));
    closedir(d);
    *destroyed += n;
    return rc < 0 ? rc : synced;
}

/* One that a crash left before the store was there, or that is waiting for its store to be put
 * back; id is empty when there is none. A folder that cannot be read has one, for all we know: if
 * another were made, the next start would destroy it. */
static int find_any(const struct store *s, char id[STORE_KEY_ID_MAX + 1], yz_error *err)
{
    int fd = open(s->keys_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    id[0] = '\0';
    YZ_ENSURE(d || errno != ENOENT, 0);
    if (!d) {
        int rc = yzi_err_from_errno(errno);
        yz_ignore(yzi_fail(err, rc, "%s: cannot be read: %s", s->keys_dir, strerror(errno)),
                  "returned below");
        if (fd >= 0) {
            close(fd);
        }
        return rc;
    }
    errno = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char one[STORE_KEY_ID_MAX + 1];
        if (id_of(e->d_name, one) && (!id[0] || strcmp(one, id) < 0)) {
            memcpy(id, one, sizeof one);
        }
        errno = 0;
    }
    int rc = errno == 0 ? 0
                        : yzi_fail(err, yzi_err_from_errno(errno), "%s: cannot be read: %s",
                                   s->keys_dir, strerror(errno));
    closedir(d);
    return rc;
}

int yzi_key_set_first(struct store *s, struct key_set **out, yz_error *err)
{
    char id[STORE_KEY_ID_MAX + 1];
    if (!s->keys_dir || s->read_only) {
        return load_adapters(s, out);
    }
    YZ_TRY(find_any(s, id, err));
    if (id[0]) {
        YZ_TRY(load_file(s, id, out, err));
        (*out)->since = yzi_wall_ms(s->clock);
        return 0;
    }
    return yzi_key_set_make(s, out, err);
}
