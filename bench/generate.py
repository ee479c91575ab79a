# SPDX-License-Identifier: Apache-2.0
"""The made-up inputs of the workloads: generate.py FUNCTION PATH KEY=NUMBER ...    writes the folder PATH.

Everything is drawn from fixed seeds, so that every machine gets the same files from the same numpy. Parquet has row groups of 131,072
rows, as most writers make them, and snappy.
"""
import csv
import os
import random
import sys

GROUP = 131_072


def parquet(path, rows, part, name="data.parquet", step=8 * GROUP, several=False):
    """Writes part(first, n), a dict of columns, for runs of at most `step` rows at a time; with `several` each is a file of its own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for first in range(0, rows, step):
        table = pa.table(part(first, min(step, rows - first)))
        if several and writer:
            writer.close()
            writer = None
        if several:
            name = f"data-{first // step:03d}.parquet"
        writer = writer or pq.ParquetWriter(os.path.join(path, name), table.schema, use_dictionary=[
            f.name for f in table.schema if pa.types.is_string(f.type) or pa.types.is_dictionary(f.type)])
        writer.write_table(table, row_group_size=GROUP)
    writer.close()


def generator(*seed):
    import numpy as np

    return np.random.default_rng(seed)


# ---- shapes

COUNTRIES = ["United-States"] * 90 + ["Mexico", "Philippines", "Germany", "Canada", "India", "Cuba", "England", "China", "Italy", "Japan"]


def census(path, rows):
    """The columns, levels and gaps of UCI Adult, drawn at random, in two files without a header. Needs Python alone."""
    draw = random.Random(7)
    jobs = [f"Job-{i}" for i in range(14)]
    for name, n, dot in (("train", rows, ""), ("test", rows // 2, ".")):
        with open(os.path.join(path, f"adult-{name}.csv"), "w", newline="") as f:
            out = csv.writer(f)
            for _ in range(n):
                age, school, job = min(90, 17 + int(draw.gammavariate(2.5, 9))), draw.randint(1, 16), draw.randrange(14)
                married, male, hours = draw.random() < 0.47, draw.random() < 0.67, max(1, min(99, round(draw.gauss(40, 12))))
                gain = int(draw.lognormvariate(8, 1)) if draw.random() < 0.08 else 0
                loss = int(draw.lognormvariate(7.5, 0.3)) if draw.random() < 0.05 else 0
                z = (-8.3 + 0.03 * age + 0.33 * school + 2.1 * married + 0.2 * male + 0.03 * (hours - 40)
                     + 0.25 * (gain ** 0.5) * 0.06 + 0.0002 * loss + 0.12 * (job % 5))
                rich = draw.random() < 1 / (1 + 2.718281828459045 ** -z)
                gone = draw.random()
                fields = [age, "?" if gone < 0.056 else f"Class-{job % 8}", draw.randint(12_000, 500_000), f"School-{school}", school,
                          "Married" if married else draw.choice(["Divorced", "Never-married", "Separated", "Widowed"]),
                          "?" if gone < 0.057 else jobs[job], draw.choice(["Husband", "Own-child", "Wife", "Unmarried", "Other"]),
                          draw.choice(["White"] * 8 + ["Black", "Other"]), "Male" if male else "Female", gain, loss, hours,
                          "?" if draw.random() < 0.018 else draw.choice(COUNTRIES), (">50K" if rich else "<=50K") + dot]
                out.writerow([fields[0]] + [f" {v}" for v in fields[1:]])


def mixed(path, rows, numbers=20, categories=6):
    """Numbers of several scales, every second with 5 % nulls; categories of 5 to 1000 levels; y (0 or 1) depends on some of them."""
    import numpy as np
    import pyarrow as pa

    levels = [5, 12, 50, 200, 500, 1000][:categories]
    names = [pa.array([f"c{j}_{v:04d}" for v in range(n)]) for j, n in enumerate(levels)]
    effects = [generator(2, j).normal(0, 0.3, n) for j, n in enumerate(levels)]

    def part(first, n):
        g, columns, z = generator(1, first), {}, np.zeros(n)
        for j in range(numbers):
            x = g.normal(0, 1, n)
            z += x * (0.3 if j % 3 == 0 else 0)
            x = (np.exp(x) if j % 4 == 3 else x) * 10.0 ** (j % 5 - 1) + j
            columns[f"n{j:02d}"] = pa.array(x, mask=g.random(n) < 0.05) if j % 2 else pa.array(x)
        for j, k in enumerate(levels):
            code = np.minimum((k * g.random(n) ** 2).astype(np.int32), k - 1)
            z += effects[j][code]
            columns[f"c{j}"] = pa.DictionaryArray.from_arrays(pa.array(code), names[j]).cast(pa.string())
        columns["y"] = pa.array((g.random(n) < 1 / (1 + np.exp(-z))).astype(np.int64))
        return columns

    parquet(path, rows, part)


def dense(path, rows, columns, condition=1, regression=0, step=0):
    """Normal features x000.. and y: a class (bool), or a number. `condition` is the ratio of the largest to the smallest singular value;
    `step`: rows of each of several files."""
    import numpy as np

    g = generator(3, columns)
    w = g.normal(0, 1, columns) / columns ** 0.5
    if condition > 1:  # correlated columns: a rotation of axes of geometric lengths
        turn, _ = np.linalg.qr(g.normal(0, 1, (columns, columns)))
        mix = np.geomspace(1, 1 / condition, columns)[:, None] * turn
        w = w * columns ** 0.5

    def part(first, n):
        h = generator(4, columns, first)
        x = h.normal(0, 1, (n, columns))
        if condition > 1:
            x = x @ mix
        z = x @ w
        y = z + h.normal(0, 1, n) if regression else h.random(n) < 1 / (1 + np.exp(-z))
        return {**{f"x{j:03d}": np.ascontiguousarray(x[:, j]) for j in range(columns)}, "y": y}

    parquet(path, rows, part, **({"step": step, "several": True} if step else {}))


def clusters(path, rows, columns, k):
    """k overlapping normal clouds."""
    import numpy as np

    centres = generator(5, columns, k).normal(0, 1.2, (k, columns))

    def part(first, n):
        g = generator(6, columns, first)
        x = (centres[g.integers(0, k, n)] + g.normal(0, 1, (n, columns))).astype(np.float32)
        return {f"x{j:03d}": np.ascontiguousarray(x[:, j]) for j in range(columns)}

    parquet(path, rows, part)


def words(path, rows, length=100, vocabulary=50_000):
    """Documents of about `length` words whose frequencies fall as Zipf's law says, and a class that some words speak for."""
    import numpy as np

    g = generator(8)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    vocab = np.array(sorted({"".join(letters[g.integers(0, 26, 2 + i % 7)]) for i in range(3 * vocabulary)}))
    vocab = g.permutation(vocab)[:vocabulary]
    share = 1 / np.arange(1, len(vocab) + 1)
    cut = np.cumsum(share / share.sum())
    tone = g.normal(0, 1, len(vocab)) * (g.random(len(vocab)) < 0.3)

    def part(first, n):
        h = generator(9, first)
        sizes = np.maximum(1, h.poisson(length, n))
        code = np.minimum(np.searchsorted(cut, h.random(sizes.sum())), len(vocab) - 1)
        z = np.add.reduceat(tone[code], np.r_[0, np.cumsum(sizes)[:-1]]) / sizes ** 0.5
        text = [" ".join(t) for t in np.split(vocab[code], np.cumsum(sizes)[:-1])]
        return {"text": text, "y": h.random(n) < 1 / (1 + np.exp(-2 * z))}

    parquet(path, rows, part)


def clicks(path, rows, fields=39):
    """A log of clicks: `fields` categories of up to a million levels a row, as one text of tokens, and whether it was clicked."""
    import numpy as np

    sizes = np.geomspace(4, 1_000_000, fields).astype(np.int64)
    effects = [generator(10, j).normal(0, 0.25, min(int(n), 5000)) for j, n in enumerate(sizes)]

    def part(first, n):
        h = generator(11, first)
        codes = np.stack([(k * h.random(n) ** 3).astype(np.int64) for k in sizes], 1)
        z = -1 + sum(effects[j][codes[:, j] % len(effects[j])] for j in range(fields))
        text = [" ".join([f"{chr(97 + j % 26)}{j}_{c}" for j, c in enumerate(row)]) for row in codes.tolist()]
        return {"text": text, "y": h.random(n) < 1 / (1 + np.exp(-z))}

    parquet(path, rows, part)


if __name__ == "__main__":
    function, to = sys.argv[1:3]
    os.makedirs(to, exist_ok=True)
    globals()[function](to, **{k: int(v) for k, v in (a.split("=") for a in sys.argv[3:])})
