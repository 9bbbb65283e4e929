# SPDX-License-Identifier: MIT
"""Every tunable of Linux's that Weir has starts with the kernel's own default, or says here why not.

The kernel is asked in a fresh network namespace. Some of its defaults depend on the machine's memory, on
how it was built or on what its administrator has set for new namespaces; those are asked of nobody.
"""
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "apps"))
import apps  # noqa: E402

# Name: (Weir's default, why).
DIFFERENT = {
    "net.ipv4.ip_unprivileged_port_start":
        ("0", "whoever runs a host of his own is its administrator"),
}
# The kernel's own default is the machine's affair: (Weir's default, why).
OF_THE_MACHINE = {
    "net.ipv4.tcp_max_syn_backlog": ("4096", "grows with memory"),
    "net.ipv4.tcp_max_tw_buckets": ("131072", "grows with memory"),
    "net.ipv4.tcp_max_orphans": (None, "grows with memory"),
    "net.core.rmem_default": ("212992", "may be set for the machine"),
    "net.core.wmem_default": ("212992", "may be set for the machine"),
    "net.core.rmem_max": ("4194304", "may be set for the machine; 212992 before Linux 6.18"),
    "net.core.wmem_max": ("4194304", "may be set for the machine; 212992 before Linux 6.18"),
    "net.core.somaxconn": ("4096", "128 before Linux 5.4"),
    "net.core.busy_poll": ("0", "may be set for the machine, and has one for all namespaces"),
    "net.ipv4.tcp_rmem": ("4096\t131072\t33554432", "grows with memory; 6 MiB before Linux 6.18"),
    "net.ipv4.tcp_mem": ("92160\t122880\t184320", "computed from the machine's memory"),
    "net.ipv4.tcp_wmem": ("4096\t16384\t4194304", "grows with memory"),
    "net.ipv4.tcp_congestion_control": ("cubic", "a new namespace has the first one's"),
    "net.ipv4.tcp_available_congestion_control": (None, "what the kernel was built with"),
    "net.ipv4.tcp_allowed_congestion_control": (None, "Weir restricts none at first"),
    "net.ipv4.tcp_fastopen_key": (None, "a secret"),
    "net.ipv4.neigh.default.gc_thresh3": ("1024", "one for all namespaces"),
}
# These have no instance in a namespace of their own but that of its loopback interface.
NEIGH, OF_LO = "net.ipv4.neigh.default.", "net.ipv4.neigh.lo."
# A newer kernel has it, an older one need not.
NEW = {"net.ipv4.tcp_rto_max_ms": (6, 15), "net.ipv4.tcp_rto_min_us": (6, 11),
       "net.ipv4.tcp_tw_reuse_delay": (6, 14), "net.ipv4.tcp_syn_linear_timeouts": (6, 5)}


def table(words):
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60)
    return dict(line.split(" = ", 1) if " = " in line else (line.split(" =")[0], "")
                for line in ran.stdout.splitlines() if " =" in line)


@pytest.fixture(scope="module")
def weir_table():
    name = f"tunables-{os.getpid()}"
    host = subprocess.Popen([apps.WEIR, "run", "--host", name, "--", "sleep", "60"])
    try:
        for _ in range(100):
            found = table([apps.WEIR, "sysctl", "--host", name, "-a"])
            if found:
                return found
        raise AssertionError("the host does not answer")
    finally:
        host.terminate()
        host.wait(10)


@pytest.fixture(scope="module")
def kernel_table():
    found = table(["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--net",
                   "sysctl", "-a"])
    if not found:
        pytest.skip("no network namespace can be had, or sysctl(8) is missing")
    return found


def kernel_version():
    return tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])


def test_defaults_are_the_kernels(weir_table, kernel_table):
    wrong = []
    for name, value in weir_table.items():
        if name.startswith("weir.") or name in OF_THE_MACHINE or kernel_version() < NEW.get(name, (0,)):
            continue
        kernel_name = name.replace(NEIGH, OF_LO)
        if kernel_name not in kernel_table:
            wrong.append(f"{name}: the kernel has no such name")
        elif name in DIFFERENT:
            if kernel_table[kernel_name] == DIFFERENT[name][0]:
                wrong.append(f"{name}: is listed as different, and is not")
        elif value != kernel_table[kernel_name]:
            wrong.append(f"{name}: {value!r}, the kernel has {kernel_table[kernel_name]!r}")
    assert not wrong, "\n".join(wrong)


def test_listed_values_are_what_the_lists_say(weir_table):
    for name, (value, _) in {**DIFFERENT, **OF_THE_MACHINE}.items():
        if value is not None:
            assert weir_table[name] == value, name


def test_what_the_lists_name_exists_in_the_kernel(kernel_table):
    missing = [name for name in {**DIFFERENT, **OF_THE_MACHINE} if name not in kernel_table
               and not name.startswith(("net.core.", NEIGH))]
    # not seen from a namespace of one's own
    assert set(missing) <= {"net.ipv4.tcp_max_orphans", "net.ipv4.tcp_mem"}, missing


def test_enough_of_tcps_tunables_are_there(weir_table):
    assert sum(name.startswith("net.ipv4.tcp_") for name in weir_table) >= 30, sorted(weir_table)
