/* SPDX-License-Identifier: MIT */
/* Where libxdp and libbpf were not there when Weir was built. */
#include <weir/link.h>

int weir_link_xdp(const struct weir_xdp_config *config, struct weir_link **link, const char **why)
{
    (void)config;
    *link = NULL;
    if (why)
        *why = "Weir was built without libxdp and libbpf";
    return WEIR_ENOTSUP;
}
