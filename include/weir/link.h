/* SPDX-License-Identifier: MIT */
/*
 * Links: what carries frames between a stack and the world. A link is driven by whoever drives the
 * stack: frames from weir_output() go to send, frames from recv go to weir_input(). Links that wrap
 * a link (impairments, capture) have the same face. All work in virtual time too, but those with a
 * file descriptor.
 *
 * Anyone may write a link: fill in weir_link_ops, embed struct weir_link at the front of a struct.
 */
#ifndef WEIR_LINK_H
#define WEIR_LINK_H

#include <weir/stack.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_link;

struct weir_link_ops {
    /* Sends a frame; it is borrowed until the call returns. 0, WEIR_EAGAIN (full now: the caller keeps
     * the frame and tries again when the descriptor is writable or at the deadline), or an error that
     * loses this frame. */
    int (*send)(struct weir_link *link, const struct weir_out *frame, weir_time now);
    /* Takes the next frame that came in: 1 and *frame (lent until the next call on the link), 0 when
     * there is none, or an error (WEIR_ENETDOWN: the link is gone for good). */
    int (*recv)(struct weir_link *link, struct weir_frame *frame, weir_time now);
    /* When recv or send should be tried again without any event from outside; WEIR_TIME_NEVER. */
    weir_time (*deadline)(const struct weir_link *link);
    /* A descriptor that becomes readable when recv has something; -1 when there is none. */
    int (*fd)(const struct weir_link *link);
    /* Frees the link and, for wrappers, the link inside. */
    void (*free)(struct weir_link *link);
    /* To be called after calls of send, be it one, and of recv, in which a wrapper may send: what a link has gathered
     * leaves now. Returns how many frames that send had taken were lost since it was called last. NULL: it gathers
     * nothing. */
    unsigned (*flush)(struct weir_link *link, weir_time now);
    /* As recv, but it may leave a frame's data in the room (weir_input_room()). NULL: it has no use for room. */
    int (*recv_room)(struct weir_link *link, const struct weir_room *room, struct weir_frame *frame,
                     weir_time now);
    /* Sends frames in order, all borrowed until the call returns. Returns how many are done with, from the first one
     * on: taken, and of those that are lost flush tells. When it returns less than n it takes no more at a time, and did at
     * least one, or *rc is WEIR_EAGAIN or WEIR_ENETDOWN; else that is 0. NULL: one by one is as well. */
    unsigned (*send_many)(struct weir_link *link, const struct weir_out *frames, unsigned n,
                          int *rc, weir_time now);
    /* recv_room is at least as good as recv for frames of any size, not for large ones alone. */
    bool room_for_all;
};

struct weir_link {
    const struct weir_link_ops *ops;
    struct weir_netif_config netif; /* how an interface on this link must be configured */
};

/* ---- TUN and TAP ------------------------------------------------------------------------------- */

struct weir_tun_config {
    const char *name;  /* interface name, may hold %d; NULL: "weir%d" */
    bool tap;          /* Ethernet frames instead of IP packets */
    bool offload;      /* IFF_VNET_HDR with checksum and TSO both ways where the kernel has it */
    bool plain;        /* not in software either: else a link without TSO has weir_link_offload() */
    uint32_t mtu;      /* 0: what the interface has */
    const char *netns; /* name of a network namespace made with ip netns, or NULL: this one's */
};
/* Opens (or makes) a TUN or TAP interface. The kernel's side is neither set up nor given an address:
 * see weir_tun_configure(). One in use is asked for again for half a second. Negative error: WEIR_EPERM,
 * WEIR_EBUSY, ... */
int weir_link_tun(const struct weir_tun_config *config, struct weir_link **link);
/* The same from a descriptor opened elsewhere, but nothing is done in software; takes ownership of it. */
int weir_link_tun_fd(int fd, bool tap, bool offload, uint32_t mtu, struct weir_link **link);
/* Sets the kernel's side of the interface up with an address, in the namespace it is in. */
int weir_tun_configure(struct weir_link *link, const struct weir_addr *addr, unsigned prefix_len,
                       uint32_t mtu);

