/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/random.h>

#include "host/host_internal.h"

int wr_host_seed(uint8_t seed[32])
{
    size_t have = 0;
    while (have < 32) {
        ssize_t n = getrandom(seed + have, 32 - have, 0);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            have += (size_t)n;
    }
    return 0;
}
