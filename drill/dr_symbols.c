/* SPDX-License-Identifier: MIT */
/* Names of Linux's constants that scripts use. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>
#include <weir/weir.h>

#include "drill/dr_run.h"

#define SYMBOL(name)                                                                               \
    {                                                                                              \
#        name, name                                                                                \
    }

static const struct {
    const char *name;
    int64_t value;
} symbols[] = {
    SYMBOL(AF_INET),
    SYMBOL(AF_INET6),
    SYMBOL(AF_UNSPEC),
    SYMBOL(PF_INET),
    SYMBOL(PF_INET6),
    SYMBOL(SOCK_STREAM),
    SYMBOL(SOCK_DGRAM),
    SYMBOL(SOCK_NONBLOCK),
    SYMBOL(SOCK_CLOEXEC),
    SYMBOL(IPPROTO_IP),
    SYMBOL(IPPROTO_IPV6),
    SYMBOL(IPPROTO_TCP),
    SYMBOL(IPPROTO_UDP),
    SYMBOL(SOL_SOCKET),
    SYMBOL(SOL_IP),
    SYMBOL(SOL_IPV6),
    SYMBOL(SOL_TCP),
    {"SOL_UDP", 17},
    SYMBOL(SO_REUSEADDR),
    SYMBOL(SO_REUSEPORT),
    SYMBOL(SO_TYPE),
    SYMBOL(SO_ERROR),
    SYMBOL(SO_BROADCAST),
    SYMBOL(SO_SNDBUF),
    SYMBOL(SO_RCVBUF),
    SYMBOL(SO_KEEPALIVE),
    SYMBOL(SO_OOBINLINE),
    SYMBOL(SO_LINGER),
    SYMBOL(SO_RCVLOWAT),
    SYMBOL(SO_SNDLOWAT),
    SYMBOL(SO_ACCEPTCONN),
    SYMBOL(SO_PROTOCOL),
    SYMBOL(SO_DOMAIN),
    SYMBOL(SO_PRIORITY),
    SYMBOL(SO_MAX_PACING_RATE),
    SYMBOL(SO_ZEROCOPY),
    SYMBOL(SO_BUSY_POLL),
    SYMBOL(SO_RCVTIMEO),
    SYMBOL(SO_SNDTIMEO),
    SYMBOL(TCP_NODELAY),
    SYMBOL(TCP_MAXSEG),
    SYMBOL(TCP_CORK),
    SYMBOL(TCP_KEEPIDLE),
    SYMBOL(TCP_KEEPINTVL),
    SYMBOL(TCP_KEEPCNT),
    SYMBOL(TCP_SYNCNT),
    SYMBOL(TCP_LINGER2),
    SYMBOL(TCP_DEFER_ACCEPT),
    SYMBOL(TCP_WINDOW_CLAMP),
    SYMBOL(TCP_INFO),
    SYMBOL(TCP_QUICKACK),
    SYMBOL(TCP_CONGESTION),
    SYMBOL(TCP_USER_TIMEOUT),
    SYMBOL(TCP_FASTOPEN),
    SYMBOL(TCP_FASTOPEN_CONNECT),
    SYMBOL(TCP_TIMESTAMP),
    {"TCP_NOTSENT_LOWAT", 25},
    {"TCP_FASTOPEN_KEY", 33},
    {"TCP_FASTOPEN_NO_COOKIE", 34},
    {"TCP_INQ", 36},
    SYMBOL(IP_TOS),
    SYMBOL(IP_TTL),
    SYMBOL(IP_MTU),
    SYMBOL(IP_MTU_DISCOVER),
    SYMBOL(IP_PMTUDISC_DONT),
    SYMBOL(IP_PMTUDISC_WANT),
    SYMBOL(IP_PMTUDISC_DO),
    SYMBOL(IP_PMTUDISC_PROBE),
    SYMBOL(IP_RECVERR),
    SYMBOL(IPV6_UNICAST_HOPS),
    SYMBOL(IPV6_V6ONLY),
    SYMBOL(IPV6_MTU),
    SYMBOL(IPV6_TCLASS),
    SYMBOL(IPV6_RECVERR),
    SYMBOL(SHUT_RD),
    SYMBOL(SHUT_WR),
    SYMBOL(SHUT_RDWR),
    SYMBOL(F_GETFL),
    SYMBOL(F_SETFL),
    SYMBOL(O_NONBLOCK),
    SYMBOL(O_RDWR),
    SYMBOL(O_RDONLY),
    SYMBOL(O_WRONLY),
    SYMBOL(MSG_OOB),
    SYMBOL(MSG_PEEK),
    SYMBOL(MSG_TRUNC),
    SYMBOL(MSG_WAITALL),
    SYMBOL(MSG_DONTWAIT),
    SYMBOL(MSG_NOSIGNAL),
    SYMBOL(MSG_MORE),
    SYMBOL(MSG_EOR),
    SYMBOL(MSG_ERRQUEUE),
    {"MSG_ZEROCOPY", WEIR_MSG_ZEROCOPY},
    SYMBOL(MSG_CTRUNC),
    {"NULL", 0},
    SYMBOL(EPOLL_CTL_ADD),
    SYMBOL(EPOLL_CTL_MOD),
    SYMBOL(EPOLL_CTL_DEL),
    SYMBOL(EPOLLIN),
    SYMBOL(EPOLLPRI),
    SYMBOL(EPOLLOUT),
    SYMBOL(EPOLLERR),
    SYMBOL(EPOLLHUP),
    SYMBOL(EPOLLRDHUP),
    SYMBOL(EPOLLET),
    SYMBOL(EPOLLONESHOT),
    SYMBOL(EPOLLEXCLUSIVE),
    {"SO_TIMESTAMPING", WEIR_SO_TIMESTAMPING},
    {"SO_ZEROCOPY", WEIR_SO_ZEROCOPY},
    {"SO_MARK", WEIR_SO_MARK},
    {"IP_FREEBIND", WEIR_IP_FREEBIND},
    {"TCP_INQ", WEIR_TCP_INQ},
    {"TCP_CM_INQ", WEIR_TCP_INQ},
    {"SCM_TIMESTAMPING", WEIR_SO_TIMESTAMPING},
    /* packetdrill's own way to write a script for both families */
    {"CMSG_LEVEL_IP", SOL_IP},
    {"CMSG_TYPE_RECVERR", IP_RECVERR},
    {"SOF_TIMESTAMPING_TX_SOFTWARE", WEIR_STAMPING_TX_SOFTWARE},
    {"SOF_TIMESTAMPING_SOFTWARE", WEIR_STAMPING_SOFTWARE},
    {"SOF_TIMESTAMPING_OPT_ID", WEIR_STAMPING_OPT_ID},
    {"SOF_TIMESTAMPING_TX_SCHED", WEIR_STAMPING_TX_SCHED},
    {"SOF_TIMESTAMPING_TX_ACK", WEIR_STAMPING_TX_ACK},
    {"SOF_TIMESTAMPING_OPT_TSONLY", WEIR_STAMPING_OPT_TSONLY},
    {"SCM_TSTAMP_SND", WEIR_STAMP_SND},
    {"SCM_TSTAMP_SCHED", WEIR_STAMP_SCHED},
    {"SCM_TSTAMP_ACK", WEIR_STAMP_ACK},
    {"SO_EE_ORIGIN_TIMESTAMPING", WEIR_NOTE_TIMESTAMPING},
    {"SO_EE_ORIGIN_ZEROCOPY", WEIR_NOTE_ZEROCOPY},
    {"SO_EE_CODE_ZEROCOPY_COPIED", WEIR_ZEROCOPY_COPIED},
    SYMBOL(MSG_FASTOPEN),
    SYMBOL(POLLIN),
    SYMBOL(POLLPRI),
    SYMBOL(POLLOUT),
    SYMBOL(POLLERR),
    SYMBOL(POLLHUP),
    SYMBOL(POLLNVAL),
    {"POLLRDHUP", WEIR_POLLRDHUP},
    SYMBOL(SIOCINQ),
    SYMBOL(SIOCOUTQ),
    SYMBOL(SIOCATMARK),
    SYMBOL(FIONREAD),
    SYMBOL(FIONBIO),
    {"TCP_ESTABLISHED", WEIR_TCP_ESTABLISHED},
    {"TCP_SYN_SENT", WEIR_TCP_SYN_SENT},
    {"TCP_SYN_RECV", WEIR_TCP_SYN_RECV},
    {"TCP_FIN_WAIT1", WEIR_TCP_FIN_WAIT1},
    {"TCP_FIN_WAIT2", WEIR_TCP_FIN_WAIT2},
    {"TCP_TIME_WAIT", WEIR_TCP_TIME_WAIT},
    {"TCP_CLOSE", WEIR_TCP_CLOSE},
    {"TCP_CLOSE_WAIT", WEIR_TCP_CLOSE_WAIT},
    {"TCP_LAST_ACK", WEIR_TCP_LAST_ACK},
    {"TCP_LISTEN", WEIR_TCP_LISTEN},
    {"TCP_CLOSING", WEIR_TCP_CLOSING},
    {"TCP_CA_Open", WEIR_CA_OPEN},
    {"TCP_CA_Disorder", WEIR_CA_DISORDER},
    {"TCP_CA_CWR", WEIR_CA_CWR},
    {"TCP_CA_Recovery", WEIR_CA_RECOVERY},
    {"TCP_CA_Loss", WEIR_CA_LOSS},
    {"TCPI_OPT_TIMESTAMPS", WEIR_TCPI_OPT_TIMESTAMPS},
    {"TCPI_OPT_SACK", WEIR_TCPI_OPT_SACK},
    {"TCPI_OPT_WSCALE", WEIR_TCPI_OPT_WSCALE},
    {"TCPI_OPT_ECN", WEIR_TCPI_OPT_ECN},
    {"TCPI_OPT_ECN_SEEN", WEIR_TCPI_OPT_ECN_SEEN},
    {"TCPI_OPT_SYN_DATA", WEIR_TCPI_OPT_SYN_DATA},
    {"True", 1},
    {"False", 0},
};

