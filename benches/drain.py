#!/usr/bin/env python3
"""Drains 60 segments beside two bare loops that pack and hash them; lets a queue of 60 be worked on as a server does it,
one call a segment, beside pgBackRest's asynchronous archiving and two bare loops that store; confirms a stored file; and
asks the gate of long queues beside bare reads of the directories (called by run.sh):

    drain.py WORK RUNS [drain|driven|driven-long|confirm|tiny|gate]...

Contenders run in turn; medians and the median of pairwise ratios are printed. Segments are warm in the page cache.
"""
import os
import shutil
import statistics
import struct
import subprocess
import sys
import time

WORK, RUNS, PARTS = sys.argv[1], int(sys.argv[2]), sys.argv[3:] or ["drain", "driven", "confirm", "tiny", "gate"]
WALKEEP, BARE = WORK + "/walkeep", WORK + "/bare"
SEGMENT_BYTES = 16 << 20


# The gate of a long queue is closed.
CLOSED = 2


def timed(command, cwd=WORK):
    begin = time.perf_counter()
    ended = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wall = (time.perf_counter() - begin) * 1000
    if ended.returncode not in (0, CLOSED if "gate" in command else 0):
        raise SystemExit(f"{command} ended with status {ended.returncode}: {ended.stdout} {ended.stderr}")
    return wall


def compare(title, baseline, contenders, setup, runs, cwd=WORK):
    results = {name: [] for name in contenders}
    order = list(contenders)
    for turn in range(-1, runs):
        for name in order:
            setup()
            os.sync()
            measured = timed(contenders[name], cwd)
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
    os.makedirs(f"{at}/pg_replslot")
    shutil.copy(f"{WORK}/data/PG_VERSION", at)
    shutil.copy(f"{WORK}/data/global/pg_control", f"{at}/global")
    return f"{at}/pg_wal"


def renumbered(bytes_, number):
    """A segment under another number: every page's address is rewritten, its records stay."""
    bytes_ = bytearray(bytes_)
    for page in range(0, len(bytes_), 8192):
        struct.pack_into("<Q", bytes_, page + 8, number * SEGMENT_BYTES + page)
    return bytes_


BOTH = ("packs-well", "packs-badly")


def pending_segments(at, count, folders=BOTH):
    wal = data_directory(at)
    parts = [f"{WORK}/{folder}/{name}" for folder in folders for name in sorted(os.listdir(f"{WORK}/{folder}"))]
    paths = []
    for number in range(count):
        name = f"{1:08X}{(number + 1) // 256:08X}{(number + 1) % 256:08X}"
        paths.append(f"{wal}/{name}")
        with open(parts[number % len(parts)], "rb") as part, open(paths[-1], "wb") as file:
            file.write(renumbered(part.read(), number + 1))
        # As old as those of a backlog are.
        os.utime(paths[-1], (os.stat(paths[-1]).st_mtime - 600,) * 2)
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
    shutil.rmtree(REPOSITORY, ignore_errors=True)
    subprocess.run([WALKEEP, "init", "--repo", REPOSITORY, "-D", DATA],
                   check=True, stdout=subprocess.DEVNULL)


def warm():
    fresh_repository()
    for path in paths:
        with open(path, "rb") as file:
            while file.read(1 << 20):
                pass


def halves(before=""):
    first, second = (f"{BARE} {before}" + " ".join(paths[start::2]) for start in (0, 1))
    return ["sh", "-c", f"{first} & {second} & wait"]


def drained():
    global paths
    paths = pending_segments(DATA, 60)
    compare(
        "Draining 60 segments of 16 MiB", "two bare loops",
        {"two bare loops": halves("pack "),
         "walkeep drain -j 2": [WALKEEP, "drain", "--repo", REPOSITORY, "-q", "-D", DATA, "-j", "2"]},
        warm, RUNS,
    )


PGBACKREST = (f"pgbackrest --config={WORK}/driven.conf --stanza=bench --archive-async --process-max=2"
              " --compress-type=zst --compress-level=1")


def set_up_pgbackrest():
    """A stanza for the data directory with the queue, which no server runs in: that of the cluster, copied."""
    shutil.rmtree(WORK + "/driven", ignore_errors=True)
    shutil.copytree(WORK + "/pgbackrest", WORK + "/driven")
    with open(WORK + "/pgbackrest.conf") as conf, open(WORK + "/driven.conf", "w") as driven:
        text = conf.read().replace(f"={WORK}/pgbackrest\n", f"={WORK}/driven\n")
        text = text.replace(f"spool-path={WORK}", f"spool-path={WORK}/driven/spool")
        driven.write(text.replace(f"pg1-path={WORK}/data", f"pg1-path={DATA}"))


def pgbackrest_ended():
    """Its asynchronous process stays behind for a moment."""
    while subprocess.run(["pgrep", "-u", "postgres", "-x", "pgbackrest"], stdout=subprocess.DEVNULL).returncode == 0:
        time.sleep(0.05)


def offer_again():
    pgbackrest_ended()
    for folder in (WORK + "/driven/spool", WORK + "/driven-out"):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in os.listdir(STORED):
        if len(folder) == 16:
            shutil.rmtree(f"{STORED}/{folder}")
    os.mkdir(WORK + "/driven-out")
    status = DATA + "/pg_wal/archive_status"
    for name in os.listdir(status):
        if name.endswith(".done"):
            os.rename(f"{status}/{name}", f"{status}/{name[:-5]}.ready")
    warm()


