# SPDX-License-Identifier: MIT
"""What bench/run's figures are to reach, and whether they do.

A goal compares a system's figure of a load with a reference of the same run, round by round, or with a number.
"""

import statistics
from typing import NamedTuple

import programs


class Goal(NamedTuple):
    what: str
    load: str
    system: str
    against: object  # a system of the same load, (load, system), or None: the figure itself
    goal: float      # None: it is stated alone
    most: bool = False  # the goal is the most that is allowed, not the least
    aim: float = None  # of what has no goal: what was once hoped for, shown beside
    how: str = ""       # what to ask bench/run for, where the reference is not always measured


RESPONDER, RESPONDER_PLAIN = "responder", "responder, no TSO"
BOUND, BOUND_PLAIN = "bound", "bound, no TSO"
VETH, VETH_PLAIN = "kernel veth", "kernel veth, no TSO"
TUN, TUN_PLAIN = "weir tun", "weir tun, no TSO"
CROWDED = "weir tun, 20000 + 20000"
PACKET, XDP, XDP_NATIVE = "weir packet veth", "weir xdp veth", "weir xdp veth, native"
PIPE, PIPE_MTU = "weir pipe", "weir pipe, MTU 1500"
FEW, MANY, TURNS = "10 connections", "1000000 connections", "100000 connections"
KERNEL_FEW, KERNEL_TURNS = "kernel lo, 10 connections", "kernel lo, up to 100000 connections"

# Where the figures without a reference were set, lwIP in process moved 10.9 Gbit/s there and made 1.63 M
# round trips and 401 k connections a second. So each is also a goal as a multiple of lwIP in the same run.
LWIP = {"super": round(100 / 10.9, 1), "rr": round(2 / 1.63, 2), "crr": round(500 / 401, 2)}

GOALS = [
    Goal("bulk over TUN to Weir", "up", TUN, RESPONDER, 0.95),
    Goal("the same, to the bound", "up", TUN, BOUND, 0.95),
    Goal("the same, to the kernel's veth", "up", TUN, VETH, 1.0),
    Goal("bulk over TUN from Weir", "down", TUN, RESPONDER, 0.95),
    Goal("the same, to the bound", "down", TUN, BOUND, 0.95),
    Goal("the same, to the kernel's veth", "down", TUN, VETH, 1.0),
    Goal("bulk over TUN to Weir, no super-segments", "up", TUN_PLAIN, RESPONDER_PLAIN, 0.95),
    Goal("the same, to the bound", "up", TUN_PLAIN, BOUND_PLAIN, None),
    Goal("bulk over TUN from Weir, no super-segments", "down", TUN_PLAIN, RESPONDER_PLAIN, 0.95),
    Goal("the same, to the bound", "down", TUN_PLAIN, BOUND_PLAIN, None),
    Goal("bulk over veth to Weir, AF_PACKET", "up", PACKET, VETH, 0.5),
    Goal("bulk over veth from Weir, AF_PACKET", "down", PACKET, VETH, 0.5),
    Goal("bulk over veth to Weir, AF_XDP", "up", XDP, VETH, 0.5),
    Goal("the same, at the driver's hook, one segment a frame, to the kernel so", "up", XDP_NATIVE, VETH_PLAIN, None),
    Goal("bulk over veth from Weir, AF_XDP (leaves by its packet socket)", "down", XDP, VETH, 0.5),
    Goal("the same, at the driver's hook, one segment a frame, to the kernel so", "down", XDP_NATIVE, VETH_PLAIN, None),
    Goal("1-byte round trips over TUN", "tcp_rr", TUN, RESPONDER, 0.95),
    Goal("the same, to the bound", "tcp_rr", TUN, BOUND, None),
    Goal("connect, echo, close over TUN", "tcp_crr", TUN, RESPONDER, 0.95),
    Goal("the same, to the bound", "tcp_crr", TUN, BOUND, None),
    Goal("the same beside 20,000 connections and 20,000 in TIME-WAIT", "tcp_crr", CROWDED, RESPONDER,
         0.95),
    Goal("the same, to itself without them", "tcp_crr", CROWDED, TUN, 0.95),
    Goal("in process, bulk, MSS 1460, checksums: 4 times lwIP's 10.9", "bulk", PIPE_MTU, None, 43.6),
    Goal("the same, to lwIP in this run", "bulk", PIPE_MTU, "lwIP", 4),
    Goal("the same, to copying memory once", "bulk", PIPE_MTU, "memory copy", None),
    Goal("in process, bulk, super-segments", "bulk", PIPE, None, 100),
    Goal("the same, to lwIP in this run", "bulk", PIPE, "lwIP", LWIP["super"]),
    Goal("the same, to copying memory once", "bulk", PIPE, "memory copy", None),
    Goal("in process, 1-byte round trips", "rr", PIPE, None, 2000),
    Goal("the same, to lwIP in this run", "rr", PIPE, "lwIP", LWIP["rr"]),
    Goal("in process, connect, echo, close", "crr", PIPE, None, 500),
    Goal("the same, to lwIP in this run", "crr", PIPE, "lwIP", LWIP["crr"]),
    Goal("a packet's cost among a million connections, round trips", "crowd_rr", MANY, FEW, 1.5, True),
    Goal("a packet's cost among a million connections, connect, echo, close", "crowd_crr", MANY, FEW,
         1.5, True),
    # Flat is what others cost that are there. That each of them is cold when its turn comes is a harder question.
    Goal("a packet's cost when 100,000 connections take turns", "crowd_turn", TURNS, FEW, None, True, aim=1.5),
    Goal("the same of the kernel's own, over as many as descriptors allow", "crowd_turn", KERNEL_TURNS, KERNEL_FEW, None),
    Goal("the same 100,000, to a packet of the kernel's ten", "crowd_turn", TURNS, KERNEL_FEW, None),
    Goal("an idle connection over TUN", "idle", "weir over TUN", None, 512, True),
    Goal("an idle connection, connecting side with keepalive", "idle", "weir, connecting side", None,
         512, True),
    Goal("an idle connection, accepting side", "idle", "weir, accepting side", None, 512, True),
    Goal("an entry in SYN-RECEIVED, tables included", "records", "SYN-RECEIVED", None, 96, True),
    Goal("a record of TIME-WAIT, tables included", "records", "TIME-WAIT", None, 64, True),
    Goal("a million idle connections, both ends, at their peaks, MB", "million", "peak", None, 600, True),
    Goal("the same, the process with both in it, resident at its peak, MB", "million", "resident", None, 600, True),
    Goal("the same, the longest call of all, ms", "million", "longest call",
         None, 10, True),
    Goal("the core alone, -Os, linked into a program", "size", "core, -Os", None, 150, True),
]

