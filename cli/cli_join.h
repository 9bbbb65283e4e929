/* SPDX-License-Identifier: MIT */
/* `weir run --host NAME` where a host of that name runs already: the program joins it. */
#ifndef WEIR_CLI_JOIN_H
#define WEIR_CLI_JOIN_H

/* Asks the host that is called `name` to let a program in. A stream for weir_run_options.join; WEIR_ENOENT: there
 * is none; other errors after telling. Call it with weir_control_lock() held. */
int wr_cli_join_ask(const char *name);

/* Runs the program on the host behind that stream, which it takes, until all of it has ended. The exit status. */
int wr_cli_join(int stream, char **argv);

#endif
