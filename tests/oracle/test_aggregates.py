# SPDX-License-Identifier: Apache-2.0
"""Every aggregate against numpy and pandas, as they stand in the bundle (fitted.K, in the order of the slots that use them)."""
import math

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

import kit

rng = np.random.default_rng(42)
N = 11000
T = pd.DataFrame({
    "id": np.arange(N),
    "x": rng.normal(size=N) * 10 ** rng.uniform(-3, 3, size=N) + 7,        # many magnitudes
    "far": 1e9 + rng.normal(size=N),                                       # mean far from 0
    "n": rng.integers(-50, 1000, size=N),
    "big": rng.integers(-2 ** 40, 2 ** 40, size=N),
    "b": rng.random(N) < 0.3,
    "k": rng.choice(["a", "bb", "", "Ä", "zz", "z", "rare"], p=[.3, .3, .1, .1, .1, .0995, .0005], size=N),
    "j": rng.integers(0, 12, size=N),
    "w": rng.gamma(1.5, size=N) * (rng.random(N) > .15),
    "y": rng.normal(size=N),
})
T["gap"] = pd.Series(rng.normal(size=N)).where(rng.random(N) > .2)
T["kgap"] = pd.Series(T.k).where(rng.random(N) > .1)
T["step"] = rng.choice([1.0, 2.0, 2.5, 4.0], size=N)
T["wide"] = 5.0
T["day"] = pd.to_datetime("2001-01-01") + pd.to_timedelta(rng.integers(0, 400, size=N), unit="D")
T["day"] = T["day"].dt.date
T.to_parquet("t.parquet", row_group_size=1700)
SCHEMA = """id: int, x: float, far: float, n: int, big: int, b: bool, k: category, j: int, w: float, y: float
        gap: float?, kgap: category?, step: float, wide: float, day: date"""


def fitted(slots, where=""):
    """The fitted values of a program with these slots, in order, without the model's."""
    lines = "\n".join(f"    s{i} = {s}" for i, s in enumerate(slots))
    kit.write("a.cml", f"""data d {{
    from   parquet("t.parquet")
    schema {{
        {SCHEMA}
    }}
    {where}
}}
features f of d {{
{lines}
}}
model m = linear_regression(y ~ f, l2 = 1)
evaluate m on d{".train" if "split" in where else ""} {{ rmse }}
export m {{ bundle "a.cmlm" }}
""")
    if not kit.run("a.cml"):
        return None
    t = load_file("a.cmlm")
    numbers = sorted({int(k.split(".")[1]) for k in t if k.startswith("fitted.")})
    return [{k.split(".", 2)[2] if k.count(".") > 1 else "": v for k, v in t.items() if k.split(".")[:2] == ["fitted", str(i)]}
            for i in numbers if f"fitted.{i}.coefficients" not in t]


def texts(t, name):
    raw, off = t["bytes" if name == "" else name].tobytes(), t["offsets"]
    return [raw[off[i]:off[i + 1]].decode() for i in range(len(off) - 1)]


def exact_sum(v):
    return math.fsum(v)


def wmean(x, w):
    return math.fsum(x * w) / math.fsum(w)


def wvariance(x, w):
    m = wmean(x, w)
    sw = math.fsum(w)
    return math.fsum(w * (x - m) ** 2) / (sw - math.fsum(w * w) / sw)


def relative(got, want, tolerance, what):
    error = abs(got - want) / max(abs(want), 1e-300)
    return kit.check(error <= tolerance, f"{what}: {error:.1g}" if error else what, f"got {got!r}, want {want!r}")


