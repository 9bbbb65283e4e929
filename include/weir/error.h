/* SPDX-License-Identifier: MIT */
/*
 * Errors. Every call that can fail returns a negative number of this list; socket calls of the
 * host layer turn it into -1 and errno. The values are the host C library's errno values, negated,
 * so that nothing has to be translated on the way up.
 *
 * A bad packet is not an error: it is a counted drop (see weir_drop_count() in stack.h).
 */
#ifndef WEIR_ERROR_H
#define WEIR_ERROR_H

#include <errno.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, errno value, text) */
#define WEIR_ERRORS(X)                                                                             \
    X(EAGAIN, "try again")                                                                         \
    X(EACCES, "permission denied")                                                                 \
    X(EADDRINUSE, "address already in use")                                                        \
    X(EADDRNOTAVAIL, "address not available")                                                      \
    X(EAFNOSUPPORT, "address family not supported")                                                \
    X(EALREADY, "a connect is already under way")                                                  \
    X(EBADF, "stale or unknown handle")                                                            \
    X(EBUSY, "still in use")                                                                       \
    X(ECONNABORTED, "connection aborted")                                                          \
    X(ECONNREFUSED, "connection refused")                                                          \
    X(ECONNRESET, "connection reset by peer")                                                      \
    X(EDESTADDRREQ, "destination address required")                                                \
    X(EEXIST, "exists already")                                                                    \
    X(EFAULT, "bad address")                                                                       \
    X(EHOSTDOWN, "host is down")                                                                   \
    X(EHOSTUNREACH, "host unreachable")                                                            \
    X(EINPROGRESS, "connect started")                                                              \
    X(EINTR, "interrupted")                                                                        \
    X(EINVAL, "invalid argument")                                                                  \
    X(EIO, "input or output error")                                                                \
    X(EISCONN, "already connected")                                                                \
    X(EMFILE, "too many sockets")                                                                  \
    X(EMSGSIZE, "message too long")                                                                \
    X(ENETDOWN, "network interface is down")                                                       \
    X(ENETUNREACH, "network unreachable")                                                          \
    X(ENOBUFS, "no buffer space")                                                                  \
    X(ENODEV, "no such interface")                                                                 \
    X(ENOENT, "no such entry")                                                                     \
    X(ENOMEM, "out of memory")                                                                     \
    X(ENONET, "host is isolated")                                                                  \
    X(ENOPROTOOPT, "option not known")                                                             \
    X(ENOTCONN, "not connected")                                                                   \
    X(ENOTSUP, "operation not supported")                                                          \
    X(EPERM, "not permitted")                                                                      \
    X(EPIPE, "sending side is closed")                                                             \
    X(EPROTO, "protocol error")                                                                    \
    X(EPROTONOSUPPORT, "protocol not supported")                                                   \
    X(EPROTOTYPE, "protocol of the wrong type")                                                    \
    X(ESOCKTNOSUPPORT, "socket type not supported")                                                \
    X(ETIMEDOUT, "timed out")

enum weir_error {
    WEIR_OK = 0,
#define X(name, text) WEIR_##name = -(name),
    WEIR_ERRORS(X)
#undef X
};

/* The name ("ECONNRESET") and the text of an error of the list; "?" for any other number. Static. */
const char *weir_error_name(int error);
const char *weir_error_text(int error);

#ifdef __cplusplus
}
#endif
#endif
