/* SPDX-License-Identifier: MIT */
/* The options that describe a host's link, and the host made of them. */
#ifndef WEIR_CLI_LINK_H
#define WEIR_CLI_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/host.h>

enum { CLI_LINK_ADDRS_MAX = 8 };

struct cli_link_words {
    char *tun, *netns, *pcap, *impair;
    const char *addrs[CLI_LINK_ADDRS_MAX], *gateways[2], *kernel_side[2];
    unsigned n_addrs, n_gateways, n_kernel_side;
    uint32_t mtu;
    uint64_t seed;
};

/* For struct option's val, beyond every letter. */
enum {
    CLI_LINK_FIRST = 256,
    CLI_LINK_TUN = CLI_LINK_FIRST,
    CLI_LINK_NETNS,
    CLI_LINK_ADDR,
    CLI_LINK_GW,
    CLI_LINK_MTU,
    CLI_LINK_IMPAIR,
    CLI_LINK_PCAP,
    CLI_LINK_SEED,
    CLI_LINK_END
};

/* Rows of a table for getopt_long(3). */
#define CLI_LINK_OPTIONS                                                                           \
    {"tun", required_argument, NULL, CLI_LINK_TUN},                                                \
        {"netns", required_argument, NULL, CLI_LINK_NETNS},                                        \
        {"addr", required_argument, NULL, CLI_LINK_ADDR},                                          \
        {"gw", required_argument, NULL, CLI_LINK_GW},                                              \
        {"mtu", required_argument, NULL, CLI_LINK_MTU},                                            \
        {"impair", required_argument, NULL, CLI_LINK_IMPAIR},                                      \
        {"pcap", required_argument, NULL, CLI_LINK_PCAP},                                          \
    {                                                                                              \
        "seed", required_argument, NULL, CLI_LINK_SEED                                             \
    }

static inline bool cli_is_link_option(int option)
{
    return option >= CLI_LINK_FIRST && option < CLI_LINK_END;
}

/* Takes an option of those. `value` is kept and may be cut into pieces. False after telling. */
bool wr_cli_link_option(struct cli_link_words *words, int option, char *value);
/* Whether the words make sense together; false after telling. */
bool wr_cli_link_check(const struct cli_link_words *words);
/* Makes the host with its link, addresses and gateways. 0, or a negative error after telling; *host may
 * then be set and is to be freed. */
int wr_cli_link_host(const struct cli_link_words *words, struct weir_loop *loop,
                     struct weir_host **host);

#endif