/* ---- beside the kernel on its own interface ------------------------------------------------------ */

/* Both kinds share an interface of the kernel's, as another machine at the same cable: with an Ethernet
 * address of their own, for which the interface takes frames in from then on. The kernel keeps all of
 * its traffic. They and the kernel do not hear each other, since what they send goes out by the
 * interface; two hosts with a packet link on one interface do. It takes CAP_NET_RAW (packet), and CAP_NET_ADMIN
 * and CAP_BPF too (xdp). A wireless interface carries no second address, as a rule. */

struct weir_packet_config {
    const char *ifname;
    const char *netns; /* as of weir_tun_config */
    uint8_t mac[6];    /* zeros: a random one, locally administered */
    bool offload;      /* checksums and super-segments are the kernel's to finish and to cut */
    bool plain;        /* if not, nor are they ours: else weir_link_offload() */
    uint32_t mtu;      /* 0: the interface's */
};
/* AF_PACKET, packet(7). Frames with a VLAN tag are left alone. WEIR_EPERM, WEIR_ENODEV, WEIR_EINVAL (it is no
 * Ethernet interface), ... recv returns WEIR_ENETDOWN when the interface is gone for good, not while
 * it is down. */
int weir_link_packet(const struct weir_packet_config *config, struct weir_link **link);

enum weir_xdp_hook {
    WEIR_XDP_AUTO, /* of a veth the generic one, if it can (Linux 6.6); else the driver's; else the generic one */
    WEIR_XDP_NATIVE, /* the driver's: zero copy where it has that, else copied; one segment a frame */
    WEIR_XDP_GENERIC /* the kernel's own, behind its GRO; super-segments both ways */
};

struct weir_xdp_config {
    const char *ifname;
    const char *netns;
    uint8_t mac[6];
    uint32_t mtu; /* 0: the interface's; at the driver's hook at most 3822, what a buffer holds */
    enum weir_xdp_hook hook;
    bool
        plain; /* one segment a frame, for the stack too: else super-segments, in software if need be */
};
/* AF_XDP: frames for the address are taken by a program at the interface, before the kernel's stack, from all
 * of its queues; group frames, which the kernel needs too, come by a packet socket. At the generic hook TCP
 * alone is taken there, and what is sent leaves by the packet socket, where a super-segment costs the kernel what a frame costs AF_XDP.
 * Errors as above; WEIR_ENOTSUP: this kernel, or this build, has no AF_XDP; WEIR_EBUSY: the interface has an XDP program
 * already, or a queue of it a socket, and still has after half a second. `why`, when not NULL, is set to a sentence
 * for people on an error, which stays valid. */
int weir_link_xdp(const struct weir_xdp_config *config, struct weir_link **link, const char **why);

/* ---- in-process ------------------------------------------------------------------------------- */

struct weir_pipe_config {
    enum weir_netif_kind kind;
    uint32_t mtu;           /* 0: 1500 */
    uint32_t gso_max_bytes; /* super-segments pass uncut up to this size; 0: none */
    bool csum_offload;      /* frames pass with their checksum unfinished and vouched for */
    uint32_t queue_frames;  /* bound of each direction; 0: 1024 */
    bool threads;           /* the two ends are driven by different threads */
    /* Data that stays (weir_out.stays) is not copied when it is sent, but when the other end takes the frame, then to where
     * the program will read it if there is room (recv_room); or by flush. So who sends calls flush before the next call
     * on the stack that is not weir_output(), and before that lets the other end take what it can. Not with threads. On
     * Ethernet nothing stays. */
    bool lends;
};
/* Two ends of a wire without delay or loss. Freeing one end makes the other's recv WEIR_ENETDOWN. */
int weir_link_pipe(const struct weir_pipe_config *config, struct weir_link *ends[2]);

/* An Ethernet switch: learns addresses, floods what it does not know; bounded table. */
struct weir_switch;
int weir_switch_new(struct weir_switch **sw);
int weir_switch_port(struct weir_switch *sw, const uint8_t mac[6], uint32_t mtu,
                     struct weir_link **link);
void weir_switch_free(struct weir_switch *sw); /* after all its links */