def driven(count, folder, runs):
    global paths
    paths = pending_segments(DATA, count, [folder])
    set_up_pgbackrest()
    name = "pgbackrest asynchronous zst:1, 2 processes"
    compare(
        f"A queue of {count} segments of WAL that {folder.replace('-', ' ')}, worked on as a server does", name,
        {name: [BARE, "drive", DATA, PGBACKREST + " archive-push %"],
         "walkeep archive -j 2": [BARE, "drive", DATA, f"{WALKEEP} archive % --repo {REPOSITORY} -j 2"],
         "walkeep archive --ahead 0": [BARE, "drive", DATA, f"{WALKEEP} archive % --repo {REPOSITORY} --ahead 0"],
         "two bare loops that store, no server": halves(f"store {WORK}/driven-out ")},
        offer_again, runs,
    )


def confirm():
    """What the server's call costs for a file that is stored: for pgBackRest, one whose .ok waits in the spool."""
    global paths
    paths = pending_segments(DATA, 1)
    set_up_pgbackrest()
    fresh_repository()
    os.chdir(DATA)
    segment = "pg_wal/" + os.path.basename(paths[0])
    archive = [WALKEEP, "archive", segment, "--repo", REPOSITORY]
    push = [*PGBACKREST.split(), "archive-push", segment]
    for _ in range(2):
        subprocess.run(archive, check=True, cwd=DATA)

    def ok():
        os.makedirs(WORK + "/driven/spool/archive/bench/out", exist_ok=True)
        open(f"{WORK}/driven/spool/archive/bench/out/{os.path.basename(segment)}.ok", "w").close()

    compare(
        "Confirming a segment that is stored", "an empty static program",
        {"an empty static program": [WORK + "/empty"], "walkeep archive": archive,
         "pgbackrest asynchronous, .ok waiting": push},
        ok, 20 * RUNS, cwd=DATA,
    )
    pgbackrest_ended()


# The control file of a cluster with segments of 1 MiB.
TINY = os.path.dirname(os.path.abspath(__file__)) + "/pg_control.walseg1MB"


def tiny_queue(at, count):
    """So many pending segments of 1 MiB, mostly zeroes, as forced switches leave them."""
    wal = data_directory(at)
    shutil.copy(TINY, f"{at}/global/pg_control")
    with open(TINY, "rb") as control:
        system = struct.unpack("<Q", control.read(8))[0]
    for number in range(1, count + 1):
        name = f"{1:08X}{number // 4096:08X}{number % 4096:08X}"
        with open(f"{wal}/{name}", "wb") as file:
            file.write(struct.pack("<HHIQIIQII", 0xD110, 2, 1, number << 20, 0, 0, system, 1 << 20, 8192))
            file.truncate(1 << 20)
        os.utime(f"{wal}/{name}", (time.time() - 600,) * 2)
        os.close(os.open(f"{wal}/archive_status/{name}.ready", os.O_CREAT, 0o600))
    return sorted(name for name in os.listdir(wal) if len(name) == 24)


def long_tiny_queue(calls=330):
    """What a segment costs where many are pending: the first calls of each queue, in turn."""
    queues = {count: tiny_queue(f"{DATA}-{count}", count) for count in (1_000, 100_000)}
    results = {count: [] for count in queues}
    for turn in range(RUNS):
        for count, names in queues.items():
            at = f"{DATA}-{count}"
            shutil.rmtree(REPOSITORY, ignore_errors=True)
            subprocess.run([WALKEEP, "init", "--repo", REPOSITORY, "-D", at], check=True, stdout=subprocess.DEVNULL)
            os.sync()
            begin = time.perf_counter()
            for name in names[:calls]:
                timed([WALKEEP, "archive", f"pg_wal/{name}", "--repo", REPOSITORY], at)
            results[count].append((time.perf_counter() - begin) * 1000 / calls)
    print(f"\n### A segment of 1 MiB, mostly zeroes, of a long queue (n={RUNS}, interleaved)\n")
    print("| pending | median ms | x 1,000 pending |\n|---|---:|---:|")
    for count, measured in results.items():
        ratio = statistics.median(mine / base for mine, base in zip(measured, results[1_000]))
        print(f"| {count:,} | {statistics.median(measured):.2f} | {ratio:.2f} |", flush=True)
    for count in queues:
        shutil.rmtree(f"{DATA}-{count}")


def gate():
    for count in (100_000, 1_000_000):
        directories = long_queue(DATA, count)
        gate = [WALKEEP, "gate", "-o", "repmgr", "-D", DATA]
        compare(
            f"The gate of {count:,} pending files", "a bare read of both directories",
            {"a bare read of both directories": [BARE, "list", *directories],
             "walkeep gate": gate, "walkeep gate --count-only": [*gate, "--count-only"]},
            lambda: None, RUNS,
        )

DATA, REPOSITORY, STORED = WORK + "/drain-data", WORK + "/drained", WORK + "/driven/archive/bench/15-1"
paths = []
if __name__ == "__main__":
    for part in PARTS:
        if part == "drain":
            drained()
        elif part == "driven":
            for folder in BOTH:
                driven(60, folder, max(RUNS // 2, 3))
        elif part == "driven-long":
            for folder in BOTH:
                driven(600, folder, 3)
        elif part == "confirm":
            confirm()
        elif part == "tiny":
            long_tiny_queue()
        else:
            gate()
    for folder in (DATA, REPOSITORY, WORK + "/driven", WORK + "/driven-out"):
        shutil.rmtree(folder, ignore_errors=True)
