/* SPDX-License-Identifier: Apache-2.0
 *
 * The handler does only what a handler may: set a flag, write, unlink, raise.
 */
#include "cli/interrupt.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
#define SIGNALS (sizeof signals / sizeof signals[0])

static char half_written[PATH_MAX];
static volatile sig_atomic_t has_half_written, heeded;
static char last_words[300];
static volatile sig_atomic_t last_words_n;
static _Atomic int came; /* the signal, while it is heeded */
static _Atomic bool wanted;

static void on_signal(int number)
{
    if (heeded && !atomic_load(&came)) {
        atomic_store(&came, number);
        atomic_store(&wanted, true);
        return;
    }
    if (has_half_written) {
        unlink(half_written);
    }
    ssize_t said = write(STDERR_FILENO, last_words, (size_t)last_words_n);
    (void)said; /* nobody else is there to be told */
    signal(number, SIG_DFL);
    raise(number);
}

static void install(void)
{
    for (size_t i = 0; i < SIGNALS; i++) {
        struct sigaction was, sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
        if (sigaction(signals[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN) {
            sigaction(signals[i], &sa, NULL);
        }
    }
}

int yzi_interrupt_removes(const char *path)
{
    has_half_written = 0;
    YZ_ENSURE(path, YZ_OK);
    size_t n = strlen(path) + 1;
    YZ_ENSURE(n <= sizeof half_written, YZ_ELIMIT);
    memcpy(half_written, path, n);
    has_half_written = 1;
    install();
    return YZ_OK;
}

void yzi_interrupt_says(const char *sentence)
{
    last_words_n = 0;
    if (sentence) {
        int n = snprintf(last_words, sizeof last_words, "%syz: %s\n",
                         isatty(STDERR_FILENO) == 1 ? "\n" : "", sentence);
        last_words_n = n > 0 && (size_t)n < sizeof last_words ? n : 0;
        install();
    }
}

const _Atomic bool *yzi_interrupt_heed(void)
{
    atomic_store(&came, 0);
    atomic_store(&wanted, false);
    heeded = 1;
    install();
    return &wanted;
}

void yzi_interrupt_end(void)
{
    heeded = 0;
    int number = atomic_load(&came);
    if (number) {
        signal(number, SIG_DFL);
        raise(number);
    }
}
