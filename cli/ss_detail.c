/* SPDX-License-Identifier: MIT */
/* The fields of ss(8), with its names and units. */
#include "cli/ss_detail.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/info.h>

/* ---- users ------------------------------------------------------------------------------------ */

struct ss_user {
    unsigned long inode;
    int pid, fd;
    char program[20];
};

struct ss_users {
    struct ss_user *list; /* by inode, then pid, then fd */
    size_t n, cap;
};

static bool add(struct ss_users *users, const struct ss_user *user)
{
    if (users->n == users->cap) {
        size_t cap = users->cap ? users->cap * 2 : 256;
        struct ss_user *list = realloc(users->list, cap * sizeof *list);
        if (!list)
            return false;
        users->list = list;
        users->cap = cap;
    }
    users->list[users->n++] = *user;
    return true;
}

static void read_name(struct ss_user *user)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/comm", user->pid);
    FILE *in = fopen(path, "re");
    if (!in || !fgets(user->program, sizeof user->program, in))
        user->program[0] = '\0';
    if (in)
        fclose(in);
    user->program[strcspn(user->program, "\n")] = '\0';
    for (char *c = user->program; *c; c++)
        if (!isprint((unsigned char)*c) || *c == '"')
            *c = '?';
}

/* The sockets among a process's descriptors. */
static bool look_at(struct ss_users *users, int pid)
{
    struct ss_user user = {.pid = pid};
    char path[48], target[64];
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *dir = opendir(path);
    bool ok = true;
    for (struct dirent *entry; dir && ok && (entry = readdir(dir));) {
        ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1);
        target[len > 0 ? len : 0] = '\0';
        if (sscanf(target, "socket:[%lu]", &user.inode) != 1)
            continue;
        if (user.program[0] == '\0')
            read_name(&user);
        user.fd = atoi(entry->d_name);
        ok = add(users, &user);
    }
    if (dir)
        closedir(dir);
    return ok;
}

static int by_inode(const void *a, const void *b)
{
    const struct ss_user *x = a, *y = b;
    if (x->inode != y->inode)
        return x->inode < y->inode ? -1 : 1;
    return x->pid != y->pid ? x->pid - y->pid : x->fd - y->fd;
}

struct ss_users *wr_ss_users(void)
{
    struct ss_users *users = calloc(1, sizeof *users);
    DIR *proc = users ? opendir("/proc") : NULL;
    for (struct dirent *entry; proc && (entry = readdir(proc));)
        if (isdigit((unsigned char)entry->d_name[0]) && !look_at(users, atoi(entry->d_name)))
            break;
    if (proc)
        closedir(proc);
    if (users && users->n > 0)
        qsort(users->list, users->n, sizeof *users->list, by_inode);
    return users;
}

void wr_ss_users_free(struct ss_users *users)
{
    if (users)
        free(users->list);
    free(users);
}

/* The first with this inode; the others follow it. NULL: none. */
static const struct ss_user *first_of(const struct ss_users *users, unsigned long inode)
{
    size_t low = 0, high = users ? users->n : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (users->list[middle].inode < inode)
            low = middle + 1;
        else
            high = middle;
    }
    return users && low < users->n && users->list[low].inode == inode ? &users->list[low] : NULL;
}

/* Those found in /proc, else the one that the host knows. */
static json_t *users_of(const struct ss_users *users, const json_t *user)
{
    unsigned long inode = (unsigned long)json_integer_value(json_object_get(user, "inode"));
    const struct ss_user *found = inode ? first_of(users, inode) : NULL;
    json_t *array = json_array();
    for (; found && found < users->list + users->n && found->inode == inode; found++)
        json_array_append_new(array, json_pack("{s:s, s:i, s:i}", "program", found->program, "pid",
                                               found->pid, "fd", found->fd));
    if (user && json_array_size(array) == 0)
        json_array_append_new(
            array, json_pack("{s:O, s:O, s:O}", "program", json_object_get(user, "program"), "pid",
                             json_object_get(user, "pid"), "fd", json_object_get(user, "fd")));
    return array;
}

