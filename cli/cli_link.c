/* SPDX-License-Identifier: MIT */
/*
 * The links of a host on the command line, and the host itself: for run, nc and ping.
 *
 * A link option opens a link, and the options of links that follow (--addr, --impair, ...) are that link's;
 * those before the first one are the first one's.
 */
#include "cli/cli_link.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/autoconf.h>

#include "cli/cli.h"

/* How long DHCP and routers may take: three questions of each, and duplicate address detection. */
#define CONFIG_WAIT (20 * WEIR_SEC)

static const char *const kind_option[] = {"--tun", "--tap", "--packet", "--xdp"};

/* ---- words ------------------------------------------------------------------------------------ */

static bool add_word(const char **list, unsigned *n, unsigned max, const char *word,
                     const char *what)
{
    if (*n >= max) {
        wr_cli_error("too many %s: %s", what, word);
        return false;
    }
    list[(*n)++] = word;
    return true;
}

static bool read_mac(struct cli_link_one *one, const char *text)
{
    unsigned b[6];
    int n = 0;
    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &n) !=
            6 ||
        text[n] || b[0] & 1) {
        wr_cli_error("mac=%s is no Ethernet address of one host, as 02:00:00:00:00:01", text);
        return false;
    }
    for (unsigned i = 0; i < 6; i++)
        one->mac[i] = (uint8_t)b[i];
    one->has_mac = true;
    return true;
}

/* An item of a link option: an address with its prefix, or says what it is. */
static bool take_item(struct cli_link_one *one, const char *item)
{
    if (strncmp(item, "gw=", 3) == 0)
        return add_word(one->gateways, &one->n_gateways, 2, item + 3, "gateways");
    if (strncmp(item, "kernel=", 7) == 0)
        return add_word(one->kernel_side, &one->n_kernel_side, 2, item + 7, "kernel addresses");
    if (strncmp(item, "mac=", 4) == 0)
        return read_mac(one, item + 4);
    if (strcmp(item, "dhcp") == 0)
        return one->dhcp = true;
    if (strcmp(item, "slaac") == 0)
        return one->slaac = true;
    if (strcmp(item, "generic") == 0) {
        one->hook = WEIR_XDP_GENERIC;
        return true;
    }
    if (strcmp(item, "native") == 0) {
        one->hook = WEIR_XDP_NATIVE;
        return true;
    }
    if (strchr(item, '/'))
        return add_word(one->addrs, &one->n_addrs, CLI_LINK_ADDRS_MAX, item, "addresses");
    return add_word(one->gateways, &one->n_gateways, 2, item, "gateways");
}

/* "NAME[,ITEM...]" */
static bool open_link(struct cli_link_words *words, enum cli_link_kind kind, char *value)
{
    struct cli_link_one *one = &words->links[words->n_links];
    char *save = NULL;
    if (words->n_links == CLI_LINKS_MAX) {
        wr_cli_error("too many links: %s %s", kind_option[kind], value);
        return false;
    }
    words->n_links++;
    one->kind = kind;
    one->name = strtok_r(value, ",", &save);
    if (!one->name) {
        wr_cli_error("%s needs a device name", kind_option[kind]);
        return false;
    }
    for (char *item; (item = strtok_r(NULL, ",", &save));)
        if (!take_item(one, item))
            return false;
    return true;
}

static bool number_word(const char *text, uint32_t *value, uint32_t least, uint32_t most,
                        const char *what)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (end == text || *end || n < least || n > most) {
        wr_cli_error("%s: \"%s\" is no number between %u and %u", what, text, least, most);
        return false;
    }
    *value = (uint32_t)n;
    return true;
}

static struct cli_link_one *current(struct cli_link_words *words)
{
    return &words->links[words->n_links ? words->n_links - 1 : 0];
}

