#!/usr/bin/env python3
"""Runs contenders in turn and prints medians and ratios: measure.py WORK RUNS (called by run.sh).

Each run has an untimed set-up. The time of a run is from fork to exit, as a server would see it. Memory is the
peak resident set as time(1) tells it, measured apart. A shell is started only where a contender needs one.
"""
import os
import shutil
import statistics
import struct
import subprocess
import sys
import time

WORK, RUNS = sys.argv[1], int(sys.argv[2])
DATA, OUT = WORK + "/data", WORK + "/out"
WALKEEP = WORK + "/walkeep"
PGBACKREST = ["pgbackrest", f"--config={WORK}/pgbackrest.conf", "--stanza=bench"]
STORED = f"{WORK}/pgbackrest/archive/bench/15-1"


def timed(command, cwd):
    """Wall time in ms of one command, which has to succeed."""
    begin = time.perf_counter()
    ended = subprocess.run(command, cwd=cwd, stderr=subprocess.PIPE)
    wall = (time.perf_counter() - begin) * 1000
    if ended.returncode != 0:
        raise SystemExit(f"{command} ended with status {ended.returncode}: {ended.stderr}")
    return wall


def peak_memory(command, cwd):
    """Peak resident set of one command, in MiB."""
    ended = subprocess.run(
        ["/usr/bin/time", "-f", "%M", *command], cwd=cwd, stderr=subprocess.PIPE, check=True
    )
    return int(ended.stderr.split()[-1]) / 1024


def must(command, cwd=WORK):
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def empty(*paths):
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


def compare(title, baseline, segments, contenders, setup):
    """Runs every contender on every turn, in rotating order; prints a table."""
    results = {name: [] for name in contenders}
    order = list(contenders)
    for turn in range(-1, RUNS):
        segment = segments[turn % len(segments)]
        for name in order:
            setup(name, segment)
            os.sync()
            measured = timed(contenders[name](segment), DATA)
            if turn >= 0:
                results[name].append(measured)
        order = order[1:] + order[:1]
    print(f"\n### {title} (n={RUNS}, interleaved)\n")
    print(f"| contender | median ms | x {baseline} |\n|---|---:|---:|")
    for name, runs in results.items():
        ratio = statistics.median(mine / base for mine, base in zip(runs, results[baseline]))
        print(f"| {name} | {statistics.median(runs):.1f} | {ratio:.2f} |", flush=True)


def archive(repository, *flags):
    return lambda segment: [WALKEEP, "archive", f"pg_wal/{segment}", "--repo", repository, "--ahead", "0", *flags]


def push(*flags):
    return lambda segment: [*PGBACKREST, *flags, "archive-push", f"pg_wal/{segment}"]


ZST1 = ("--compress-type=zst", "--compress-level=1")
COPY = "cp pg_wal/{0} {1}/{0}.tmp && sync {1}/{0}.tmp && mv {1}/{0}.tmp {1}/{0} && sync {1}"
CONTENDERS = {
    "cp && sync && mv && sync dir": lambda segment: ["sh", "-c", COPY.format(segment, OUT)],
    "walkeep none": archive(WORK + "/plain"),
    "pgbackrest none": push("--compress-type=none"),
    "pgbackrest zst:1": push(*ZST1),
    "walkeep zstd:1": archive(WORK + "/packed"),
}


def fresh(_name, segment):
    empty(OUT, WORK + "/plain", WORK + "/packed", f"{STORED}/{segment[:16]}")
    must(["mkdir", OUT])
    must([WALKEEP, "init", "--repo", WORK + "/plain", "--compress", "none", "-D", DATA])
    must([WALKEEP, "init", "--repo", WORK + "/packed", "-D", DATA])
    # Once a minute a call records what its node needs; the others, which are measured here, find that it did.
    for repository in ("/plain", "/packed"):
        must([WALKEEP, "claim", "--repo", WORK + repository, "-D", DATA])
    with open(f"{DATA}/pg_wal/{segment}", "rb") as warm:
        warm.read()


def names(folder):
    return sorted(os.listdir(f"{WORK}/{folder}"))


for folder, title in (("packs-well", "WAL that packs well"), ("packs-badly", "WAL that packs badly")):
    compare(f"One segment of 16 MiB, {title}", "pgbackrest zst:1", names(folder), CONTENDERS, fresh)


def stored(name, segment):
    must(CONTENDERS[name](segment), DATA)


fresh("", names("packs-well")[0])
compare(
    "A segment that is stored already", "pgbackrest zst:1", names("packs-well"),
    {name: CONTENDERS[name] for name in ("pgbackrest zst:1", "walkeep zstd:1", "walkeep none")}, stored,
)


def fetch(segment):
    return [WALKEEP, "restore", segment, "pg_wal/RECOVERYXLOG", "--repo", WORK + "/packed"]


def fetchable(name, segment):
    stored("walkeep zstd:1", segment)
    stored("pgbackrest zst:1", segment)
    must(["rm", "-f", DATA + "/pg_wal/RECOVERYXLOG"])


compare(
    "Restore of one segment", "pgbackrest zst:1", names("packs-well"),
    {"pgbackrest zst:1": lambda segment: [*PGBACKREST, "archive-get", segment, "pg_wal/RECOVERYXLOG"],
     "walkeep zstd:1": fetch}, fetchable,
)
must(["rm", "-f", DATA + "/pg_wal/RECOVERYXLOG"])

# A segment of 1 GiB, made of real ones: its first page says so.
huge = f"{WORK}/000000010000000100000000"
if not os.path.exists(huge):
    with open(huge + ".tmp", "wb") as file:
        for name in (names("packs-well") + names("packs-badly")) * 2:
            if file.tell() < 1 << 30:
                with open(f"{DATA}/pg_wal/{name}", "rb") as part:
                    file.write(part.read((1 << 30) - file.tell()))
        file.truncate(1 << 30)
        file.seek(8)
        file.write(struct.pack("<Q", 1 << 32))
        file.seek(32)
        file.write(struct.pack("<I", 1 << 30))
    os.rename(huge + ".tmp", huge)
print("\n### Peak memory\n\n| contender | 16 MiB segment, MiB | 1 GiB segment, MiB |\n|---|---:|---:|")
small = names("packs-badly")[0]
for form in ("none", "zstd"):
    fresh("", small)
    repository = WORK + ("/plain" if form == "none" else "/packed")
    archive_small = peak_memory(archive(repository)(small), DATA)
    restore_small = peak_memory([WALKEEP, "restore", small, OUT + "/small", "--repo", repository], DATA)
    empty(WORK + "/huge")
    must([WALKEEP, "init", "--repo", WORK + "/huge", "--compress", form])
    name = os.path.basename(huge)
    archive_huge = peak_memory([WALKEEP, "archive", huge, "--repo", WORK + "/huge"], WORK)
    restore_huge = peak_memory([WALKEEP, "restore", name, OUT + "/huge", "--repo", WORK + "/huge"], WORK)
    print(f"| walkeep archive, {form} | {archive_small:.1f} | {archive_huge:.1f} |")
    print(f"| walkeep restore, {form} | {restore_small:.1f} | {restore_huge:.1f} |", flush=True)
fresh("", small)
print(f"| pgbackrest archive-push, zst:1 | {peak_memory(push(*ZST1)(small), DATA):.1f} | |")
empty(WORK + "/huge", OUT)
