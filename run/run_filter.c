/* SPDX-License-Identifier: MIT */
/*
 * The seccomp filter: which calls the supervisor hears of.
 *
 *   notified   socket() of AF_INET or AF_INET6 and SOCK_STREAM; bind connect listen accept accept4
 *              getsockname getpeername setsockopt getsockopt shutdown; sendto with an address; sendto, sendmsg and sendmmsg with
 *              MSG_FASTOPEN or MSG_MORE; recvfrom and recvmsg with MSG_TRUNC; these and recvmmsg with MSG_ERRQUEUE; ioctl SIOCOUTQ; open and openat
 *              where a name cannot be covered; kill and its like, for the signals that programs handle
 *   refused    io_uring_setup (ENOSYS: programs fall back), since its own socket operations pass seccomp
 *              by; the socket calls of foreign architectures (ENOSYS); without a network namespace also
 *              Internet and packet sockets other than TCP (EACCES)
 *   untouched  everything else: reading and writing cost nothing but the filter's run (50 ns)
 *
 * A filter cannot tell whose descriptor an argument is, so calls on other sockets are notified too and
 * then continued. WAIT_KILLABLE_RECV keeps signals from tearing a call out of the supervisor's hands
 * between receipt and answer, which loses descriptors and duplicates calls (see run_park.c for what
 * that asks in return).
 */
#define _GNU_SOURCE /* memfd_create */
#include <errno.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/sockios.h>
#include <seccomp.h>

#include "run/run_int.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#    define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#define LOW32 0xffffffffull /* int arguments: the upper half of the register is not looked at */

static int notify_socket(scmp_filter_ctx ctx, int family)
{
    return seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(socket), 2,
                            SCMP_A0(SCMP_CMP_MASKED_EQ, LOW32, (uint64_t)family),
                            SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM));
}

/* What a pair does not do as TCP does. */
static int notify_flags(scmp_filter_ctx ctx)
{
    static const struct {
        int call;
        unsigned flags_at;
        uint64_t mask, flags;
    } calls[] = {
        {SCMP_SYS(sendmsg), 2, MSG_FASTOPEN, MSG_FASTOPEN},
        {SCMP_SYS(sendmsg), 2, MSG_FASTOPEN | MSG_MORE, MSG_MORE},
        {SCMP_SYS(sendmmsg), 3, MSG_FASTOPEN, MSG_FASTOPEN},
        {SCMP_SYS(sendmmsg), 3, MSG_FASTOPEN | MSG_MORE, MSG_MORE},
        {SCMP_SYS(recvfrom), 3, MSG_ERRQUEUE | MSG_TRUNC, MSG_TRUNC},
        {SCMP_SYS(recvmsg), 2, MSG_ERRQUEUE | MSG_TRUNC, MSG_TRUNC},
    };
    int err = 0;
    for (size_t i = 0; !err && i < sizeof calls / sizeof *calls; i++)
        err = seccomp_rule_add(
            ctx, SCMP_ACT_NOTIFY, calls[i].call, 1,
            SCMP_CMP64(calls[i].flags_at, SCMP_CMP_MASKED_EQ, calls[i].mask, calls[i].flags));
    return err;
}

/* A pair has no error queue: such a call would read, or wait for, the stream's bytes. */
static int notify_error_queue(scmp_filter_ctx ctx)
{
    static const struct {
        int call;
        unsigned flags_at;
    } reads[] = {{SCMP_SYS(recvmsg), 2}, {SCMP_SYS(recvfrom), 3}, {SCMP_SYS(recvmmsg), 3}};
    int err = 0;
    for (size_t i = 0; !err && i < sizeof reads / sizeof *reads; i++)
        err = seccomp_rule_add(
            ctx, SCMP_ACT_NOTIFY, reads[i].call, 1,
            SCMP_CMP64(reads[i].flags_at, SCMP_CMP_MASKED_EQ, MSG_ERRQUEUE, MSG_ERRQUEUE));
    return err;
}

/* run_heard.c. Of the signals that programs have handlers for; not SIGURG, which runtimes use to interrupt their
 * threads, and which their handlers have restart calls. */
static int notify_signals(scmp_filter_ctx ctx)
{
    static const struct {
        int call;
        unsigned signal_at;
    } sends[] = {{SCMP_SYS(kill), 1},
                 {SCMP_SYS(tkill), 1},
                 {SCMP_SYS(tgkill), 2},
                 {SCMP_SYS(rt_sigqueueinfo), 1},
                 {SCMP_SYS(rt_tgsigqueueinfo), 2},
                 {SCMP_SYS(pidfd_send_signal), 1}};
    static const int signals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1, SIGUSR2,
                                  SIGALRM, SIGTERM, SIGCHLD, SIGWINCH};
    int err = 0;
    for (size_t i = 0; i < sizeof sends / sizeof *sends; i++)
        for (size_t k = 0; !err && k < sizeof signals / sizeof *signals; k++)
            err = seccomp_rule_add(
                ctx, SCMP_ACT_NOTIFY, sends[i].call, 1,
                SCMP_CMP64(sends[i].signal_at, SCMP_CMP_MASKED_EQ, LOW32, (uint64_t)signals[k]));
    return err;
}

