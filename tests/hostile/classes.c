/* SPDX-License-Identifier: Apache-2.0
 *
 * Running classes of trials, one line for each at its end.
 */
#include "tests/hostile/classes.h"

static const struct trial_class *running; /* cmocka's tests have no argument of their own */

static int set_up(void **state)
{
    struct trials *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->dice = dice_of(running->name);
    s->t = town_new();
    *state = s;
    running->set_up(s);
    return 0;
}

static int tear_down(void **state)
{
    struct trials *s = *state;
    print_message("class %s: %lu trials, seed %llu; the last: %s\n", running->name, s->done,
                  (unsigned long long)dice_seed(), s->last);
    if (running->tear_down) {
        running->tear_down(s);
    }
    town_free(s->t);
    free(s);
    return 0;
}

static void run(void **state)
{
    struct trials *s = *state;
    unsigned n = dice_trials(running->in_test);
    uint64_t until = yzi_mono_ms(&yzi_clock_system) + dice_seconds() * 1000;
    while (s->done < n && yzi_mono_ms(&yzi_clock_system) < until) {
        running->trial(s);
        s->done++;
    }
    if (running->finish) {
        running->finish(s);
    }
}

static bool is_wanted(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return true;
        }
    }
    return argc < 2;
}

int classes_run(int argc, char **argv, const struct trial_class *classes, size_t n)
{
    int failed = 0, ran = 0;
    bool list = argc == 2 && strcmp(argv[1], "--classes") == 0;
    for (size_t i = 0; i < n; i++) {
        if (list) {
            printf("%s\n", classes[i].name);
            continue;
        }
        if (!is_wanted(argc, argv, classes[i].name)) {
            continue;
        }
        running = &classes[i];
        const struct CMUnitTest tests[] = {{running->name, run, set_up, tear_down, NULL}};
        failed += cmocka_run_group_tests_name(running->name, tests, NULL, NULL) != 0;
        ran++;
    }
    if (!list && ran == 0) {
        fprintf(stderr, "no such class\n");
        return 2;
    }
    return failed != 0;
}
