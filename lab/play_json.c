/* SPDX-License-Identifier: MIT */
/* Results of a play as JSON. Integers throughout, so that equal runs give equal bytes. */
#include <inttypes.h>
#include <stdio.h>

#include <weir/stack.h>

#include "lab/lab_json.h"
#include "lab/play_int.h"

static int put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value);
}

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *moment(weir_time at)
{
    return wr_lab_json_time(at < 0 ? -1 : at - LAB_EPOCH);
}

static json_t *info_json(const struct weir_tcp_info *info)
{
    json_t *object = json_object();
    size_t count;
    const struct weir_tcp_info_field *fields = weir_tcp_info_fields(&count);
    for (size_t i = 0; i < count; i++)
        put(object, fields[i].name, integer(weir_tcp_info_value(info, &fields[i])));
    return object;
}

static json_t *sock_json(const struct play *play, const struct play_sock *sock)
{
    json_t *object = json_object();
    put(object, "host", json_string(play->host[sock->host].name));
    put(object, "opened_us", moment(sock->opened_at));
    put(object, "error",
        sock->error == 0 ? json_null() : json_string(weir_error_name(sock->error)));
    put(object, "error_us", moment(sock->error_at));
    put(object, "closed_us", moment(sock->closed_at));
    put(object, "crashed", json_boolean(sock->crashed));
    if (sock->listens) {
        put(object, "accepted", integer(sock->n_accepted));
        return object;
    }
    put(object, "connected_us", moment(sock->connected_at));
    put(object, "eof_us", moment(sock->eof_at));
    put(object, "sent", integer(sock->sent));
    put(object, "received", integer(sock->received));
    put(object, "corrupt", json_boolean(sock->corrupt));
    if (sock->has_info)
        put(object, "info", info_json(&sock->info));
    return object;
}

static json_t *host_json(const struct play_host *host)
{
    char addr[WEIR_ADDR_STRLEN];
    json_t *object = json_object();
    weir_addr_format(&host->host->addr, addr, sizeof addr);
    put(object, "addr", json_string(addr));
    put(object, "counters", wr_lab_json_counters(&host->host->stack, 1));
    return object;
}

static json_t *series_json(const struct play_link *link)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < link->n_series; i++) {
        const struct lab_queue_sample *s = &link->series[i];
        const uint64_t row[] = {
            (uint64_t)(s->at / WEIR_US), s->packets, s->bytes, s->out_bytes, s->dropped, s->marked};
        wr_lab_json_row(rows, row, sizeof row / sizeof *row);
    }
    return rows;
}

static json_t *link_json(const struct play *play, const struct play_link *link)
{
    weir_time elapsed = play->net.now - LAB_EPOCH;
    const struct lab_queue *forward = wr_lab_link_queue(link->link[0]);
    const struct lab_queue *back = wr_lab_link_queue(link->link[1]);
    json_t *object = json_object();
    json_t *queue = wr_lab_json_queue(&forward->config, &forward->stats, elapsed);
    put(queue, "series_columns",
        wr_lab_json_columns("t_us packets bytes out_bytes dropped marked"));
    put(queue, "series", series_json(link));
    put(object, "forward", queue);
    put(object, "back", wr_lab_json_queue(&back->config, &back->stats, elapsed));
    return object;
}

json_t *wr_play_json(const struct play *play)
{
    char trace[24];
    json_t *object = json_object(), *hosts = json_object(), *socks = json_object();
    json_t *links = json_object();
    snprintf(trace, sizeof trace, "%016" PRIx64, play->trace);
    put(object, "seed", integer(play->net.seed));
    put(object, "elapsed_us", moment(play->net.now));
    put(object, "trace", json_string(trace));
    put(object, "dropped", wr_lab_json_drops(play->net.dropped));
    for (unsigned i = 0; i < play->n_hosts; i++)
        put(hosts, play->host[i].name, host_json(&play->host[i]));
    put(object, "hosts", hosts);
    for (size_t i = 0; i < play->n_socks; i++)
        put(socks, play->sock[i].name, sock_json(play, &play->sock[i]));
    put(object, "sockets", socks);
    for (unsigned i = 0; i < play->n_links; i++)
        put(links, play->link[i]->name, link_json(play, play->link[i]));
    put(object, "links", links);
    if (play->net.tape != NULL)
        put(object, "tape", wr_lab_tape_json(play->net.tape, LAB_EPOCH));
    return object;
}