# Programs are to do no less than when `weir run` was first complete, by the `weir` of that day in the same run: its
# figures then were those of another machine, for the kernel's own have changed since. 3 % are left to the machine.
FIRST_COMPLETE = "275be24275d4b7100a3b95d797f39b59adff33d5"
NO_LESS = 0.97
AIMS = {"http_new": 0.6, "http_keep": 0.8, "redis_c20": 0.8, "redis_P16": 0.8}
for _load in programs.LOADS:
    for _system, _kernel in programs.WEIR.items():
        GOALS.append(Goal(f"{_load}, {_system}, to itself when first complete", _load, _system,
                          programs.THEN[_system], NO_LESS, how=f"--before {FIRST_COMPLETE[:7]}"))
        GOALS.append(Goal("the same, to the kernel", _load, _system, _kernel, None, aim=AIMS.get(_load)))


def spread(values):
    return statistics.median(values), min(values), max(values)


def evaluate(figures, units):
    """One dict a goal whose load was measured. `figures` is {load: {system: [value of each round]}}."""
    table = []
    for goal in GOALS:
        if goal.load not in figures:
            continue
        row = {"what": goal.what, "load": goal.load, "system": goal.system, "goal": goal.goal,
               "at_most": goal.most, "aim": goal.aim, "unit": units.get(goal.load, "")}
        mine = figures[goal.load].get(goal.system)
        base = figures[goal.load].get(goal.against) if goal.against else None
        if not mine or (goal.against and not base):
            missing = goal.how or (goal.against if mine else goal.system)
            table.append(row | {"missing": missing})
            continue
        values = [a / b for a, b in zip(mine, base)] if base else mine
        middle, least, most = spread(values)
        row |= {"value": middle, "min": least, "max": most, "against": goal.against,
                "figure": statistics.median(mine)}
        if goal.goal is not None:
            row["short"] = middle > goal.goal if goal.most else middle < goal.goal
        table.append(row)
    return table


def verdict(row):
    if "missing" in row:
        return f"not measured ({row['missing']})"
    if row["goal"] is None:
        if row["aim"] is None:
            return "stated"
        if row["at_most"]:
            return "stated, above its aim" if row["value"] > row["aim"] else "stated, its aim reached"
        return "stated, below its aim" if row["value"] < row["aim"] else "stated, its aim reached"
    return "SHORT" if row["short"] else "reached"


def number(value):
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def cells(row):
    """what, figure, to what, ratio or value, spread, goal, verdict: as texts."""
    sign = "at most " if row["at_most"] else ""
    goal = "" if row["goal"] is None else f"{sign}{row['goal']:g}"
    if row["aim"] is not None:
        goal = f"(aim {sign}{row['aim']:g})"
    if "missing" in row:
        return [row["what"], "", "", "", goal, verdict(row)]
    return [row["what"], f"{number(row['figure'])} {row['unit']}",
            f"{number(row['value'])} x {row['against']}" if row["against"] else "",
            f"{number(row['min'])} to {number(row['max'])}", goal, verdict(row)]


HEAD = ["row", "figure", "to its reference", "least to most", "goal", ""]


def text(table):
    rows = [HEAD, *map(cells, table)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
             for row in rows]
    short = [row["what"] for row in table if row.get("short")]
    lines.append("")
    missing = sum("missing" in row for row in table)
    lines.append(f"{len(short)} of {len(table)} fall short" + (f", {missing} are not measured" if missing else "")
                 + (":" if short else ""))
    return "\n".join(lines + ["  " + what for what in short])


def markdown(table):
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    return "\n".join(lines + ["| " + " | ".join(cells(row)) + " |" for row in table])
