/* SPDX-License-Identifier: MIT */
/* Addresses from the network, for those who wait for them. */
#include <errno.h>

#include "host/host_internal.h"

/* Input wakes who waits; what time brings (the end of a probe) is looked for so often. */
#define LOOK_AGAIN (50 * WEIR_MS)

enum { ADDRS_MAX = 32 };

int weir_host_autoconf(struct weir_host *host, int ifindex, unsigned what)
{
    int rc = 0;
    wr_loop_lock(host->loop);
    if (what & WEIR_AUTO_DHCP)
        rc = weir_dhcp_start(host->stack, ifindex, NULL, weir_now());
    if (rc == 0 && (what & WEIR_AUTO_SLAAC))
        rc = weir_slaac_start(host->stack, ifindex, weir_now());
    wr_loop_unlock(host->loop);
    return rc;
}

/* What of `what` is not there yet; *checking: an address is being checked. */
static unsigned missing(const struct weir_host *host, int ifindex, unsigned what, bool *checking)
{
    struct weir_if_addr list[ADDRS_MAX];
    struct weir_dhcp_info info;
    int n = weir_addr_list(host->stack, ifindex, list, ADDRS_MAX);
    *checking = false;
    if (weir_dhcp_info(host->stack, ifindex, &info) == 0 && info.state >= WEIR_DHCP_BOUND)
        what &= ~(unsigned)WEIR_AUTO_DHCP;
    for (int i = 0; i < n && i < ADDRS_MAX; i++) {
        *checking |= list[i].tentative;
        if (list[i].learnt && !list[i].tentative && !weir_addr_is_v4(&list[i].addr))
            what &= ~(unsigned)WEIR_AUTO_SLAAC;
    }
    return what;
}

/* Is it another thread that turns the loop? */
static bool is_driven(const struct weir_loop *loop)
{
    return loop->started || loop->running;
}

/* Lets a moment pass: until input, or LOOK_AGAIN. The lock is held, and is again after. */
static int pause_for(struct weir_host *host, weir_time until)
{
    struct wr_waiter waiter;
    struct wr_wait_link link;
    weir_time at = weir_time_min(until, weir_time_after(weir_now(), LOOK_AGAIN));
    int rc = 0;
    if (is_driven(host->loop)) {
        wr_waiter_init(&waiter, host->loop);
        wr_wait_join(&host->lingering, &link, &waiter);
        rc = wr_wait_sleep(host, &waiter, at);
        wr_wait_leave(&link);
        return rc == WEIR_EAGAIN ? 0 : rc;
    }
    if (host->loop->serving > 0)
        return -EDEADLK;
    wr_loop_unlock(host->loop);
    rc = weir_loop_step(host->loop, at > weir_now() ? at - weir_now() : 0);
    wr_loop_lock(host->loop);
    return rc;
}

int weir_host_await_autoconf(struct weir_host *host, int ifindex, unsigned what, weir_time until)
{
    bool checking;
    int rc = 0;
    wr_loop_lock(host->loop);
    for (;;) {
        unsigned left = missing(host, ifindex, what, &checking);
        if (rc < 0 || (left == 0 && !checking) || weir_now() >= until) {
            rc = rc < 0 ? rc : (int)left;
            break;
        }
        rc = pause_for(host, until);
    }
    wr_loop_unlock(host->loop);
    return rc;
}