ok = (T.n > 100).to_numpy()
g = T.gap.dropna().to_numpy()
nz = T.w > 0
SCALARS = [
    ("count()", N), ("count(gap)", len(g)), ("count(kgap)", int(T.kgap.notna().sum())), ("count(where n > 100)", int(ok.sum())),
    ("count(gap where n > 100)", int(T.gap[ok].notna().sum())),
    ("sum(x)", exact_sum(T.x)), ("sum(n)", int(T.n.sum())), ("sum(big)", int(T.big.sum())), ("sum(far)", exact_sum(T.far)),
    ("sum(gap)", exact_sum(g)), ("sum(b)", int(T.b.sum())), ("sum(n where b)", int(T.n[T.b].sum())),
    ("mean(x)", exact_sum(T.x) / N), ("mean(n)", T.n.sum() / N), ("mean(b)", T.b.sum() / N), ("mean(gap)", exact_sum(g) / len(g)),
    ("mean(far)", exact_sum(T.far) / N), ("mean(x where n > 100)", exact_sum(T.x[ok]) / ok.sum()),
    ("variance(x)", np.var(T.x.astype(np.longdouble), ddof=1)), ("variance(far)", np.var(T.far.astype(np.longdouble), ddof=1)),
    ("stddev(gap)", np.std(g.astype(np.longdouble), ddof=1)), ("stddev(n)", np.std(T.n.to_numpy(np.longdouble), ddof=1)),
    ("variance(wide)", 0.0), ("stddev(x where id == 3)", 0.0),
    ("min(x)", T.x.min()), ("max(x)", T.x.max()), ("min(n)", int(T.n.min())), ("max(big)", int(T.big.max())), ("min(gap)", g.min()),
    ("max(gap where n > 100)", T.gap[ok].max()),
    ("median(x)", np.median(T.x)), ("median(n)", np.median(T.n)), ("median(gap)", np.median(g)), ("median(step)", np.median(T.step)),
    ("median(far)", np.median(T.far)), ("median(wide)", 5.0), ("median(x where id < 2)", T.x[:2].mean()),
    ("quantile(x, 0.25)", np.quantile(T.x, .25)), ("quantile(x, 99.9%)", np.quantile(T.x, .999)), ("quantile(x, 0)", T.x.min()),
    ("quantile(gap, 1)", g.max()), ("quantile(n, 0.1 )", np.quantile(T.n, .1)), ("quantile(far, 1/3)", np.quantile(T.far, 1 / 3)),
    ("quantile(gap, 0.6 where n > 100)", np.quantile(T.gap[ok].dropna(), .6)),
    ("sum(x, weight = w)", exact_sum(T.x * T.w)), ("mean(x, weight = w)", wmean(T.x, T.w)), ("mean(gap, weight = w)", wmean(T.gap[T.gap.notna()], T.w[T.gap.notna()])),
    ("variance(x, weight = w)", wvariance(T.x.to_numpy(), T.w.to_numpy())), ("stddev(n, weight = w)", math.sqrt(wvariance(T.n.to_numpy(float), T.w.to_numpy()))),
    ("mean(x, weight = w where b)", wmean(T.x[T.b], T.w[T.b])),
]


def scalars():
    # x minus the value, so that the slot varies
    got = fitted([f"x - ({e})" for e, _ in SCALARS])
    if got is None:
        return
    if not kit.check(len(got) == len(SCALARS), "one fitted value for each aggregate", f"{len(got)} of {len(SCALARS)}"):
        return
    for (expression, want), t in zip(SCALARS, got):
        v = t[""]
        if isinstance(want, int):
            kit.check(v.dtype == np.int64 and int(v) == want, expression, f"got {v!r} {v.dtype}, want {want}")
        elif "sum" in expression and "weight" not in expression or "mean" in expression:
            relative(float(v), float(want), 1e-15 if "weight" not in expression else 1e-13, expression)
        else:
            relative(float(v), float(want), 1e-12, expression)


def lists():
    got = fitted(["one_hot(quantile_bins(x, 4))", "one_hot(bucketize(x, quantiles(gap, 10)))", "one_hot(quantile_bins(step, 7))",
                  "one_hot(k)", "one_hot(k, min_count = 1000)", "one_hot(coalesce(kgap, mode(kgap)))", "one_hot(j)", "one_hot(b)", "one_hot(day, min_count = 30)",
                  "if k == mode(k) then 1 else 0"])
    if got is None:
        return
    edges = [v[""] for v in got if "" in v and v[""].dtype == np.float64]
    for e, want, what in zip(edges, (np.quantile(T.x, [.25, .5, .75]), np.quantile(g, np.arange(1, 10) / 10)), ("quantiles(x, 4)", "quantiles(gap, 10)")):
        kit.close(e, want, 1e-12, what)
    kit.close(np.unique(edges[2]), np.unique(np.quantile(T.step, np.arange(1, 7) / 7)), 1e-12, "quantiles of few values: equal neighbours merge")
    modes = [v[""].tobytes().decode() for v in got if "" in v and v[""].dtype == np.uint8]
    counts = T.k.value_counts()
    top = lambda s: sorted(s[s == s.max()].index, key=str.encode)[0]
    kit.check(sorted(modes) == sorted([top(counts), top(T.kgap.value_counts())]), "mode", modes)
    vocabularies = [texts(v, "") for v in got if "bytes" in v]
    by_bytes = lambda s: sorted(s, key=str.encode)
    days = T.day.astype(str).value_counts()
    for want, what in (
            (by_bytes(counts.index), "categories(k): sorted by bytes, the empty text and letters beyond ASCII among them"),
            (by_bytes(counts[counts >= 1000].index), "categories(k, 1000)"),
            (by_bytes(map(str, T.j.unique())), "categories of an int"),
            (["false", "true"], "categories of a bool"),
            (by_bytes(days[days >= 30].index), "categories of a date")):
        kit.check(want in vocabularies, what, f"want {want[:20]}\nhave {[v[:20] for v in vocabularies]}")