/* ---- wrappers --------------------------------------------------------------------------------- */

/* Super-segments in software, for a link that has none: what the stack sends is cut into frames on its way to `inner`,
 * and segments of a connection that come in one behind the other are joined, as Linux's GSO and GRO do. So a packet's
 * work is done once for many. On the wire are the same frames as without. Owns `inner` from then on; a link that carries
 * super-segments itself is given back as it is. WEIR_ENOMEM, and `inner` stays the caller's. */
int weir_link_offload(struct weir_link *inner, struct weir_link **link);

/* Impairments for one direction or both. Super-segments are cut before they are impaired. */
struct weir_impair_config {
    uint64_t seed;
    weir_time delay;                          /* of every frame */
    weir_time jitter;                         /* uniform in -jitter..+jitter; order is kept */
    double loss, duplicate, corrupt, reorder; /* probability of each frame, 0..1 */
    weir_time reorder_delay;                  /* extra delay of a reordered frame; 0: 3 ms */
    uint64_t rate_bps;                        /* bits per second; 0: no limit */
    uint32_t queue_frames;                    /* of the rate limiter, drop-tail; 0: 1000 */
    double burst;          /* chance of each frame to begin a run of frames that are all lost */
    double burst_end;      /* and of each frame in it to be the first that is not lost any more */
    double ack_loss;       /* probability of each pure TCP acknowledgment, 0..1 */
    uint64_t police_bps;   /* a token bucket before the rate limiter, without a queue; 0: none */
    uint32_t police_bytes; /* its depth; full at first */
    weir_time stall_at;    /* after the first frame: what would arrive from then on ... */
    weir_time stall; /* ... for this long arrives at the end of it, all at once; 0: no stall */
    /* Exact rules, ';' between them: "drop data 3", "drop fin 1", "drop syn 1-2", "drop synack 1",
     * "drop ack 4", "drop rst 1", "drop frame 17", "dup data 2", "delay data 5 20ms",
     * "corrupt data 1"; NULL: none. Each direction counts for itself; "in drop data 3" and "out drop
     * data 3" hold for one of them. Ranges: "3", "3-5", "3-". A quote (') ends the text as a NUL
     * does. */
    const char *rules;
};
enum weir_impair_direction { WEIR_IMPAIR_OUT = 1, WEIR_IMPAIR_IN = 2, WEIR_IMPAIR_BOTH = 3 };
/* Wraps `inner`, which it then owns (also when the call fails it stays the caller's). WEIR_EINVAL. */
int weir_link_impair(struct weir_link *inner, const struct weir_impair_config *config,
                     enum weir_impair_direction direction, struct weir_link **link);
/* Parses "delay=20ms jitter=2ms loss=1% dup=.. corrupt=.. reorder=.. rate=100mbit queue=100 burst=..
 * burst-end=.. ack-loss=.. police=10mbit bucket=30000 stall-at=2s stall=500ms reorder-delay=.. seed=7
 * rules='...'" (spaces or commas between) into *config, which the caller zeroed. On WEIR_EINVAL *bad
 * points at the word not understood. config->rules then points into `text`. rules= without quotes
 * takes the rest of the text. */
int weir_impair_parse(const char *text, struct weir_impair_config *config, const char **bad);

/* Writes every frame that passes to a pcapng file as the wire would show it (checksums finished,
 * super-segments cut), with times of CLOCK_REALTIME or, with `virtual_time`, of `now`. Owns `inner`. */
int weir_link_pcap(struct weir_link *inner, const char *path, bool virtual_time,
                   struct weir_link **link);

/* ---- use -------------------------------------------------------------------------------------- */

static inline void weir_link_free(struct weir_link *link)
{
    if (link)
        link->ops->free(link);
}

/* Cuts a frame as a network card would (TSO, checksum) and calls `each` with every resulting plain
 * frame; stops at the first non-zero return, which it returns. For links that have no offload. */
int weir_out_segment(const struct weir_out *frame, enum weir_netif_kind kind,
                     int (*each)(void *arg, const uint8_t *frame, size_t len), void *arg);

#ifdef __cplusplus
}
#endif
#endif
