#!/usr/bin/env python3
"""Cleans up an archive of 200,000 files, all but 100 of them, beside pg_archivecleanup: cleanup.py WORK RUNS (called by
run.sh).

Contenders run in turn, each on a tree of its own that was made alike; medians and the median of pairwise ratios are
printed. The files are empty, so that what is measured is names going away: with segments in it, both take longer by
what the file system needs to free them.
"""
import os
import shutil
import statistics
import subprocess
import sys
import time

WORK, RUNS = sys.argv[1], int(sys.argv[2])
ORIGINAL = "/usr/lib/postgresql/15/bin/pg_archivecleanup"
OURS = WORK + "/pg_archivecleanup"
ARCHIVE = WORK + "/cleanup"
FILES, LEFT = 200_000, 100


def name(number):
    return f"{1:08X}{number // 256:08X}{number % 256:08X}"


def lay_out():
    shutil.rmtree(ARCHIVE, ignore_errors=True)
    os.mkdir(ARCHIVE)
    for number in range(1, FILES + 1):
        os.close(os.open(f"{ARCHIVE}/{name(number)}", os.O_CREAT | os.O_WRONLY, 0o600))
    os.sync()


def timed(program, *options):
    begin = time.perf_counter()
    subprocess.run([program, *options, ARCHIVE, name(FILES - LEFT + 1)], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begin) * 1000


if not os.path.lexists(OURS):
    os.symlink("walkeep", OURS)
contenders = {"pg_archivecleanup": ORIGINAL, "walkeep under its name": OURS}
removed, told = {who: [] for who in contenders}, {who: [] for who in contenders}
order = list(contenders)
for turn in range(RUNS):
    for who in order:
        lay_out()
        told[who].append(timed(contenders[who], "-n"))
        removed[who].append(timed(contenders[who]))
        left = len(os.listdir(ARCHIVE))
        if left != LEFT:
            raise SystemExit(f"{who} left {left} files")
    order.reverse()
shutil.rmtree(ARCHIVE)

for title, results in ((f"Removing all but {LEFT} of {FILES:,} files", removed), ("The same as a dry run", told)):
    print(f"\n### {title} (n={RUNS}, interleaved)\n")
    print("| contender | median ms | x pg_archivecleanup |\n|---|---:|---:|")
    for who, runs in results.items():
        ratio = statistics.median(mine / base for mine, base in zip(runs, results["pg_archivecleanup"]))
        print(f"| {who} | {statistics.median(runs):.1f} | {ratio:.2f} |", flush=True)