/* Scripts may name every error that Linux's calls can give, ours or not. */
static const struct {
    const char *name;
    int value;
} errors[] = {
    SYMBOL(E2BIG),           SYMBOL(EACCES),          SYMBOL(EADDRINUSE),
    SYMBOL(EADDRNOTAVAIL),   SYMBOL(EAFNOSUPPORT),    SYMBOL(EAGAIN),
    SYMBOL(EALREADY),        SYMBOL(EBADF),           SYMBOL(EBUSY),
    SYMBOL(ECONNABORTED),    SYMBOL(ECONNREFUSED),    SYMBOL(ECONNRESET),
    SYMBOL(EDESTADDRREQ),    SYMBOL(EEXIST),          SYMBOL(EFAULT),
    SYMBOL(EHOSTDOWN),       SYMBOL(EHOSTUNREACH),    SYMBOL(EINPROGRESS),
    SYMBOL(EINTR),           SYMBOL(EINVAL),          SYMBOL(EIO),
    SYMBOL(EISCONN),         SYMBOL(EMFILE),          SYMBOL(EMSGSIZE),
    SYMBOL(ENETDOWN),        SYMBOL(ENETUNREACH),     SYMBOL(ENOBUFS),
    SYMBOL(ENODEV),          SYMBOL(ENOMSG),          SYMBOL(ENOENT),
    SYMBOL(ENOMEM),          SYMBOL(ENOPROTOOPT),     SYMBOL(ENOTCONN),
    SYMBOL(ENOTSOCK),        SYMBOL(EOPNOTSUPP),      SYMBOL(EPERM),
    SYMBOL(EPIPE),           SYMBOL(EPROTO),          SYMBOL(EPROTONOSUPPORT),
    SYMBOL(EPROTOTYPE),      SYMBOL(ESOCKTNOSUPPORT), SYMBOL(ETIMEDOUT),
    {"EWOULDBLOCK", EAGAIN}, {"ENOTSUP", EOPNOTSUPP},
};

bool wr_dr_symbol(const char *name, int64_t *value)
{
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++)
        if (strcmp(symbols[i].name, name) == 0) {
            *value = symbols[i].value;
            return true;
        }
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (strcmp(errors[i].name, name) == 0) {
            *value = errors[i].value;
            return true;
        }
    return false;
}

const char *wr_dr_errno_name(int error)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].value == error)
            return errors[i].name;
    return "an unknown error";
}