bool wr_cli_link_option(struct cli_link_words *words, int option, char *value)
{
    struct cli_link_one *one = current(words);
    switch (option) {
    case CLI_LINK_TUN:
    case CLI_LINK_TAP:
    case CLI_LINK_PACKET:
    case CLI_LINK_XDP:
        return open_link(words, (enum cli_link_kind)(option - CLI_LINK_TUN), value);
    case CLI_LINK_NETNS:
        one->netns = value;
        return true;
    case CLI_LINK_ADDR:
        return add_word(one->addrs, &one->n_addrs, CLI_LINK_ADDRS_MAX, value, "addresses");
    case CLI_LINK_GW:
        return add_word(one->gateways, &one->n_gateways, 2, value, "gateways");
    case CLI_LINK_MTU:
        return number_word(value, &one->mtu, 68, 65535, "--mtu");
    case CLI_LINK_IMPAIR:
        one->impair = value;
        return true;
    case CLI_LINK_PCAP:
        one->pcap = value;
        return true;
    case CLI_LINK_BUSY_POLL:
        return number_word(value, &words->busy_poll, 0, INT_MAX, "--busy-poll");
    default:
        if (wr_cli_seed(value, &words->seed))
            return true;
        wr_cli_error("--seed: \"%s\" is no number", value);
        return false;
    }
}

/* What a link of its kind cannot have; NULL: it is in order. */
static const char *misfit(const struct cli_link_one *one)
{
    bool device = one->kind == CLI_TUN || one->kind == CLI_TAP;
    if (one->kind == CLI_TUN && one->dhcp)
        return "dhcp: it is no Ethernet, take --tap";
    if (one->kind == CLI_TUN && one->slaac)
        return "slaac: it is no Ethernet, take --tap";
    if (one->kind == CLI_TUN && one->has_mac)
        return "mac=: it is no Ethernet";
    if (!device && one->n_kernel_side)
        return "kernel=: the interface is set up already";
    if (one->kind != CLI_XDP && one->hook != WEIR_XDP_AUTO)
        return "generic or native: only --xdp does";
    return NULL;
}

bool wr_cli_link_check(const struct cli_link_words *words)
{
    const struct cli_link_one *first = &words->links[0];
    const char *needs_link = first->pcap         ? "--pcap"
                             : first->impair     ? "--impair"
                             : first->n_gateways ? "--gw"
                             : first->mtu        ? "--mtu"
                             : first->netns      ? "--netns"
                             : words->busy_poll  ? "--busy-poll"
                                                 : NULL;
    if (words->n_links == 0 && needs_link) {
        wr_cli_error("%s needs a link: give --tun, --tap, --packet or --xdp", needs_link);
        return false;
    }
    for (unsigned i = 0; i < words->n_links; i++) {
        const struct cli_link_one *one = &words->links[i];
        const char *wrong = misfit(one);
        if (wrong) {
            wr_cli_error("%s %s cannot have %s", kind_option[one->kind], one->name, wrong);
            return false;
        }
    }
    return true;
}

/* ---- the links -------------------------------------------------------------------------------- */

static bool split_prefix(const char *text, struct weir_addr *addr, unsigned *prefix_len)
{
    char copy[64], *slash, *end;
    snprintf(copy, sizeof copy, "%s", text);
    slash = strchr(copy, '/');
    if (!slash)
        return false;
    *slash = '\0';
    *prefix_len = (unsigned)strtoul(slash + 1, &end, 10);
    return end != slash + 1 && *end == '\0' && weir_addr_parse(copy, addr);
}

static int set_kernel_side(const struct cli_link_one *one, struct weir_link *link)
{
    for (unsigned i = 0; i < one->n_kernel_side; i++) {
        struct weir_addr addr;
        unsigned prefix_len;
        if (!split_prefix(one->kernel_side[i], &addr, &prefix_len)) {
            wr_cli_error("kernel=%s is no address with a prefix, as 10.0.0.1/24",
                         one->kernel_side[i]);
            return WEIR_EINVAL;
        }
        int err = weir_tun_configure(link, &addr, prefix_len, one->mtu);
        if (err) {
            wr_cli_error("cannot give the kernel's side of %s the address %s: %s", one->name,
                         one->kernel_side[i], weir_error_text(err));
            return err;
        }
    }
    return 0;
}

static int wrap_impair(const struct cli_link_one *one, uint64_t seed, struct weir_link **link)
{
    struct weir_impair_config config = {.seed = seed};
    const char *bad = NULL;
    if (!one->impair)
        return 0;
    int err = weir_impair_parse(one->impair, &config, &bad);
    if (!err)
        err = weir_link_impair(*link, &config, WEIR_IMPAIR_BOTH, link);
    if (err)
        wr_cli_error("--impair: cannot understand \"%s\"", bad ? bad : one->impair);
    return err;
}

