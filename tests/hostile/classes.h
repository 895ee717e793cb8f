/* SPDX-License-Identifier: Apache-2.0
 *
 * Classes of random trials: a program lists its classes and runs each as a test of its name, so
 * many trials as dice.h says. script/soak asks a program for its classes (--classes) and runs them
 * one by one: `PROGRAM CLASS`. YZ_SOAK_SECONDS ends a class when so much time has passed.
 */
#ifndef YZ_TESTS_HOSTILE_CLASSES_H
#define YZ_TESTS_HOSTILE_CLASSES_H

#include "tests/hostile/town.h"
#include "tests/support/dice.h"

struct trials {
    struct town *t;
    struct dice dice;
    unsigned long done;
    char last[200]; /* what the trial at hand does: told when it fails */
    void *own;      /* of the class */
};
struct trial_class {
    const char *name;
    unsigned in_test; /* trials in script/test */
    void (*set_up)(struct trials *s);
    void (*trial)(struct trials *s);
    void (*tear_down)(struct trials *s); /* NULL: only the town */
    void (*finish)(struct trials *s);    /* after the last trial, may fail; NULL: nothing */
};
/* The program: the classes named by its arguments, or all. Exit code of main. */
int classes_run(int argc, char **argv, const struct trial_class *classes, size_t n);

#endif
