/* SPDX-License-Identifier: Apache-2.0
 *
 * The main() of every fuzz target where there is no libFuzzer: runs the target once over each
 * regular file named, or lying directly in a folder named, in order of name. A corpus that is
 * missing or empty is a failure, because a test that ran nothing would pass for ever.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The contents in a block of exactly their size, so that reading past the end is seen. */
static uint8_t *slurp(const char *path, size_t size)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        return NULL;
    }
    uint8_t *data = malloc(size ? size : 1);
    if (data && fread(data, 1, size, f) != size) {
        free(data);
        data = NULL;
    }
    fclose(f);
    return data;
}

static int fail(const char *path)
{
    fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
    return -1;
}

static int run_file(const char *path, size_t size)
{
    uint8_t *data = slurp(path, size);
    if (!data) {
        return fail(path);
    }
    int rc = LLVMFuzzerTestOneInput(data, size);
    free(data);
    if (rc != 0) {
        fprintf(stderr, "replay: %s: the target returned %d\n", path, rc);
        return -1;
    }
    return 1;
}

/* Run path (a file, or with `deep` a folder's files); the number of files run, or -1. */
static int run_path(const char *path, int deep)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return fail(path);
    }
    if (S_ISREG(st.st_mode)) {
        return run_file(path, (size_t)st.st_size);
    }
    if (!S_ISDIR(st.st_mode) || !deep) {
        return 0;
    }
    struct dirent **names = NULL;
    int n = scandir(path, &names, NULL, alphasort);
    if (n < 0) {
        return fail(path);
    }
    int ran = 0;
    for (int i = 0; i < n; i++) {
        char *file = NULL;
        if (ran >= 0 && names[i]->d_name[0] != '.') {
            int got = asprintf(&file, "%s/%s", path, names[i]->d_name) < 0 ? -1 : run_path(file, 0);
            ran = got < 0 ? -1 : ran + got;
            free(file);
        }
        free(names[i]);
    }
    free(names);
    if (ran == 0) {
        fprintf(stderr, "replay: %s: no inputs\n", path);
        return -1;
    }
    return ran;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int ran = run_path(argv[i], 1);
        if (ran < 0) {
            return EXIT_FAILURE;
        }
        total += ran;
    }
    if (total == 0) {
        fprintf(stderr, "replay: nothing to run\n");
        return EXIT_FAILURE;
    }
    printf("replayed %d inputs\n", total);
    return EXIT_SUCCESS;
}