static int wrap_pcap(const struct cli_link_one *one, struct weir_link **link)
{
    if (!one->pcap)
        return 0;
    int err = weir_link_pcap(*link, one->pcap, false, link);
    if (err)
        wr_cli_error("cannot write %s: %s", one->pcap, weir_error_text(err));
    return err;
}

static int open_tun(const struct cli_link_one *one, struct weir_link **link)
{
    struct weir_tun_config config = {.name = one->name,
                                     .tap = one->kind == CLI_TAP,
                                     .offload = true,
                                     .mtu = one->mtu,
                                     .netns = one->netns};
    int err = weir_link_tun(&config, link);
    if (!err && one->has_mac && one->kind == CLI_TAP)
        memcpy((*link)->netif.mac, one->mac, sizeof one->mac);
    return err;
}

static int open_packet(const struct cli_link_one *one, struct weir_link **link)
{
    struct weir_packet_config config = {
        .ifname = one->name, .netns = one->netns, .offload = true, .mtu = one->mtu};
    memcpy(config.mac, one->mac, sizeof config.mac);
    return weir_link_packet(&config, link);
}

static int open_xdp(const struct cli_link_one *one, struct weir_link **link, const char **why)
{
    struct weir_xdp_config config = {
        .ifname = one->name, .netns = one->netns, .mtu = one->mtu, .hook = one->hook};
    memcpy(config.mac, one->mac, sizeof config.mac);
    return weir_link_xdp(&config, link, why);
}

static int open_device(const struct cli_link_one *one, struct weir_link **link)
{
    static const char *const what[] = {"the TUN device", "the TAP device", "the interface",
                                       "the interface"};
    static const char *const rights[] = {
        "making one takes root, or CAP_NET_ADMIN", "making one takes root, or CAP_NET_ADMIN",
        "it takes root, or CAP_NET_RAW", "it takes root, or CAP_NET_ADMIN and CAP_BPF"};
    const char *why = NULL;
    int err = one->kind == CLI_XDP      ? open_xdp(one, link, &why)
              : one->kind == CLI_PACKET ? open_packet(one, link)
                                        : open_tun(one, link);
    if (!err)
        return 0;
    if (!why && (err == WEIR_EPERM || err == WEIR_EACCES))
        why = rights[one->kind];
    if (!why && one->kind == CLI_PACKET && err == WEIR_EINVAL)
        why = "it is no Ethernet interface";
    if (!why && (one->kind == CLI_TUN || one->kind == CLI_TAP) && access("/dev/net/tun", F_OK) < 0)
        why = "there is no /dev/net/tun here";
    wr_cli_error("cannot open %s %s%s%s: %s%s%s%s", what[one->kind], one->name,
                 one->netns ? " in namespace " : "", one->netns ? one->netns : "",
                 weir_error_text(err), why ? " (" : "", why ? why : "", why ? ")" : "");
    return err;
}

/* A host that is started again should have the Ethernet address that its neighbours remember: it is made of the
 * first IPv4 address, if there is one, behind 02:57 (locally administered). */
static void choose_mac(struct cli_link_one *one)
{
    for (unsigned i = 0; i < one->n_addrs && !one->has_mac; i++) {
        struct weir_addr addr;
        unsigned prefix_len;
        if (!split_prefix(one->addrs[i], &addr, &prefix_len) || !weir_addr_is_v4(&addr))
            continue;
        one->mac[0] = 0x02;
        one->mac[1] = 0x57;
        memcpy(one->mac + 2, addr.b + 12, 4);
        one->has_mac = true;
    }
}

static int make_link(struct cli_link_one *one, uint64_t seed, struct weir_link **link)
{
    choose_mac(one);
    int err = open_device(one, link);
    if (err)
        return err;
    err = set_kernel_side(one, *link);
    if (!err)
        err = wrap_impair(one, seed, link);
    if (!err)
        err = wrap_pcap(one, link);
    if (err)
        weir_link_free(*link);
    return err;
}

/* ---- addresses -------------------------------------------------------------------------------- */

