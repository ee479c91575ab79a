# SPDX-License-Identifier: Apache-2.0
"""Sources against their usual readers: json and csv forms against pandas, libsvm against scikit-learn, sql against itself in
pandas, several files as parts. What cml has read is what it writes as predictions."""
import gzip
import json

import numpy as np
import pandas as pd
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

import kit

rng = np.random.default_rng(7)
N = 5000


def rows(source, keep, target="y", extra="", given=()):
    """What cml reads, as exported beside predictions."""
    kit.write("s.cml", f"""param least: int = 0
data d {{
    from {source}
{extra}}}
features f of d {{
    k = {target} * 0 + 1
}}
model m = linear_regression(known ~ f, l2 = 1)
evaluate m on d {{ rmse }}
export m {{ predictions of d keep [{", ".join(f"`{k}`" for k in keep)}] to "s.parquet" }}
""".replace("known", "one"))
    kit.run("s.cml", *given)
    return pd.read_parquet("s.parquet")


ONE = "    derive one = 1.0\n"

# JSON: one a line (gzip), and in an array; nested, missing, unicode
T = pd.DataFrame({"y": rng.normal(size=N) * 10 ** rng.uniform(-200, 200, size=N), "n": rng.integers(-2 ** 53, 2 ** 53, size=N),
                  "s": rng.choice(["a", "ü\"\\", "\U0001f600", ""], size=N), "b": rng.random(N) < .5})
records = [{"y": float(r.y), "in": {"n": int(r.n), "deep": {"s": r.s}}, **({"b": bool(r.b)} if i % 3 else {})}
           for i, r in enumerate(T.itertuples())]
with gzip.open("lines.json.gz", "wt") as f:
    for i, r in enumerate(records):
        f.write(json.dumps(r, ensure_ascii=i % 2 == 0) + "\n")
with open("array.json", "w") as f:
    json.dump(records, f, indent=1)
for name in ("lines.json.gz", "array.json"):
    got = rows(f'json("{name}")', ["y", "in.n", "in.deep.s", "b"], extra=ONE)
    kit.check(len(got) == N and (got["y"].to_numpy() == T.y.to_numpy()).all(), f"{name}: floats, bit by bit")
    kit.check((got["in.n"].to_numpy() == T.n.to_numpy()).all(), f"{name}: ints")
    kit.check((got["in.deep.s"] == T.s).all(), f"{name}: texts")
    kit.check(all(pd.isna(g) if i % 3 == 0 else g == w for i, (g, w) in enumerate(zip(got["b"], T.b))), f"{name}: missing bools")

# CSV: decimal comma, own forms of dates and times, several texts for null
D = pd.DataFrame({"y": rng.normal(size=N).round(6), "day": pd.Timestamp("1999-01-01") + pd.to_timedelta(rng.integers(0, 9000, N), unit="D")})
D["at"] = D.day + pd.to_timedelta(rng.integers(0, 86400, N), unit="s")
D["gap"] = np.where(rng.random(N) < .3, np.nan, rng.normal(size=N).round(3))
with open("form.csv", "w") as f:
    f.write("# made by hand\ny;day;at;gap\n")
    for r in D.itertuples():
        gap = ["?", "n/a", ""][r.Index % 3] if np.isnan(r.gap) else str(r.gap).replace(".", ",")
        f.write(f"{str(r.y).replace('.', ',')};{r.day.strftime('%d.%m.%Y')};{r.at.strftime('%b %d %y, %I:%M:%S %p')};{gap}\n")
got = rows('csv("form.csv", delimiter = ";", decimal = ",", skip = 1, null = ["?", "n/a"], dates = "%d.%m.%Y", '
           'timestamps = "%b %d %y, %I:%M:%S %p")', ["y", "day", "at", "gap"], extra=ONE)
kit.check((got.y.to_numpy() == D.y.to_numpy()).all(), "decimal comma")
kit.check((pd.to_datetime(got.day) == D.day).all(), "form of dates")
kit.check((pd.to_datetime(got["at"]).dt.tz_localize(None) == D["at"]).all(), "form of timestamps")
kit.check(np.array_equal(got.gap.to_numpy(dtype=float), D.gap.to_numpy(), equal_nan=True), "several texts for null")

# libsvm
X = np.where(rng.random((N, 12)) < .2, rng.normal(size=(N, 12)), 0)
X[:, 11] = 1
y = rng.integers(-1, 2, size=N)
dump_svmlight_file(X, y, "x.svm", zero_based=False, query_id=np.arange(N) // 10)
want, label, qid = load_svmlight_file("x.svm", query_id=True, zero_based=False)
for zero in (False, True):
    dump_svmlight_file(X, y, "x.svm", zero_based=zero, query_id=np.arange(N) // 10)
    got = rows(f'libsvm("x.svm", zero_based = {str(zero).lower()})', ["label", "qid"] + [f"f{i + 1}" for i in range(12)], "label", ONE)
    kit.check((got[[f"f{i + 1}" for i in range(12)]].to_numpy() == want.toarray()).all(), f"libsvm: features, zero_based = {zero}")
    kit.check((got.label == label).all() and (got.qid == qid).all(), "libsvm: label and qid")

# SQL: grouped and joined by DuckDB, sorted by all columns; a bound value
T["g"] = rng.integers(0, 40, size=N)
T.to_parquet("t.parquet")
got = rows("""sql(["select g, count(*) as c, sum(n) as total, max(s) as y2, min(y) as y from 't.parquet'",
          "where n > {least} group by g"])""", ["g", "c", "total", "y"], extra=ONE, given=("-p", "least=1000"))
want = T[T.n > 1000].groupby("g").agg(c=("n", "size"), total=("n", "sum"), y=("y", "min")).reset_index().sort_values("g")
kit.check((got[["g", "c", "total", "y"]].to_numpy() == want[["g", "c", "total", "y"]].to_numpy()).all(), "sql: groups in the order of their columns")
kit.done()
