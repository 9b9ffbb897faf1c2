#!/usr/bin/env python3
"""Drains 60 segments beside two bare loops that pack and hash them, and asks the gate of long queues beside bare reads
of the directories: drain.py WORK RUNS (called by run.sh).

Contenders run in turn; medians and the median of pairwise ratios are printed. Segments are warm in the page cache.
"""
import os
import shutil
import statistics
import struct
import subprocess
import sys
import time

WORK, RUNS = sys.argv[1], int(sys.argv[2])
WALKEEP, BARE = WORK + "/walkeep", WORK + "/bare"
SEGMENT_BYTES = 16 << 20


# The gate of a long queue is closed.
CLOSED = 2


def timed(command):
    begin = time.perf_counter()
    ended = subprocess.run(command, cwd=WORK, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wall = (time.perf_counter() - begin) * 1000
    if ended.returncode not in (0, CLOSED if "gate" in command else 0):
        raise SystemExit(f"{command} ended with status {ended.returncode}: {ended.stdout} {ended.stderr}")
    return wall


def compare(title, baseline, contenders, setup, runs):
    results = {name: [] for name in contenders}
    order = list(contenders)
    for turn in range(-1, runs):
        for name in order:
            setup()
            os.sync()
            measured = timed(contenders[name])
            if turn >= 0:
                results[name].append(measured)
        order = order[1:] + order[:1]
    print(f"\n### {title} (n={runs}, interleaved)\n")
    print(f"| contender | median ms | x {baseline} |\n|---|---:|---:|")
    for name, measured in results.items():
        ratio = statistics.median(mine / base for mine, base in zip(measured, results[baseline]))
        print(f"| {name} | {statistics.median(measured):.1f} | {ratio:.2f} |", flush=True)


def data_directory(at):
    """What a data directory needs to be recognised, of the cluster that made the WAL; returns its WAL directory."""
    shutil.rmtree(at, ignore_errors=True)
    os.makedirs(f"{at}/global")
    os.makedirs(f"{at}/pg_wal/archive_status")
    shutil.copy(f"{WORK}/data/PG_VERSION", at)
    shutil.copy(f"{WORK}/data/global/pg_control", f"{at}/global")
    return f"{at}/pg_wal"


def renumbered(bytes_, number):
    """A segment under another number: every page's address is rewritten, its records stay."""
    bytes_ = bytearray(bytes_)
    for page in range(0, len(bytes_), 8192):
        struct.pack_into("<Q", bytes_, page + 8, number * SEGMENT_BYTES + page)
    return bytes_


def pending_segments(at, count):
    wal = data_directory(at)
    parts = [f"{WORK}/{folder}/{name}" for folder in ("packs-well", "packs-badly")
             for name in sorted(os.listdir(f"{WORK}/{folder}"))]
    paths = []
    for number in range(count):
        name = f"{1:08X}{0:08X}{number + 1:08X}"
        paths.append(f"{wal}/{name}")
        with open(parts[number % len(parts)], "rb") as part, open(paths[-1], "wb") as file:
            file.write(renumbered(part.read(), number + 1))
        open(f"{wal}/archive_status/{name}.ready", "w").close()
    return paths


def long_queue(at, count):
    """So many pending files, and their WAL files, which are empty: nobody opens them. Returns both directories."""
    wal = data_directory(at)
    for number in range(count):
        name = f"{1:08X}{number // 256:08X}{number % 256:08X}"
        for path in (f"{wal}/{name}", f"{wal}/archive_status/{name}.ready"):
            os.close(os.open(path, os.O_CREAT, 0o600))
    return [f"{wal}/archive_status", wal]


def fresh_repository():
    shutil.rmtree(WORK + "/drained", ignore_errors=True)
    subprocess.run([WALKEEP, "init", "--repo", WORK + "/drained", "-D", WORK + "/drain-data"],
                   check=True, stdout=subprocess.DEVNULL)


def warm():
    fresh_repository()
    for path in paths:
        with open(path, "rb") as file:
            while file.read(1 << 20):
                pass


paths = pending_segments(WORK + "/drain-data", 60)
halves = [" ".join(paths[start::2]) for start in (0, 1)]
drain = [WALKEEP, "drain", "--repo", WORK + "/drained", "-q", "-D"]
compare(
    "Draining 60 segments of 16 MiB", "two bare loops",
    {"two bare loops": ["sh", "-c", f"{BARE} pack {halves[0]} & {BARE} pack {halves[1]} & wait"],
     "walkeep drain -j 2": [*drain, WORK + "/drain-data", "-j", "2"]},
    warm, RUNS,
)
shutil.rmtree(WORK + "/drain-data")
for count in (100_000, 1_000_000):
    directories = long_queue(WORK + "/drain-data", count)
    gate = [WALKEEP, "gate", "-o", "repmgr", "-D", WORK + "/drain-data"]
    compare(
        f"The gate of {count:,} pending files", "a bare read of both directories",
        {"a bare read of both directories": [BARE, "list", *directories],
         "walkeep gate": gate, "walkeep gate --count-only": [*gate, "--count-only"]},
        lambda: None, RUNS,
    )
shutil.rmtree(WORK + "/drain-data")
shutil.rmtree(WORK + "/drained")
