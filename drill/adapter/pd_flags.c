/* SPDX-License-Identifier: MIT */
/*
 * --so_flags: words separated by commas.
 *
 *     local=192.168.0.1/16     an address of the host; given again, one more of the same link
 *     gateway=192.168.0.2      where all packets go; it need not exist
 *     mtu=1500
 *     seed=7                   of the stack's random choices
 *     net.ipv4.tcp_sack=0      a tunable
 *
 * Without a word they are those of a host of packetdrill's with IPv4: 192.168.0.1/16, MTU 1500.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drill/adapter/pd.h"

static bool parse_number(const char *text, unsigned long most, unsigned long *value)
{
    char *end;
    *value = strtoul(text, &end, 0);
    return end != text && *end == '\0' && *value <= most;
}

static bool parse_local(struct pd_flags *flags, char *text, bool first)
{
    struct weir_addr addr;
    unsigned long len;
    char *slash = strchr(text, '/');
    if (!slash)
        return false;
    *slash = '\0';
    bool ok = weir_addr_parse(text, &addr);
    if (!ok || !parse_number(slash + 1, weir_addr_is_v4(&addr) ? 32 : 128, &len))
        return false;
    if (first) {
        flags->scene.local = addr;
        flags->scene.prefix_len = (unsigned)len;
        return true;
    }
    if (flags->n_more == PD_SCENES)
        return false;
    flags->more[flags->n_more] = addr;
    flags->more_len[flags->n_more++] = (unsigned)len;
    return true;
}

static bool add_tunable(struct pd_flags *flags, const char *name, const char *value)
{
    size_t at = strlen(flags->commands), room = sizeof flags->commands - at;
    int n = snprintf(flags->commands + at, room, "sysctl \"%s=%s\"\n", name, value);
    return n > 0 && (size_t)n < room;
}

static bool parse_word(struct pd_flags *flags, char *word, unsigned *n_local)
{
    unsigned long number;
    char *value = strchr(word, '=');
    if (!value)
        return false;
    *value++ = '\0';
    if (strcmp(word, "local") == 0)
        return parse_local(flags, value, (*n_local)++ == 0);
    if (strcmp(word, "gateway") == 0)
        return weir_addr_parse(value, &flags->scene.gateway);
    if (strcmp(word, "mtu") == 0 && parse_number(value, 65535, &number)) {
        flags->scene.mtu = (uint32_t)number;
        return true;
    }
    if (strcmp(word, "seed") == 0 && parse_number(value, 255, &number)) {
        flags->scene.seed = (uint8_t)number;
        return true;
    }
    return strchr(word, '.') && add_tunable(flags, word, value);
}

bool wr_pd_flags_parse(struct pd_flags *flags, const char *text, const char **error)
{
    static char wrong[160];
    unsigned n_local = 0;
    memset(flags, 0, sizeof *flags);
    flags->scene.local = weir_addr_v4(0xc0a80001);
    flags->scene.prefix_len = 16;
    flags->scene.mtu = 1500;
    flags->scene.gateway = weir_addr_any4();
    while (text && *text != '\0') {
        char word[128];
        size_t len = strcspn(text, ",");
        snprintf(word, sizeof word, "%.*s", (int)(len < 127 ? len : 127), text);
        if (len > 0 && (len >= sizeof word || !parse_word(flags, word, &n_local))) {
            snprintf(wrong, sizeof wrong, "--so_flags: \"%.*s\" is not understood", (int)len, text);
            *error = wrong;
            return false;
        }
        text += len + (text[len] == ',');
    }
    if (weir_addr_is_any(&flags->scene.gateway) && !weir_addr_is_v4(&flags->scene.local))
        flags->scene.gateway = weir_addr_any6();
    return true;
}
