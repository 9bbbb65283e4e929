/* SPDX-License-Identifier: MIT */
/* The options that describe a host's links, and the host made of them. */
#ifndef WEIR_CLI_LINK_H
#define WEIR_CLI_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/host.h>

enum { CLI_LINK_ADDRS_MAX = 8, CLI_LINKS_MAX = 8 };

enum cli_link_kind { CLI_TUN, CLI_TAP, CLI_PACKET, CLI_XDP };

/* One link: its option and those that follow it. */
struct cli_link_one {
    enum cli_link_kind kind;
    char *name, *netns, *pcap, *impair;
    const char *addrs[CLI_LINK_ADDRS_MAX], *gateways[2], *kernel_side[2];
    unsigned n_addrs, n_gateways, n_kernel_side;
    uint32_t mtu;
    uint8_t mac[6];
    bool has_mac, dhcp, slaac;
    enum weir_xdp_hook hook;
    int ifindex; /* once the host is made */
};

struct cli_link_words {
    struct cli_link_one links[CLI_LINKS_MAX]; /* the first holds options even when there is none */
    unsigned n_links;
    uint64_t seed;
    uint32_t busy_poll; /* microseconds */
};

/* For struct option's val, beyond every letter. */
enum {
    CLI_LINK_TUN = 256,
    CLI_LINK_TAP,
    CLI_LINK_PACKET,
    CLI_LINK_XDP,
    CLI_LINK_NETNS,
    CLI_LINK_ADDR,
    CLI_LINK_GW,
    CLI_LINK_MTU,
    CLI_LINK_IMPAIR,
    CLI_LINK_PCAP,
    CLI_LINK_SEED,
    CLI_LINK_BUSY_POLL
};

/* Rows of a table for getopt_long(3). */
#define CLI_LINK_OPTIONS                                                                           \
    {"tun", required_argument, NULL, CLI_LINK_TUN},                                                \
        {"tap", required_argument, NULL, CLI_LINK_TAP},                                            \
        {"packet", required_argument, NULL, CLI_LINK_PACKET},                                      \
        {"xdp", required_argument, NULL, CLI_LINK_XDP},                                            \
        {"netns", required_argument, NULL, CLI_LINK_NETNS},                                        \
        {"addr", required_argument, NULL, CLI_LINK_ADDR},                                          \
        {"gw", required_argument, NULL, CLI_LINK_GW},                                              \
        {"mtu", required_argument, NULL, CLI_LINK_MTU},                                            \
        {"impair", required_argument, NULL, CLI_LINK_IMPAIR},                                      \
        {"pcap", required_argument, NULL, CLI_LINK_PCAP},                                          \
        {"busy-poll", required_argument, NULL, CLI_LINK_BUSY_POLL},                                \
    {                                                                                              \
        "seed", required_argument, NULL, CLI_LINK_SEED                                             \
    }

/* Takes an option of those. `value` is kept and may be cut into pieces. False after telling. */
bool wr_cli_link_option(struct cli_link_words *words, int option, char *value);
/* Whether the words make sense together; false after telling. */
bool wr_cli_link_check(const struct cli_link_words *words);
/* Makes the host with its links, addresses and gateways, and waits, turning the loop, until DHCP and routers
 * have given what was asked of them. 0, or a negative error after telling; *host may then be set and is
 * to be freed. */
int wr_cli_link_host(struct cli_link_words *words, struct weir_loop *loop, struct weir_host **host);

/* The domain name that a DHCP server told; "" if none did. */
void wr_cli_link_domain(const struct cli_link_words *words, struct weir_host *host,
                        char domain[64]);
/* Whether the host has a way to other networks. */
bool wr_cli_link_has_gateway(const struct cli_link_words *words, struct weir_host *host);

#endif
