/* SPDX-License-Identifier: MIT */
#include "drill/dr_conn.h"

void wr_dr_conn_restart(struct dr_conn *conn)
{
    struct weir_endpoint local = conn->local, remote = conn->remote;
    *conn = (struct dr_conn){.local = local, .remote = remote};
}

void wr_dr_conn_saw_ts(struct dr_conn *conn, uint32_t script, uint32_t live)
{
    if (!conn->ts_known) {
        conn->ts_known = true;
        conn->ts_script = script;
        conn->ts_live = live;
    }
    unsigned slot = conn->n_ts++ % DR_TS_SEEN;
    conn->ts[slot].script = script;
    conn->ts[slot].live = live;
}

uint32_t wr_dr_conn_echo(const struct dr_conn *conn, uint32_t script)
{
    unsigned n = conn->n_ts < DR_TS_SEEN ? conn->n_ts : DR_TS_SEEN;
    for (unsigned back = 1; back <= n; back++) {
        unsigned slot = (conn->n_ts - back) % DR_TS_SEEN;
        if (conn->ts[slot].script == script)
            return conn->ts[slot].live;
    }
    return conn->ts_known ? conn->ts_live + (script - conn->ts_script) : script;
}