static int add_addresses(const struct cli_link_one *one, struct weir_host *host, int ifindex)
{
    for (unsigned i = 0; i < one->n_addrs; i++) {
        int err = weir_host_add_addr(host, ifindex, one->addrs[i]);
        if (err) {
            wr_cli_error("cannot use the address %s: %s (it must be as 10.0.0.2/24 or fd00::2/64)",
                         one->addrs[i], weir_error_text(err));
            return err;
        }
    }
    for (unsigned i = 0; i < one->n_gateways; i++) {
        int err = weir_host_add_route(host, "default", one->gateways[i], ifindex);
        if (err) {
            wr_cli_error("cannot use the gateway %s: %s", one->gateways[i], weir_error_text(err));
            return err;
        }
    }
    return 0;
}

static int start_autoconf(const struct cli_link_one *one, struct weir_host *host)
{
    unsigned what = (one->dhcp ? WEIR_AUTO_DHCP : 0u) | (one->slaac ? WEIR_AUTO_SLAAC : 0u);
    int err = what ? weir_host_autoconf(host, one->ifindex, what) : 0;
    if (err)
        wr_cli_error("%s cannot be configured from its network: %s", one->name,
                     weir_error_text(err));
    return err;
}

static int await_autoconf(const struct cli_link_one *one, struct weir_host *host, weir_time until)
{
    unsigned what = (one->dhcp ? WEIR_AUTO_DHCP : 0u) | (one->slaac ? WEIR_AUTO_SLAAC : 0u);
    int missing = weir_host_await_autoconf(host, one->ifindex, what, until);
    if (missing <= 0)
        return missing;
    wr_cli_error("%s got no address: %s", one->name,
                 missing & WEIR_AUTO_DHCP ? "no DHCP server gave one"
                                          : "no router advertised a prefix");
    return WEIR_ETIMEDOUT;
}

/* ---- the host --------------------------------------------------------------------------------- */

static int add_link(struct cli_link_one *one, uint64_t seed, struct weir_host *host)
{
    struct weir_link *link;
    int err = make_link(one, seed, &link);
    if (err)
        return err;
    one->ifindex = weir_host_add_link(host, link);
    if (one->ifindex < 0) {
        wr_cli_error("cannot use the device %s: %s", one->name, weir_error_text(one->ifindex));
        weir_link_free(link);
        return one->ifindex;
    }
    err = add_addresses(one, host, one->ifindex);
    return err ? err : start_autoconf(one, host);
}

int wr_cli_link_host(struct cli_link_words *words, struct weir_loop *loop, struct weir_host **host)
{
    struct weir_config config;
    int err = wr_cli_config(&config, words->seed, 0);
    if (!err)
        err = weir_host_new(loop, &config, host);
    if (err) {
        wr_cli_error("cannot make a host: %s", weir_error_text(err));
        return err;
    }
    if (words->n_links == 0)
        return add_addresses(&words->links[0], *host, 1); /* lo */
    weir_host_set_busy_poll(*host, (int)words->busy_poll);
    for (unsigned i = 0; i < words->n_links && !err; i++)
        err = add_link(&words->links[i], words->seed + i, *host);
    weir_time until = weir_time_after(weir_now(), CONFIG_WAIT);
    for (unsigned i = 0; i < words->n_links && !err; i++)
        err = await_autoconf(&words->links[i], *host, until);
    return err;
}

bool wr_cli_link_has_gateway(const struct cli_link_words *words, struct weir_host *host)
{
    struct weir_stack *stack = weir_host_lock(host);
    bool has = false;
    for (unsigned i = 0; i < words->n_links; i++) {
        const struct cli_link_one *one = &words->links[i];
        struct weir_dhcp_info info;
        has |= one->n_gateways > 0 || one->slaac;
        has |= weir_dhcp_info(stack, one->ifindex, &info) == 0 && info.state >= WEIR_DHCP_BOUND &&
               !weir_addr_is_any(&info.gateway);
    }
    weir_host_unlock(host);
    return has;
}

void wr_cli_link_domain(const struct cli_link_words *words, struct weir_host *host, char domain[64])
{
    struct weir_stack *stack = weir_host_lock(host);
    domain[0] = '\0';
    for (unsigned i = 0; i < words->n_links && !domain[0]; i++) {
        struct weir_dhcp_info info;
        if (weir_dhcp_info(stack, words->links[i].ifindex, &info) == 0)
            memcpy(domain, info.domain, sizeof info.domain);
    }
    weir_host_unlock(host);
}
