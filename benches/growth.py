#!/usr/bin/env python3
"""What a file costs as the backlog and the archive grow, 1, 10 and 100 times a thousand of each (called by run.sh):

    growth.py WORK RUNS [CHART.svg]

A queue and a repository of each size are laid out, and each question is put to all of them in turn; medians and medians
of ratios to the smallest are printed, and drawn where a chart is named.
"""
import os
import shutil
import statistics
import subprocess
import sys
import time

import drain  # its queues

WORK, RUNS = sys.argv[1], int(sys.argv[2])
CHART = sys.argv[3] if len(sys.argv) > 3 else None
WALKEEP = drain.WALKEEP
SIZES = (1_000, 10_000, 100_000)
CALLS = 66


class Place:
    """A cluster with so many pending segments, and a repository that holds as many others."""

    def __init__(self, size):
        self.size, self.data, self.repo = size, f"{WORK}/growth-{size}", f"{WORK}/growth-{size}-repo"
        self.names = drain.tiny_queue(self.data, size)
        shutil.rmtree(self.repo, ignore_errors=True)
        self.walkeep("init")
        # Of other segments, long before: only their names count.
        for number in range(size):
            name = f"{1:08X}{0x10000 + number // 4096:08X}{number % 4096:08X}"
            os.close(os.open(f"{self.repo}/{name}.zst", os.O_CREAT | os.O_WRONLY, 0o600))
        self.walkeep("archive", f"pg_wal/{self.names[-1]}", "--ahead", "0")

    def walkeep(self, *words):
        ended = subprocess.run([WALKEEP, *words, "--repo", self.repo, "-D", self.data], cwd=self.data, env={},
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        # Findings are what such a heap deserves; what could not be told is none.
        if ended.returncode not in ((0, 1, 2) if words[0] in ("gate", "status") else (0,)):
            raise SystemExit(f"{words} ended with status {ended.returncode}: {ended.stderr}")

    def empty(self):
        """Takes back what a round of archive has stored."""
        for name in self.names[:2 * CALLS]:
            for path in (f"{self.repo}/{name}.zst", f"{self.repo}/.walkeep/stamps/{name}.json"):
                if os.path.exists(path):
                    os.remove(path)
        os.sync()

    def archive(self):
        for name in self.names[:CALLS]:
            self.walkeep("archive", f"pg_wal/{name}")

    def restore(self):
        for _ in range(8):
            self.walkeep("restore", self.names[-1], "pg_wal/RECOVERYXLOG")
        os.remove(f"{self.data}/pg_wal/RECOVERYXLOG")


def each(places, set_up, work, by):
    """Milliseconds that one of them takes, in each place, run by run."""
    took = {place.size: [] for place in places}
    for turn in range(-1, RUNS):
        for place in places:
            set_up(place)
            begin = time.perf_counter()
            work(place)
            if turn >= 0:
                took[place.size].append((time.perf_counter() - begin) * 1000 / by(place))
    return took


def nothing(_):
    pass


places = [Place(size) for size in SIZES]
QUESTIONS = {
    "archive, a segment of 1 MiB": each(places, Place.empty, Place.archive, lambda place: CALLS),
    "restore, a segment of 1 MiB": each(places, nothing, Place.restore, lambda place: 8),
    "gate, a pending file": each(places, nothing, lambda place: place.walkeep("gate"), lambda place: place.size),
    "status, a file": each(places, nothing, lambda place: place.walkeep("status"), lambda place: 2 * place.size),
    "prune --dry-run, a stored file": each(
        places, nothing, lambda place: place.walkeep("prune", "--dry-run", "--keep-segments", "999999999"), lambda place: place.size),
}
for place in places:
    shutil.rmtree(place.data)
    shutil.rmtree(place.repo)

ratios = {
    what: [statistics.median(mine / base for mine, base in zip(took[size], took[SIZES[0]])) for size in SIZES]
    for what, took in QUESTIONS.items()
}
print(f"\n### What one costs as the backlog and the archive grow (n={RUNS}, interleaved)\n")
print("| | " + " | ".join(f"{size:,} of each" for size in SIZES) + " |\n|---|" + "---:|" * len(SIZES))
for what, row in ratios.items():
    median = statistics.median(QUESTIONS[what][SIZES[0]])
    print(f"| {what} | {median:.3f} ms | " + " | ".join(f"{ratio:.2f}x" for ratio in row[1:]) + " |", flush=True)


def chart():
    left, right, top, bottom, most = 60, 460, 40, 300, max(2.0, max(max(row) for row in ratios.values()) * 1.1)
    xs = [left + at * (right - left) / (len(SIZES) - 1) for at in range(len(SIZES))]

    def y(ratio):
        return bottom - ratio / most * (bottom - top)

    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 350" font-family="sans-serif" font-size="13">',
        '<rect width="720" height="350" fill="white"/>',
        '<text x="20" y="22" font-size="15">Cost of one, relative to a backlog and an archive of 1,000</text>',
    ]
    for tick in (0, 0.5, 1, 1.5, 2):
        lines.append(f'<path d="M{left} {y(tick):.0f}H{right}" stroke="#ccc"/><text x="20" y="{y(tick) + 4:.0f}">{tick}x</text>')
    for x, size in zip(xs, SIZES):
        lines.append(f'<text x="{x:.0f}" y="{bottom + 24}" text-anchor="middle">{size:,}</text>')
    label = top
    for (what, row), colour in zip(sorted(ratios.items(), key=lambda one: -one[1][-1]), ("#b30000", "#0055aa", "#007744", "#995500", "#663399")):
        points = " ".join(f"{x:.0f},{y(ratio):.0f}" for x, ratio in zip(xs, row))
        label = max(label + 20, y(row[-1]) + 4)
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        lines.append(f'<text x="{right + 10}" y="{label:.0f}" fill="{colour}">{what}: {row[-1]:.2f}x</text>')
    return "\n".join(lines) + "\n</svg>\n"


if CHART:
    with open(CHART, "w", encoding="ascii") as file:
        file.write(chart())