static int notify_calls(scmp_filter_ctx ctx)
{
    static const int whole[] = {
        SCMP_SYS(bind),       SCMP_SYS(connect),     SCMP_SYS(listen),      SCMP_SYS(accept),
        SCMP_SYS(accept4),    SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(setsockopt),
        SCMP_SYS(getsockopt), SCMP_SYS(shutdown),
    };
    int err = notify_socket(ctx, AF_INET);
    if (!err)
        err = notify_socket(ctx, AF_INET6);
    for (size_t i = 0; !err && i < sizeof whole / sizeof *whole; i++)
        err = seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, whole[i], 0);
    if (!err)
        err = seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(sendto), 1, SCMP_A4(SCMP_CMP_NE, 0));
    if (!err)
        err = seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(sendto), 2, SCMP_A4(SCMP_CMP_EQ, 0),
                               SCMP_A3(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN));
    if (!err)
        err = seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(sendto), 2, SCMP_A4(SCMP_CMP_EQ, 0),
                               SCMP_A3(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN | MSG_MORE, MSG_MORE));
    if (!err)
        err = notify_flags(ctx);
    if (!err)
        err = notify_error_queue(ctx);
    if (!err)
        err = notify_signals(ctx);
    if (!err)
        err = seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(ioctl), 1,
                               SCMP_A1(SCMP_CMP_MASKED_EQ, LOW32, SIOCOUTQ));
    if (!err)
        err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0);
    return err;
}

/* Internet sockets that are not TCP, and AF_PACKET, would reach the machine's own network. */
static int refuse_native_sockets(scmp_filter_ctx ctx)
{
    static const int families[] = {AF_INET, AF_INET6};
    int err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1,
                               SCMP_A0(SCMP_CMP_MASKED_EQ, LOW32, AF_PACKET));
    for (int f = 0; f < 2; f++) {
        for (unsigned type = 0; !err && type < 16; type++) {
            if (type == SOCK_STREAM)
                continue;
            err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 2,
                                   SCMP_A0(SCMP_CMP_MASKED_EQ, LOW32, (uint64_t)families[f]),
                                   SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, type));
        }
    }
    return err;
}

/* Programs of another word size than the supervisor's are told that there are no sockets. */
static int refuse_foreign(scmp_filter_ctx ctx)
{
#if defined(__x86_64__) && !defined(__ILP32__)
    static const uint32_t foreign[] = {SCMP_ARCH_X86, SCMP_ARCH_X32};
#elif defined(__aarch64__)
    static const uint32_t foreign[] = {SCMP_ARCH_ARM};
#else
    static const uint32_t foreign[] = {SCMP_ARCH_NATIVE};
#endif
    int err = 0;
    for (size_t i = 0; !err && i < sizeof foreign / sizeof *foreign; i++) {
        if (foreign[i] == SCMP_ARCH_NATIVE)
            continue;
        scmp_filter_ctx other = seccomp_init(SCMP_ACT_ALLOW);
        if (!other)
            return -ENOMEM;
        err = seccomp_arch_remove(other, SCMP_ARCH_NATIVE);
        if (!err)
            err = seccomp_arch_add(other, foreign[i]);
        if (!err)
            err = seccomp_rule_add(other, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(socket), 0);
        if (!err && foreign[i] == SCMP_ARCH_X86)
            err = seccomp_rule_add(other, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(socketcall), 0);
        if (!err)
            err = seccomp_rule_add(other, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0);
        if (!err)
            err = seccomp_merge(ctx, other); /* releases `other` when it succeeds */
        if (err)
            seccomp_release(other);
    }
    return err;
}

/* libseccomp hands its program out through a descriptor. */
static int export_program(scmp_filter_ctx ctx, struct sock_fprog *fprog)
{
    struct stat st;
    int err = 0;
    int fd = memfd_create("weir-filter", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    fprog->filter = NULL;
    err = seccomp_export_bpf(ctx, fd);
    if (!err && fstat(fd, &st) < 0)
        err = -errno;
    if (!err) {
        fprog->len = (unsigned short)((size_t)st.st_size / sizeof(struct sock_filter));
        fprog->filter = malloc((size_t)st.st_size);
        if (!fprog->filter)
            err = -ENOMEM;
        else if (pread(fd, fprog->filter, (size_t)st.st_size, 0) != st.st_size)
            err = -EIO;
    }
    if (err) {
        free(fprog->filter);
        fprog->filter = NULL;
    }
    close(fd);
    return err;
}

/* Names like /etc/hosts, where no mount can cover them (run_call_open.c). */
static int notify_opens(scmp_filter_ctx ctx)
{
    int err = seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(openat), 0);
    if (!err && SCMP_SYS(open) >= 0)
        err = seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(open), 0);
    return err;
}

int wr_run_filter_build(bool isolated, bool opens, struct sock_fprog *fprog)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int err;
    if (!ctx)
        return WEIR_ENOMEM;
    err = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
    if (!err)
        err = notify_calls(ctx);
    if (!err && !isolated)
        err = refuse_native_sockets(ctx);
    if (!err && opens)
        err = notify_opens(ctx);
    if (!err)
        err = refuse_foreign(ctx);
    if (!err)
        err = export_program(ctx, fprog);
    seccomp_release(ctx);
    return err;
}

int wr_run_filter_load(const struct sock_fprog *fprog)
{
    unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, fprog);
    if (fd < 0 && errno == EACCES) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
            return -errno;
        fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, fprog);
    }
    return fd < 0 ? -errno : (int)fd;
}
