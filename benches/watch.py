#!/usr/bin/env python3
"""How long a file takes from its .ready to a durable place in the repository where a watch runs, beside one call of archive,
and a queue that a server works on while a watch helps, beside pgBackRest's asynchronous archiving (called by run.sh):

    watch.py WORK RUNS

Contenders run in turn; medians and medians of ratios or differences are printed.
"""
import os
import statistics
import subprocess
import sys
import time

import drain  # its queues and contenders

WORK, RUNS = sys.argv[1], int(sys.argv[2])
WALKEEP, BARE, DATA, REPOSITORY = drain.WALKEEP, drain.BARE, drain.DATA, drain.REPOSITORY


def watch():
    """A running watch, which has looked at its queue."""
    running = subprocess.Popen([WALKEEP, "watch", "-D", DATA, "--repo", REPOSITORY, "-j", "2"], stderr=subprocess.PIPE)
    running.stderr.readline()
    return running


def end(running):
    running.terminate()
    running.wait()


def latency():
    """The stamp of a file is written once it is durable."""
    drain.paths = drain.pending_segments(DATA, 2 * RUNS)
    for path in drain.paths:
        os.remove(f"{DATA}/pg_wal/archive_status/{os.path.basename(path)}.ready")
    drain.warm()
    running, waited, called = watch(), [], []
    for at, path in enumerate(drain.paths):
        # The watch rests for a moment after each look.
        time.sleep(2)
        os.sync()
        name = os.path.basename(path)
        begin = time.perf_counter()
        if at % 2:
            running.send_signal(19)
            open(f"{DATA}/pg_wal/archive_status/{name}.ready", "w").close()
            begin = time.perf_counter()
            drain.timed([WALKEEP, "archive", f"pg_wal/{name}", "--repo", REPOSITORY, "--ahead", "0"], DATA)
            called.append((time.perf_counter() - begin) * 1000)
            running.send_signal(18)
        else:
            open(f"{DATA}/pg_wal/archive_status/{name}.ready", "w").close()
            while not os.path.exists(f"{REPOSITORY}/.walkeep/stamps/{name}.json"):
                time.sleep(0.0002)
            waited.append((time.perf_counter() - begin) * 1000)
    end(running)
    late = statistics.median(mine - other for mine, other in zip(waited, called))
    print(f"\n### From .ready to durable with a watch (n={RUNS}, interleaved)\n")
    print(f"one call of archive, median ms: {statistics.median(called):.1f}; the watch: {statistics.median(waited):.1f}; "
          f"median of the differences: {late:.1f} ms", flush=True)


def helped(folder):
    """The watch is started with the queue there, as after a server's archiver stood still. Its end is not measured."""
    drain.paths = drain.pending_segments(DATA, 60, [folder])
    drain.set_up_pgbackrest()
    name = "pgbackrest asynchronous zst:1, 2 processes"
    archive = f"{BARE} drive {DATA} '{WALKEEP} archive % --repo {REPOSITORY} -j 2'"
    beside = f"{WALKEEP} watch -q -D {DATA} --repo {REPOSITORY} -j 2 >/dev/null 2>&1 & {archive}; kill $!"
    drain.compare(
        f"A queue of 60 segments of WAL that {folder.replace('-', ' ')}, worked on as a server does", name,
        {name: [BARE, "drive", DATA, drain.PGBACKREST + " archive-push %"],
         "walkeep archive -j 2": ["sh", "-c", archive],
         "walkeep archive -j 2 beside walkeep watch -j 2": ["sh", "-c", beside],
         "two bare loops that store, no server": drain.halves(f"store {WORK}/driven-out ")},
        drain.offer_again, RUNS,
    )


latency()
for folder in drain.BOTH:
    helped(folder)
