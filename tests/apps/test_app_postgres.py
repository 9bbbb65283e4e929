# SPDX-License-Identifier: MIT
"""PostgreSQL with psql and pgbench: a process for each connection, and a second connection to cancel a query."""
import glob
import hashlib
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

import apps
import places

BIN = next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)), "")
POSTGRES = shutil.which("postgres", path=BIN) or shutil.which("postgres")

pytestmark = pytest.mark.skipif(POSTGRES is None, reason="needs postgresql")


@pytest.fixture(scope="module")
def cluster():
    """An empty cluster, made on the kernel, of a user without privilege: PostgreSQL runs for no other."""
    folder = Path(tempfile.mkdtemp(prefix="weir-postgres-"))
    folder.chmod(0o777)
    words = [f"{BIN}/initdb", "-D", folder / "data", "--no-sync", "-A", "trust", "-U", "weir",
             "--no-locale", "-E", "UTF8"]
    subprocess.run([*(apps.NOBODY if apps.is_root() else []), *words], check=True, cwd=folder,
                   stdout=subprocess.DEVNULL)
    with open(folder / "data" / "pg_hba.conf", "a", encoding="ascii") as file:
        file.write("host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n")
    yield folder / "data"
    shutil.rmtree(folder)


class Database:
    """PostgreSQL on the server's host, and its clients on the client's."""

    def __init__(self, hosts, data, *settings):
        self.hosts = hosts
        user = "nobody" if apps.is_root() and hosts.arrangement != "nobody" else None
        settings = ("fsync=off", "ssl=off", "listen_addresses=*", "unix_socket_directories=",
                    "shared_buffers=16MB", "max_connections=40", "max_wal_size=256MB", *settings)
        self.server = hosts.server.start(POSTGRES, "-D", data, user=user, listens=5432,
                                         *[word for s in settings for word in ("-c", s)])
        self.env = {"PGHOST": hosts.server.addr, "PGUSER": "weir", "PGDATABASE": "postgres",
                    "PATH": f"{BIN}:/usr/bin:/bin", "PGCONNECT_TIMEOUT": "10"}
        places.until(lambda: self.client(f"{BIN}/pg_isready", "-q").status == 0, "ready")

    def client(self, *words, **env):
        return self.hosts.client.run(*words, env={**self.env, **env})

    def psql(self, *commands, **env):
        """The answers, one line a row, fields between bars."""
        words = [w for command in commands for w in ("-c", command)]
        ran = self.client(f"{BIN}/psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *words, **env)
        assert ran.status == 0 and ran.err == "", ran
        return ran.out.splitlines()

    def stop(self):
        status = self.server.stop(signal.SIGINT)
        assert status == 0, f"status {status}\n{self.server.err}"


@pytest.fixture
def database(hosts, cluster):
    made = Database(hosts, cluster, "tcp_keepalives_idle=40", "tcp_keepalives_interval=7",
                    "tcp_keepalives_count=3", "tcp_user_timeout=30000")
    yield made
    made.stop()


@places.arrange(*places.ARRANGEMENTS, "one", "nobody")
def test_pgbench_keeps_its_books(database):
    ran = database.client(f"{BIN}/pgbench", "-i", "-s", "1", "-q")
    assert ran.status == 0, ran
    ran = database.client(f"{BIN}/pgbench", "-n", "-c", "8", "-j", "2", "-t", "40")
    assert ran.status == 0 and "processed: 320/320" in ran.out, ran
    # A connection for each transaction, and a process for each connection.
    ran = database.client(f"{BIN}/pgbench", "-n", "-C", "-S", "-c", "4", "-j", "2", "-t", "15")
    assert ran.status == 0 and "processed: 60/60" in ran.out, ran
    ran = database.client(f"{BIN}/pgbench", "-n", "-M", "prepared", "-S", "-c", "2", "-t", "200")
    assert ran.status == 0 and "processed: 400/400" in ran.out, ran
    count, *sums = database.psql("select count(*), sum(delta), (select sum(abalance) from pgbench_accounts), "
                                 "(select sum(bbalance) from pgbench_branches) from pgbench_history")[0].split("|")
    assert count == "320" and len(set(sums)) == 1, (count, sums)


def test_megabytes_are_copied_in_and_out(database):
    """COPY both ways, and a single row of 8 MB."""
    rows = "".join(f"{i}\t{hashlib.md5(b'%d' % i).hexdigest() * 3}\n" for i in range(40_000))
    (database.hosts.folder / "rows").write_text(rows)
    out = database.psql("create table t (i int, s text)", r"\copy t from 'rows'",
                        "select count(*), sum(length(s)) from t", r"\copy t to 'back'",
                        "select md5(repeat('weir', 2000000))", "select repeat('weir', 2000000)",
                        "drop table t")
    assert out[0] == "40000|3840000"
    assert (database.hosts.folder / "back").read_text() == rows
    assert out[1:] == [hashlib.md5(b"weir" * 2_000_000).hexdigest(), "weir" * 2_000_000]


def test_a_query_is_cancelled_by_a_second_connection(database):
    started = database.hosts.client.start(f"{BIN}/psql", "-XAt", "-c", "select pg_sleep(60)", env=database.env)
    places.until(lambda: database.psql("select state from pg_stat_activity where query = 'select pg_sleep(60)'") ==
                 ["active"], "the query runs")
    started.kill(signal.SIGINT)
    assert started.wait(apps.HANG) == 1 and "canceling statement due to user request" in started.err, started


def open_session(database):
    """A psql that waits for its next command, and the process that serves it."""
    psql = database.hosts.client.start(f"{BIN}/psql", "-XAt", env=database.env, stdin="pipe", stdout="pipe")
    psql.stdin.write(b"select pg_backend_pid();\n\\echo and waits\n")
    pid = int(psql.stdout.readline())
    assert psql.stdout.readline() == b"and waits\n"
    return psql, pid


def ask_again(psql):
    psql.stdin.write(b"select 1;\n\\q\n")
    assert psql.wait(apps.HANG) == 2 and "connection to server was lost" in psql.err, psql
    return psql.err


def test_a_server_process_that_ends_is_told(database):
    psql, pid = open_session(database)
    assert database.psql(f"select pg_terminate_backend({pid}, 5000)") == ["t"]
    assert "terminating connection due to administrator command" in ask_again(psql)
    # A process that is killed brings down all; the connections end, and the server comes back.
    psql, pid = open_session(database)
    database.hosts.server.run("kill", "-9", pid)
    assert "terminated abnormally" in ask_again(psql)
    places.until(lambda: database.client(f"{BIN}/pg_isready", "-q").status == 0, "back")
    assert database.psql("select 1") == ["1"]


def test_what_it_knows_of_its_connection(database):
    """Addresses, and the options that it sets and asks the socket for."""
    hosts = database.hosts
    show = ["tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout"]
    asked = ", ".join(f"current_setting('{name}')" for name in show)
    for server, client, family in ((hosts.server.addr, hosts.client.addr, 32),
                                   (hosts.server.addr6, hosts.client.addr6, 128)):
        row = database.psql(f"select inet_server_addr(), inet_server_port(), inet_client_addr(), {asked}",
                            PGHOST=server, PGOPTIONS="-c tcp_keepalives_count=5")[0].split("|")
        assert row[:3] == [server, "5432", client], (row, family)
        assert row[3:] == ["40", "7", "5", "30000"], row
    conninfo = f"host={hosts.server.addr} keepalives_idle=20 keepalives_interval=3 tcp_user_timeout=9000"
    started = hosts.client.start(f"{BIN}/psql", "-XAt", conninfo, env=database.env, stdin="pipe", stdout="pipe")
    started.stdin.write(b"select 7;\n")
    assert started.stdout.readline() == b"7\n"
    rows = hosts.client.sockets("-o", "state", "established", "dport", "=", ":5432")
    assert len(rows) == 1 and re.search(r"timer:\(keepalive,(20|1\d)(\.\d+)?sec", rows[0]), rows
    started.stdin.write(b"\\q\n")
    assert started.wait(apps.HANG) == 0, started
