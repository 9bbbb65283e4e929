/* SPDX-License-Identifier: MIT */
/* An echo server at 10.0.0.2 port 7, behind a TUN interface whose other side is 10.0.0.1. */
#include <netinet/in.h>
#include <stdio.h>
#include <weir/host.h>

int main(void)
{
    struct weir_tun_config tun = {.name = "weir0", .offload = true};
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(7)};
    struct weir_addr kernel = weir_addr_v4(0x0a000001);
    struct weir_loop *loop;
    struct weir_host *host;
    struct weir_link *link;
    static char buf[65536];
    ssize_t n;

    if (weir_link_tun(&tun, &link) || weir_tun_configure(link, &kernel, 24, 1500) ||
        weir_loop_new(&loop) || weir_host_new(loop, NULL, &host) ||
        weir_host_add_addr(host, weir_host_add_link(host, link), "10.0.0.2/24") ||
        weir_loop_start(loop))
        return 1;
    int fd = weir_socket(host, AF_INET, SOCK_STREAM, 0);
    if (weir_bind(host, fd, (struct sockaddr *)&any, sizeof any) || weir_listen(host, fd, 8))
        return perror("echo"), 1;
    for (int conn; (conn = weir_accept(host, fd, NULL, NULL)) >= 0; weir_close(host, conn))
        while ((n = weir_recv(host, conn, buf, sizeof buf, 0)) > 0)
            weir_send(host, conn, buf, (size_t)n, 0);
    return 1;
}