void wr_ss_print_users(const struct ss_users *users, const json_t *user)
{
    json_t *array = users_of(users, user), *one;
    size_t i;
    json_array_foreach(array, i, one)
    {
        const char *program = json_string_value(json_object_get(one, "program"));
        printf("%s(\"%s\",pid=%d,fd=%d)", i == 0 ? " users:(" : ",", program ? program : "?",
               (int)json_integer_value(json_object_get(one, "pid")),
               (int)json_integer_value(json_object_get(one, "fd")));
    }
    if (json_array_size(array) > 0)
        putchar(')');
    json_decref(array);
}

void wr_ss_add_users(const struct ss_users *users, json_t *row)
{
    json_object_set_new(row, "users", users_of(users, json_object_get(row, "user")));
    json_object_del(row, "user");
}

/* ---- timer, extended, memory ------------------------------------------------------------------ */

static long long value(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* 119min, 1min55sec, 55sec, 1.236sec, 204ms: no more than matters. */
static void print_ms(long long ms)
{
    long long seconds = ms / 1000;
    if (seconds >= 600)
        printf("%lldmin", seconds / 60);
    else if (seconds >= 60 && seconds % 60)
        printf("%lldmin%lldsec", seconds / 60, seconds % 60);
    else if (seconds >= 60)
        printf("%lldmin", seconds / 60);
    else if (seconds >= 10)
        printf("%lldsec", seconds);
    else if (seconds > 0)
        printf("%lld.%03lldsec", seconds, ms % 1000);
    else
        printf("%lldms", ms);
}

void wr_ss_print_timer(const json_t *timer)
{
    const char *name = json_string_value(json_object_get(timer, "name"));
    if (!name)
        return;
    printf(" timer:(%s,", name);
    print_ms(value(timer, "ms"));
    printf(",%lld)", value(timer, "retransmits"));
}

void wr_ss_print_extended(const json_t *row)
{
    long long inode = value(json_object_get(row, "user"), "inode");
    if (inode)
        printf(" ino:%lld", inode);
    printf(" sk:%llx", (unsigned long long)value(row, "sock"));
}

void wr_ss_print_memory(const json_t *row)
{
    const json_t *memory = json_object_get(row, "memory");
    bool listens = strcmp(json_string_value(json_object_get(row, "state")), "LISTEN") == 0;
    long long in = listens ? 0 : value(row, "recv_q"), out = listens ? 0 : value(row, "send_q");
    if (memory)
        printf(" skmem:(r%lld,rb%lld,t%lld,tb%lld,f0,w%lld,o0,bl0,d0)", in, value(memory, "rcvbuf"),
               out, value(memory, "sndbuf"), out);
}

/* ---- info ------------------------------------------------------------------------------------- */

static void if_any(const json_t *info, const char *key, const char *name)
{
    if (value(info, key) != 0)
        printf(" %s:%lld", name, value(info, key));
}

static void rate(const char *name, long long bytes_per_s, const char *colon)
{
    static const char *const units[] = {"bps", "Kbps", "Mbps", "Gbps", "Tbps"};
    double bits = (double)bytes_per_s * 8;
    unsigned unit = 0;
    for (; bits >= 1000 && unit < 4; unit++)
        bits /= 1000;
    if (bytes_per_s > 0)
        printf(" %s%s%.*f%s", name, colon, unit == 0 ? 0 : 2, bits, units[unit]);
}

static void microseconds(const json_t *info, const char *key, const char *name)
{
    long long us = value(info, key);
    if (us != 0)
        printf(" %s:%lldms", name, us / 1000);
}

static void print_options(const json_t *info)
{
    long long options = value(info, "options"), wscale = value(info, "wscale");
    const char *congestion = json_string_value(json_object_get(info, "congestion"));
    static const struct {
        int bit;
        const char *name;
    } names[] = {{WEIR_TCPI_OPT_TIMESTAMPS, "ts"},
                 {WEIR_TCPI_OPT_SACK, "sack"},
                 {WEIR_TCPI_OPT_ECN, "ecn"},
                 {WEIR_TCPI_OPT_ECN_SEEN, "ecnseen"},
                 {WEIR_TCPI_OPT_SYN_DATA, "fastopen"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (options & names[i].bit)
            printf(" %s", names[i].name);
    if (congestion && congestion[0])
        printf(" %s", congestion);
    if (options & WEIR_TCPI_OPT_WSCALE)
        printf(" wscale:%lld,%lld", wscale & 15, wscale >> 4 & 15);
}

static void print_times(const json_t *info)
{
    if (value(info, "rto"))
        printf(" rto:%lld", value(info, "rto") / 1000);
    if_any(info, "backoff", "backoff");
    if (value(info, "rtt"))
        printf(" rtt:%g/%g", (double)value(info, "rtt") / 1000,
               (double)value(info, "rttvar") / 1000);
    if (value(info, "ato"))
        printf(" ato:%lld", value(info, "ato") / 1000);
}

static void print_counts(const json_t *info)
{
    static const char *const same[] = {
        "bytes_sent", "bytes_retrans", "bytes_acked",   "bytes_received",
        "segs_out",   "segs_in",       "data_segs_out", "data_segs_in",
    };
    if_any(info, "snd_mss", "mss");
    if_any(info, "pmtu", "pmtu");
    if_any(info, "rcv_mss", "rcvmss");
    if_any(info, "advmss", "advmss");
    if_any(info, "snd_cwnd", "cwnd");
    if (value(info, "snd_ssthresh") < 0xffff)
        if_any(info, "snd_ssthresh", "ssthresh");
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if_any(info, same[i], same[i]);
}

static void print_rates(const json_t *info)
{
    long long rtt = value(info, "rtt");
    if (rtt > 0)
        rate("send", value(info, "snd_cwnd") * value(info, "snd_mss") * 1000000 / rtt, " ");
    if_any(info, "last_data_sent", "lastsnd");
    if_any(info, "last_data_recv", "lastrcv");
    if_any(info, "last_ack_recv", "lastack");
    rate("pacing_rate", value(info, "pacing_rate"), " ");
    rate("delivery_rate", value(info, "delivery_rate"), " ");
    if_any(info, "delivered", "delivered");
    if_any(info, "delivered_ce", "delivered_ce");
    if (value(info, "delivery_limited") & 1)
        fputs(" app_limited", stdout);
    microseconds(info, "busy_time", "busy");
    microseconds(info, "rwnd_limited", "rwnd_limited");
    microseconds(info, "sndbuf_limited", "sndbuf_limited");
}

static void print_losses(const json_t *info)
{
    if_any(info, "unacked", "unacked");
    if (value(info, "retrans") || value(info, "total_retrans"))
        printf(" retrans:%lld/%lld", value(info, "retrans"), value(info, "total_retrans"));
    if_any(info, "lost", "lost");
    if (value(info, "state") != WEIR_TCP_LISTEN)
        if_any(info, "sacked", "sacked");
    if_any(info, "dsack_dups", "dsack_dups");
    if (value(info, "reordering") != 3)
        if_any(info, "reordering", "reordering");
    if_any(info, "reord_seen", "reord_seen");
    if_any(info, "rcv_ooopack", "rcv_ooopack");
}

void wr_ss_print_info(const json_t *info)
{
    if (!json_is_object(info))
        return;
    print_options(info);
    if (value(info, "state") == WEIR_TCP_LISTEN)
        return;
    print_times(info);
    print_counts(info);
    print_rates(info);
    print_losses(info);
    if (value(info, "rcv_rtt"))
        printf(" rcv_rtt:%g", (double)value(info, "rcv_rtt") / 1000);
    if_any(info, "rcv_space", "rcv_space");
    if_any(info, "rcv_ssthresh", "rcv_ssthresh");
    if_any(info, "notsent_bytes", "notsent");
    if (value(info, "min_rtt"))
        printf(" minrtt:%g", (double)value(info, "min_rtt") / 1000);
    if_any(info, "snd_wnd", "snd_wnd");
    if_any(info, "rcv_wnd", "rcv_wnd");
}