def grouped():
    d = T.assign(one=1, wx=T.w * T.x, kk=T.kgap)
    of = {
        "count() by k": d.groupby("k").one.sum(),
        "count(gap) by k": d.groupby("k").gap.count(),
        "sum(n) by k": d.groupby("k").n.sum(),
        "sum(x) by k": d.groupby("k").x.agg(math.fsum),
        "mean(x) by k": d.groupby("k").x.agg(lambda v: math.fsum(v) / len(v)),
        "mean(b) by k": d.groupby("k").b.mean(),
        "mean(gap) by kgap": d.groupby("kk").gap.mean(),
        "variance(x) by k": d.groupby("k").x.var(),
        "stddev(gap) by j": d.groupby("j").gap.std(),
        "min(n) by k": d.groupby("k").n.min(),
        "max(x) by j": d.groupby("j").x.max(),
        "median(x) by k": d.groupby("k").x.median(),
        "quantile(gap, 0.9) by j": d.groupby("j").gap.quantile(.9),
        "mean(x where n > 100) by b": d[ok].groupby("b").x.mean(),
        "mean(x, weight = w) by k": d.groupby("k").wx.sum() / d.groupby("k").w.sum(),
        "mean(gap) by (k, j)": d.groupby(["k", "j"]).gap.mean(),
        "mean(x) by day": d.groupby("day").x.mean(),
    }
    got = fitted([f"x - coalesce({e}, 0)" for e in of])
    if got is None:
        return
    if not kit.check(len(got) == len(of), "one table for each grouped aggregate", len(got)):
        return

    def key(v):
        parts = v if isinstance(v, tuple) else (v,)
        out = b""
        for p in parts:
            if isinstance(p, str):
                out += kit.key_text(p)
            elif isinstance(p, (bool, np.bool_)):
                out += b"\x01" + bytes([int(p)])
            elif hasattr(p, "toordinal"):
                out += kit.key_int(p.toordinal() - 719163)
            else:
                out += kit.key_int(int(p))
        return out

    for (expression, want), t in zip(of.items(), got):
        raw, off = t["keys"].tobytes(), t["offsets"]
        keys = [raw[off[i]:off[i + 1]] for i in range(len(off) - 1)]
        want = want[want.notna()]
        expected = {key(k): v for k, v in want.items()}
        have = {k: v for k, v, null in zip(keys, t["values"], t["nulls"]) if not null}
        if kit.check(set(have) == set(expected), f"{expression}: keys", f"{len(have)} and {len(expected)}; {sorted(set(have) ^ set(expected))[:5]}"):
            v = np.array([have[k] for k in expected], float)
            kit.close(v, list(expected.values()), 1e-12, expression)


def restricted():
    """Only the training rows, after `where`; and the same values when the rows are spread over files."""
    part = np.array([kit.uniform_of_key("split", kit.key_int(int(i))) for i in T.id]) < .6
    keep = part & (T.x < 100).to_numpy()
    rows = T[keep]
    split = 'where  x < 100\n    split  train 60%, test 40% by hash(id)'
    got = fitted(["x - mean(x)", "x - median(gap)", "x - coalesce(sum(n) by k, 0)"], split.replace("\n", "\n    "))
    if got is None:
        got = []
    if len(got) == 3:
        relative(float(got[0][""]), math.fsum(rows.x) / len(rows), 1e-15, "mean over the training rows that `where` kept")
        relative(float(got[1][""]), rows.gap.median(), 1e-15, "median over the training rows that `where` kept")
        kit.check(dict(zip(sorted(rows.k.unique(), key=str.encode), got[2]["values"])) == rows.groupby("k").n.sum().to_dict(), "table likewise")


scalars()
lists()
grouped()
restricted()
kit.done()
