/* SPDX-License-Identifier: MIT */
/* The link of a host on the command line, and the host itself: for run, nc and ping. */
#include "cli/cli_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

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

/* "NAME[,ITEM...]": an item is an address with its prefix, or says what it is. */
static bool split_tun(struct cli_link_words *words)
{
    char *save = NULL;
    char *name = strtok_r(words->tun, ",", &save);
    if (!name) {
        wr_cli_error("--tun needs a device name");
        return false;
    }
    for (char *item; (item = strtok_r(NULL, ",", &save));) {
        bool ok;
        if (strncmp(item, "gw=", 3) == 0)
            ok = add_word(words->gateways, &words->n_gateways, 2, item + 3, "gateways");
        else if (strncmp(item, "kernel=", 7) == 0)
            ok = add_word(words->kernel_side, &words->n_kernel_side, 2, item + 7,
                          "kernel addresses");
        else if (strchr(item, '/'))
            ok = add_word(words->addrs, &words->n_addrs, CLI_LINK_ADDRS_MAX, item, "addresses");
        else
            ok = add_word(words->gateways, &words->n_gateways, 2, item, "gateways");
        if (!ok)
            return false;
    }
    words->tun = name;
    return true;
}

static bool number_word(const char *text, uint32_t *value, const char *what)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (end == text || *end || n < 68 || n > 65535) {
        wr_cli_error("%s: \"%s\" is no number between 68 and 65535", what, text);
        return false;
    }
    *value = (uint32_t)n;
    return true;
}

bool wr_cli_link_option(struct cli_link_words *words, int option, char *value)
{
    switch (option) {
    case CLI_LINK_TUN:
        words->tun = value;
        return split_tun(words);
    case CLI_LINK_NETNS:
        words->netns = value;
        return true;
    case CLI_LINK_ADDR:
        return add_word(words->addrs, &words->n_addrs, CLI_LINK_ADDRS_MAX, value, "addresses");
    case CLI_LINK_GW:
        return add_word(words->gateways, &words->n_gateways, 2, value, "gateways");
    case CLI_LINK_MTU:
        return number_word(value, &words->mtu, "--mtu");
    case CLI_LINK_IMPAIR:
        words->impair = value;
        return true;
    case CLI_LINK_PCAP:
        words->pcap = value;
        return true;
    default:
        if (wr_cli_seed(value, &words->seed))
            return true;
        wr_cli_error("--seed: \"%s\" is no number", value);
        return false;
    }
}

bool wr_cli_link_check(const struct cli_link_words *words)
{
    const char *needs_link = words->pcap         ? "--pcap"
                             : words->impair     ? "--impair"
                             : words->n_gateways ? "--gw"
                             : words->mtu        ? "--mtu"
                             : words->netns      ? "--netns"
                                                 : NULL;
    if (words->tun || !needs_link)
        return true;
    wr_cli_error("%s needs a link: give --tun", needs_link);
    return false;
}

/* ---- the host --------------------------------------------------------------------------------- */

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

static int set_kernel_side(const struct cli_link_words *words, struct weir_link *link)
{
    for (unsigned i = 0; i < words->n_kernel_side; i++) {
        struct weir_addr addr;
        unsigned prefix_len;
        if (!split_prefix(words->kernel_side[i], &addr, &prefix_len)) {
            wr_cli_error("kernel=%s is no address with a prefix, as 10.0.0.1/24",
                         words->kernel_side[i]);
            return WEIR_EINVAL;
        }
        int err = weir_tun_configure(link, &addr, prefix_len, words->mtu);
        if (err) {
            wr_cli_error("cannot give the kernel's side of %s the address %s: %s", words->tun,
                         words->kernel_side[i], weir_error_text(err));
            return err;
        }
    }
    return 0;
}

static int wrap_impair(const struct cli_link_words *words, struct weir_link **link)
{
    struct weir_impair_config config = {.seed = words->seed};
    const char *bad = NULL;
    if (!words->impair)
        return 0;
    int err = weir_impair_parse(words->impair, &config, &bad);
    if (!err)
        err = weir_link_impair(*link, &config, WEIR_IMPAIR_BOTH, link);
    if (err)
        wr_cli_error("--impair: cannot understand \"%s\"", bad ? bad : words->impair);
    return err;
}

static int wrap_pcap(const struct cli_link_words *words, struct weir_link **link)
{
    if (!words->pcap)
        return 0;
    int err = weir_link_pcap(*link, words->pcap, false, link);
    if (err)
        wr_cli_error("cannot write %s: %s", words->pcap, weir_error_text(err));
    return err;
}

static int make_link(const struct cli_link_words *words, struct weir_link **link)
{
    struct weir_tun_config config = {
        .name = words->tun, .offload = true, .mtu = words->mtu, .netns = words->netns};
    int err = weir_link_tun(&config, link);
    if (err) {
        wr_cli_error("cannot open the TUN device %s%s%s: %s%s", words->tun,
                     words->netns ? " in namespace " : "", words->netns ? words->netns : "",
                     weir_error_text(err),
                     err == WEIR_EPERM || err == WEIR_EACCES
                         ? " (making one takes root, or CAP_NET_ADMIN)"
                         : "");
        return err;
    }
    err = set_kernel_side(words, *link);
    if (!err)
        err = wrap_impair(words, link);
    if (!err)
        err = wrap_pcap(words, link);
    if (err)
        weir_link_free(*link);
    return err;
}

static int add_addresses(const struct cli_link_words *words, struct weir_host *host, int ifindex)
{
    for (unsigned i = 0; i < words->n_addrs; i++) {
        int err = weir_host_add_addr(host, ifindex, words->addrs[i]);
        if (err) {
            wr_cli_error("cannot use the address %s: %s (it must be as 10.0.0.2/24 or fd00::2/64)",
                         words->addrs[i], weir_error_text(err));
            return err;
        }
    }
    for (unsigned i = 0; i < words->n_gateways; i++) {
        int err = weir_host_add_route(host, "default", words->gateways[i], ifindex);
        if (err) {
            wr_cli_error("cannot use the gateway %s: %s", words->gateways[i], weir_error_text(err));
            return err;
        }
    }
    return 0;
}

int wr_cli_link_host(const struct cli_link_words *words, struct weir_loop *loop,
                     struct weir_host **host)
{
    struct weir_config config;
    struct weir_link *link;
    int ifindex = 1; /* lo */
    int err = wr_cli_config(&config, words->seed, 0);
    if (!err)
        err = weir_host_new(loop, &config, host);
    if (err) {
        wr_cli_error("cannot make a host: %s", weir_error_text(err));
        return err;
    }
    if (words->tun) {
        err = make_link(words, &link);
        if (err)
            return err;
        ifindex = weir_host_add_link(*host, link);
        if (ifindex < 0) {
            wr_cli_error("cannot use the device %s: %s", words->tun, weir_error_text(ifindex));
            weir_link_free(link);
            return ifindex;
        }
    }
    return add_addresses(words, *host, ifindex);
}
