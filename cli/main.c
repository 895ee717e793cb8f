/* SPDX-License-Identifier: Apache-2.0
 *
 * yz, the command line: only here a process begins and ends; all else is in yzi_cli_run.
 */
#include "base/secret.h"
#include "cli/cli.h"

int main(int argc, char **argv)
{
    if (yzi_sodium_init() < 0) {
        fputs("yz: libsodium does not initialise\n", stderr);
        return EXIT_FAILED;
    }
    /* a command lives for a moment and may run where locking memory is not allowed */
    yzi_secret_require_lock(false);
    return yzi_cli_run(argc, argv, false);
}
