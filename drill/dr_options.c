/* SPDX-License-Identifier: MIT */
#include <string.h>

#include <weir/time.h>

#include "drill/drill.h"

void wr_dr_options_default(struct dr_options *options)
{
    memset(options, 0, sizeof *options);
    options->tolerance_ns = 4 * WEIR_MS;
}

bool wr_dr_options_ip_version(struct dr_options *options, const char *text)
{
    static const char *const names[] = {"ipv4", "ipv6", "ipv4-mapped-ipv6"};
    static const enum dr_ip_version versions[] = {DR_IP_V4, DR_IP_V6, DR_IP_MAPPED};
    for (size_t i = 0; i < 3; i++)
        if (strcmp(names[i], text) == 0) {
            options->ip_version = versions[i];
            return true;
        }
    return false;
}
