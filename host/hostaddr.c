/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "host/host_internal.h"

int wr_endpoint_from(int domain, const struct sockaddr *addr, socklen_t len,
                     struct weir_endpoint *endpoint)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    sa_family_t family;
    if (!addr || len < sizeof family)
        return WEIR_EINVAL;
    memcpy(&family, addr, sizeof family);
    if (len > sizeof(struct sockaddr_storage))
        return WEIR_EINVAL;
    if (domain == AF_INET && len < sizeof in)
        return WEIR_EINVAL;
    if (domain == AF_INET6 && len < 24) /* RFC 2133's shorter form, without the scope, is taken */
        return WEIR_EINVAL;
    if (family != domain)
        return WEIR_EAFNOSUPPORT;
    if (domain == AF_INET) {
        memcpy(&in, addr, sizeof in);
        endpoint->addr = weir_addr_v4(ntohl(in.sin_addr.s_addr));
        endpoint->port = ntohs(in.sin_port);
    } else {
        memset(&in6, 0, sizeof in6);
        memcpy(&in6, addr, len < sizeof in6 ? len : sizeof in6);
        endpoint->addr = weir_addr_from_v6_bytes(in6.sin6_addr.s6_addr);
        endpoint->port = ntohs(in6.sin6_port);
    }
    return 0;
}

void wr_endpoint_to(int domain, const struct weir_endpoint *endpoint, struct sockaddr *addr,
                    socklen_t *len)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    const void *from = &in;
    socklen_t size = sizeof in;
    if (!addr || !len)
        return;
    if (domain == AF_INET) {
        in.sin_port = htons(endpoint->port);
        in.sin_addr.s_addr = htonl(weir_addr_to_v4(&endpoint->addr));
    } else {
        in6.sin6_port = htons(endpoint->port);
        memcpy(in6.sin6_addr.s6_addr, endpoint->addr.b, 16);
        from = &in6;
        size = sizeof in6;
    }
    memcpy(addr, from, *len < size ? *len : size);
    *len = size;
}
