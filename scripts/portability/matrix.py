"""Which runtimes load what afc writes, and are right: docs/PORTABILITY.md.

matrix.py --afc bin/afc --testmodel bin/testmodel --oldest PYTHON [--update]

Without --update it fails where the table it makes is not the document's, or
where a runtime fails for a reason that notes.py does not name.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import models
import notes
import runtimes

here = os.path.dirname(os.path.abspath(__file__))

# Right is within this much of the largest answer, where a column has no limit of its own.
TOLERANCE = 1e-4
TOLERANCES = {"quantize": 0.5}  # uint8 weights and activations, by the runtime's own defaults
HALF = 2e-2  # of files of half precision: four roundings' worth of the root of the layers

TIMEOUT = 1800  # seconds for all files in a runtime


def references(rows):
    """Puts the clip and the right answer of each file beside it."""
    answers = {}
    for _, batch, _, path, like in rows:
        x = models.clip(batch)
        if like not in answers:
            answers[like] = runtimes.ort_session(like, optimised=False)(x)
        base, y = path[: -len(".onnx")], answers[like]
        np.savez(base + ".npz", x=x, y=y)
        x.tofile(base + ".x.bin")
        y.tofile(base + ".y.bin")
        with open(base + ".shape.json", "w") as f:
            json.dump(list(x.shape), f)


def results(column, paths, oldest, web):
    """What one runtime makes of the files, crashes included: path → result."""
    command = {
        "ort-web": ["node", os.path.join(web, "web.mjs")],
        "ort-oldest": [oldest, os.path.join(here, "worker.py"), column],
    }.get(column, [sys.executable, os.path.join(here, "worker.py"), column])
    done = {}
    while left := [p for p in paths if p not in done]:
        lines, error = [], ""
        try:
            run = subprocess.run([*command, *left], capture_output=True, text=True, errors="replace", timeout=TIMEOUT)
            lines, error = run.stdout.splitlines(), run.stderr
        except subprocess.TimeoutExpired as e:
            lines, error = (e.stdout or b"").decode(errors="replace").splitlines(), "too slow"
        started = None
        for line in lines:
            if line.startswith("START "):
                started = line.split(" ", 1)[1]
            elif line.startswith("RESULT ") and started:
                done[started], started = json.loads(line.split(" ", 1)[1]), None
        if started:
            done[started] = {"failure": "crash: " + error.strip()[-2000:]}
        elif not done:
            raise SystemExit(f"{column}: {' '.join(command)}: {error}")
    return done


def judged(column, name, result):
    """A cell: "ok", or the number of the note that says why not; and whether that is known."""
    failure = result.get("failure")
    if failure is None:
        limit = HALF if "fp16" in name else TOLERANCE
        if result["error"] <= TOLERANCES.get(column, limit):
            return "ok", None
        failure = f"wrong by {result['error']:.1e} of the largest answer"
    for number, (columns, pattern, _) in enumerate(notes.NOTES, 1):
        if column in columns and pattern.search(failure):
            return f"[{number}]", None
    return "**fails**", f"{column}, {name}: {failure[:1500]}"


def check_tolerance(rows, oldest, web, columns):
    """A wrong answer must be told in every column that runs: one is planted."""
    _, _, _, path, _ = rows[0]
    planted = path.replace("source.onnx", "planted.onnx")
    base = planted[: -len(".onnx")]
    with open(path, "rb") as f, open(planted, "wb") as g:
        g.write(f.read())
    data = np.load(path[: -len(".onnx")] + ".npz")
    y = data["y"].copy()
    y.flat[3] += 3 * max(TOLERANCE, *TOLERANCES.values()) * np.abs(y).max()
    np.savez(base + ".npz", x=data["x"], y=y)
    y.tofile(base + ".y.bin")
    data["x"].tofile(base + ".x.bin")
    with open(base + ".shape.json", "w") as f:
        json.dump(list(data["x"].shape), f)
    for column in columns:
        if column == "checker":
            continue
        cell, _ = judged(column, "planted", results(column, [planted], oldest, web)[planted])
        if cell == "ok":
            raise SystemExit(f"{column}: an answer wrong by three times the tolerance passes; the matrix proves nothing")


def document(cells, rows, columns, versions):
    lines = [notes.HEAD.format(tolerance=f"{TOLERANCE:.0e}", half=f"{HALF:.0e}", versions=versions)]
    for family in models.FAMILIES:
        lines += [f"\n## {family}\n", "| file | batch | " + " | ".join(columns) + " |", "|---|---|" + "---|" * len(columns)]
        for f, batch, name, path, _ in rows:
            if f == family:
                lines.append(f"| {name} | {batch} | " + " | ".join(cells[path, c] for c in columns) + " |")
    lines.append("\n## What the numbers mean\n")
    used = " ".join(cells.values())
    for number, (_, _, reason) in enumerate(notes.NOTES, 1):
        if f"[{number}]" in used:
            lines.append(f"- [{number}] {reason}")
    return "\n".join(lines) + "\n"


def versions():
    with open(os.path.join(here, "requirements.txt")) as f:
        pins = dict(line.strip().split("==") for line in f if "==" in line)
    with open(os.path.join(here, "requirements-oldest.txt")) as f:
        oldest = dict(line.strip().split("==") for line in f if "==" in line)["onnxruntime"]
    with open(os.path.join(here, "package.json")) as f:
        web = json.load(f)["dependencies"]["onnxruntime-web"]
    return notes.VERSIONS.format(oldest=oldest, web=web, **{k.replace("-", "_"): v for k, v in pins.items()})


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--afc", required=True)
    p.add_argument("--testmodel", required=True)
    p.add_argument("--oldest", required=True, help="Python that has the oldest ONNX Runtime")
    p.add_argument("--web", required=True, help="folder with web.mjs and node_modules")
    p.add_argument("--document", default=os.path.join(here, "../../docs/PORTABILITY.md"))
    p.add_argument("--columns", default=",".join(runtimes.COLUMNS))
    p.add_argument("--update", action="store_true")
    a = p.parse_args()
    columns = a.columns.split(",")
    with tempfile.TemporaryDirectory() as folder:
        rows = models.make(folder, a.afc, a.testmodel)
        references(rows)
        paths = [r[3] for r in rows]
        cells, unknown = {}, []
        for column in columns:
            print(f"portability: {column}", file=sys.stderr, flush=True)
            answers = results(column, paths, a.oldest, a.web)
            for family, batch, name, path, _ in rows:
                cells[path, column], problem = judged(column, f"{family} {batch} {name}", answers[path])
                if problem:
                    unknown.append(problem)
        check_tolerance(rows, a.oldest, a.web, columns)
    made = document(cells, rows, columns, versions())
    print(made)
    print("\n\n".join(unknown), file=sys.stderr)
    if a.update:
        with open(a.document, "w") as f:
            f.write(made)
    elif columns == list(runtimes.COLUMNS):
        with open(a.document) as f:
            if f.read() != made:
                raise SystemExit("portability: docs/PORTABILITY.md says otherwise; if that is meant: make portability UPDATE=--update")
    ok = sum(c == "ok" for c in cells.values())
    print(f"portability: {ok} of {len(cells)} cells work, {len(unknown)} fail for no known reason", file=sys.stderr)
    if unknown:
        raise SystemExit(1)


main()
