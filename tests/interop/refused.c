/* SPDX-License-Identifier: MIT */
/*
 * Sends one super-segment to a TUN interface that is more than the kernel takes at once, as when it has no pages for
 * one of 256 KB: the frames of the wire must come instead. The interface waits until standard input is closed.
 *
 *   refused NAME BYTES GSO_SIZE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/addr.h>
#include <weir/error.h>
#include <weir/link.h>

enum { IP_HEAD = 20, HEAD = 40 };

static int check(const char *what, int rc)
{
    if (rc < 0) {
        fprintf(stderr, "refused: %s: %s\n", what, weir_error_text(rc));
        exit(2);
    }
    return rc;
}

int main(int argc, char **argv)
{
    uint8_t head[HEAD] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 77, 9, 2, 10, 77, 9, 1};
    struct weir_tun_config config = {.name = argc == 4 ? argv[1] : "", .offload = true};
    struct weir_addr addr = weir_addr_v4(0x0a4d0901);
    struct weir_link *link;
    char byte;
    if (argc != 4)
        return 2;
    size_t len = strtoul(argv[2], NULL, 10);
    struct weir_out out = {.head = head,
                           .head_len = HEAD,
                           .n_spans = 1,
                           .span = {{calloc(1, len), len}},
                           .gso_size = (uint16_t)strtoul(argv[3], NULL, 10),
                           .csum_partial = true,
                           .csum_start = IP_HEAD,
                           .csum_offset = 16};
    head[IP_HEAD + 12] = 0x50; /* no options */
    head[IP_HEAD + 13] = 0x10; /* ACK */
    check("open", weir_link_tun(&config, &link));
    check("configure", weir_tun_configure(link, &addr, 24, 1500));
    int rc = link->ops->send(link, &out, 0);
    unsigned lost = link->ops->flush(link, 0);
    printf("%s\n", lost > 0 ? "lost" : weir_error_name(rc));
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        continue;
    weir_link_free(link);
    free((void *)(uintptr_t)out.span[0].ptr);
    return 0;
}
