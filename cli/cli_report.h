/* SPDX-License-Identifier: MIT */
/* --report of `weir run` and `weir net`: a page of charts, made of a capture when all has ended. */
#ifndef WEIR_CLI_REPORT_H
#define WEIR_CLI_REPORT_H

#include <stdbool.h>

struct cli_report {
    const char *page, *title;
    const char *capture; /* the file it is made of, to be written meanwhile */
    char passing[40];    /* its name if it is nobody else's, else "" */
};

/* Begins a report at `page`, called `title`. capture: the file of the capture that is made anyway; NULL: one in /tmp until
 * wr_cli_report_end(). False after telling. */
bool wr_cli_report_begin(struct cli_report *report, const char *page, const char *title,
                         const char *capture);
/* Writes the page. The exit status: `status`, or CLI_FAILED if that is 0 and there is no page, which is told. */
int wr_cli_report_end(struct cli_report *report, int status);

#endif
