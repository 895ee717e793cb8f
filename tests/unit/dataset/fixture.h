/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of data sets share: definitions from text, stores in folders of their own that are
 * removed again, CSV from memory, and answers as text.
 */
#ifndef YZ_TESTS_DATASET_FIXTURE_H
#define YZ_TESTS_DATASET_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/dataset/store.h"

/* A definition from text; the test fails when it is refused. */
struct dataset *fixture_dataset(const char *yaml);

/* A folder for one test under the temporary folder. */
struct fixture_dir {
    char path[64];
};
void fixture_dir_make(struct fixture_dir *d);
void fixture_dir_remove(const struct fixture_dir *d); /* with what is in it */

/* A readable regular file in memory holding the bytes. Close it. */
int fixture_file(yz_bytes content);

/* 32 bytes of `fill`. */
void fixture_key(yz_secret *key, uint8_t fill);

/* Open a store (key may be NULL); the test fails when that fails. */
struct store *fixture_open(const char *dir, const struct dataset *d, yz_secret *key);

/* Import text as file "t.csv". Returns the import's code. */
int fixture_import(struct store *s, const char *csv, struct import_report *out, yz_error *err);
int fixture_import_bytes(struct store *s, yz_bytes csv, struct import_report *out, yz_error *err);

/* Get records by single-field keys (NULL ends the list), all fields. The answer as text: values
 * joined by '|' (null as '~'), rows each ended by '\n'. Returns the get's code. */
int fixture_get(struct store *s, char *out, size_t cap, const char *key, ...);

/* Whether the bytes stand anywhere in a file of the folder. */
bool fixture_dir_contains(const char *dir, yz_bytes needle);
/* A digest over the names and bytes of the folder's data files (locks left out). */
yz_digest fixture_dir_digest(const char *dir);

#endif
