/* SPDX-License-Identifier: MIT */
#include "cli/cli_report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/labscene.h"

bool wr_cli_report_begin(struct cli_report *report, const char *page, const char *title,
                         const char *capture)
{
    *report = (struct cli_report){.page = page, .title = title, .capture = capture};
    if (capture)
        return true;
    strcpy(report->passing, "/tmp/weir-report-XXXXXX");
    int fd = mkstemp(report->passing);
    if (fd < 0) {
        wr_cli_error("--report: cannot make a file in /tmp: %s", strerror(errno));
        return false;
    }
    close(fd);
    report->capture = report->passing;
    return true;
}

int wr_cli_report_end(struct cli_report *report, int status)
{
    bool done = wr_labpcap_page(report->capture, report->title, report->page);
    if (report->passing[0])
        unlink(report->passing);
    return status == 0 && !done ? CLI_FAILED : status;
}
