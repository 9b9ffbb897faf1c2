#!/usr/bin/env python3
"""Prunes a repository of 200,000 files, all but 100 of them, beside pg_archivecleanup on a copy of the same names, and plans
for 1,000,000 beside a bare read of the directory: prune.py WORK RUNS (called by run.sh).

Contenders run in turn; medians and the median of pairwise ratios are printed. The files are empty, so that what is
measured is names: what the file system needs to free the blocks is the same for both.
"""
import os
import shutil
import statistics
import subprocess
import sys
import time

WORK, RUNS = sys.argv[1], int(sys.argv[2])
ORIGINAL = "/usr/lib/postgresql/15/bin/pg_archivecleanup"
WALKEEP, BARE = WORK + "/walkeep", WORK + "/bare"
ARCHIVE = WORK + "/pruned"
REMOVED, LEFT, PLANNED = 200_000, 100, 1_000_000
FIRST = 1 << 16


def name(number):
    return f"{1:08X}{number // 256:08X}{number % 256:08X}"


def walkeep(*words, quiet=True):
    """The environment names nothing, and the directory is no server's."""
    return subprocess.run([WALKEEP, *words, "--repo", ARCHIVE], check=True, cwd="/", env={},
                          stdout=subprocess.DEVNULL if quiet else None)


def lay_out(files):
    """A repository that is bound to the cluster of the benches, and holds so many files more. Its node's claim, which
    would hold the horizon where the cluster ended, goes."""
    shutil.rmtree(ARCHIVE, ignore_errors=True)
    walkeep("init", "--compress", "zstd")
    real = sorted(os.listdir(WORK + "/packs-well"))[0]
    walkeep("archive", f"{WORK}/data/pg_wal/{real}", "--pgdata", WORK + "/data")
    shutil.rmtree(ARCHIVE + "/.walkeep/claims", ignore_errors=True)
    os.remove(f"{ARCHIVE}/{real}.zst")
    for number in range(FIRST, FIRST + files):
        os.close(os.open(f"{ARCHIVE}/{name(number)}.zst", os.O_CREAT | os.O_WRONLY, 0o600))
    os.sync()


def timed(*words):
    begin = time.perf_counter()
    subprocess.run(["/usr/bin/time", "-o", WORK + "/prune.rss", "-f", "%M", *words], check=True, cwd="/", env={},
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    took = (time.perf_counter() - begin) * 1000
    with open(WORK + "/prune.rss", encoding="ascii") as told:
        return took, int(told.read().split()[-1]) / 1024


def compare(title, base, contenders, before, after=lambda who: None, runs=RUNS):
    results = {who: [] for who in contenders}
    order = list(contenders)
    for _ in range(runs):
        for who in order:
            before()
            results[who].append(timed(*contenders[who]))
            after(who)
        order.reverse()
    print(f"\n### {title} (n={runs}, interleaved)\n")
    print(f"| contender | median ms | x {base} | MiB |\n|---|---:|---:|---:|")
    for who, runs_of in results.items():
        ratio = statistics.median(mine[0] / other[0] for mine, other in zip(runs_of, results[base]))
        median, mib = (statistics.median(run[at] for run in runs_of) for at in (0, 1))
        print(f"| {who} | {median:.1f} | {ratio:.2f} | {mib:.0f} |", flush=True)


def left(who):
    found = [entry for entry in os.listdir(ARCHIVE) if entry != ".walkeep"]
    if len(found) != LEFT:
        raise SystemExit(f"{who} left {len(found)} files")


oldest = name(FIRST + REMOVED - LEFT)
compare(
    f"Removing all but {LEFT} of {REMOVED:,} stored files", "pg_archivecleanup",
    {
        "pg_archivecleanup": [ORIGINAL, "-x", ".zst", ARCHIVE, oldest],
        "walkeep prune": [WALKEEP, "prune", oldest, "--repo", ARCHIVE],
    },
    lambda: lay_out(REMOVED), left,
)
lay_out(PLANNED)
plan = [WALKEEP, "prune", "--dry-run", "--repo", ARCHIVE]
compare(
    f"A plan over {PLANNED:,} names", "a bare read of the directory",
    {
        "a bare read of the directory": [BARE, "list", ARCHIVE],
        "walkeep prune --dry-run, nothing goes": [*plan, "--keep-segments", str(PLANNED)],
        "walkeep prune --dry-run, all but 100 go": [*plan, "--keep-segments", str(LEFT)],
    },
    lambda: None,
)
shutil.rmtree(ARCHIVE)
