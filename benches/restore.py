#!/usr/bin/env python3
"""Restores 60 real segments as a server's recovery asks for them, one call a segment, without replay and with 60 ms of
it, beside cp, zstd -d, the same in C, and pgBackRest (called by run.sh):

    restore.py WORK RUNS

Contenders run in turn; medians and the median of pairwise ratios are printed. Files are warm in the page cache.
"""
import os
import shutil
import subprocess
import sys
import time

import drain  # its set-up of queues and of pgBackRest

WORK, RUNS = sys.argv[1], int(sys.argv[2])
DATA, PLAIN, PACKED, REPOSITORY = (f"{WORK}/{name}" for name in ("restored", "restore-plain", "restore-packed", "restore-repo"))
BARE, WALKEEP = drain.BARE, drain.WALKEEP
COUNT = 60


def must(command, cwd=WORK):
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def stored():
    """Every segment stored with each contender, and taken out of the WAL directory; returns their names."""
    drain.DATA = DATA
    paths = drain.pending_segments(DATA, COUNT)
    drain.set_up_pgbackrest()
    for folder in (PLAIN, PACKED, REPOSITORY):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in (PLAIN, PACKED):
        os.mkdir(folder)
    must([WALKEEP, "init", "--repo", REPOSITORY, "-D", DATA])
    must([WALKEEP, "drain", "--repo", REPOSITORY, "-D", DATA, "-q"])
    for folder in os.listdir(drain.STORED):
        if len(folder) == 16:
            shutil.rmtree(f"{drain.STORED}/{folder}")
    for path in paths:
        name = os.path.basename(path)
        must([*drain.PGBACKREST.replace("--archive-async", "--no-archive-async").split(), "archive-push", f"pg_wal/{name}"], DATA)
        shutil.copy(path, PLAIN)
        must(["zstd", "-q", "-1", path, "-o", f"{PACKED}/{name}.zst"])
        os.remove(path)
        os.remove(f"{DATA}/pg_wal/archive_status/{name}.ready")
    return [os.path.basename(path) for path in paths]


def prefetch_ended():
    while subprocess.run(["pgrep", "-u", "postgres", "-f", "lay-ready"], stdout=subprocess.DEVNULL).returncode == 0:
        time.sleep(0.02)


def warm():
    drain.pgbackrest_ended()
    prefetch_ended()
    shutil.rmtree(WORK + "/driven/spool", ignore_errors=True)
    shutil.rmtree(DATA + ".walkeep-spool", ignore_errors=True)
    for name in names:
        path = f"{DATA}/pg_wal/{name}"
        if os.path.exists(path):
            os.remove(path)
    for folder in (PLAIN, PACKED, REPOSITORY, drain.STORED + "/0000000100000000"):
        for entry in os.scandir(folder):
            if entry.is_file():
                with open(entry.path, "rb") as file:
                    while file.read(1 << 20):
                        pass


names = stored()
restore = f"{WALKEEP} restore %f %p --repo {REPOSITORY}"
get = drain.PGBACKREST.split(" --compress-type")[0] + " archive-get %f %p"
commands = {
    "cp": f"cp {PLAIN}/%f %p",
    "zstd -d": f"zstd -qdf -o %p {PACKED}/%f.zst",
    "zstd -d in C": f"{BARE} unpack {PACKED}/%f.zst %p",
    "walkeep": restore,
    "walkeep --prefetch 8": restore + " --prefetch 8",
    "pgbackrest": get.replace("--archive-async", "--no-archive-async"),
    "pgbackrest asynchronous, 2 processes": get,
}
for replay_ms, baseline in ((0, "zstd -d in C"), (60, "cp")):
    drain.compare(
        f"Restore of {COUNT} segments, {replay_ms} ms of replay after each", baseline,
        {name: [BARE, "recover", DATA, str(replay_ms), command, *names] for name, command in commands.items()},
        warm, RUNS,
    )
