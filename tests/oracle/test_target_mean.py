# SPDX-License-Identifier: Apache-2.0
"""Cross-fitting, worked by hand. cml's folds are computed again from their documentation (base/hash.h, by kit), the tables with exact
fractions. A slot's value in each row is seen through a model with that slot alone and no intercept: its prediction is b times the slot."""
from fractions import Fraction

import numpy as np
import pandas as pd

import kit

SMALL = pd.DataFrame({
    "id": range(1, 25),
    "k": list("aabbccaabbcdaabbccaabbce"),
    "h": list("xyxyzxyxyxzxyxyxyzxyxyxx"),
    "y": [1, 4, 2, 8, 5, 7, 1, 3, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6],
    "z": [2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4, 5, 2, 3, 5, 3, 6, 0, 2, 8],
})
SMALL.to_csv("small.csv", index=False)
N = len(SMALL)
BY_POSITION = kit.folds_of_positions("d", N)
BY_ID = np.array([min(int(kit.uniform_of_key("fold", kit.key_int(int(i))) * 5), 4) for i in SMALL.id])
TEST = np.array([kit.uniform_of_key("split", kit.key_int(int(i))) >= 0.75 for i in SMALL.id])


def program(slot, split="", target="y", derive="", name="m", more=""):
    kit.write("t.cml", f"""data d {{
    from   csv("small.csv")
    schema {{ id: int, k: category, h: category, y: float, z: float }}
    {derive}
    {split}
}}
features f of d {{
    s = {slot}
}}
model m = linear_regression({target} ~ f, intercept = false)
evaluate m on d{'.test' if split else ''} {{ rmse }}
export m {{
    bundle "t.cmlm"
    predictions of d{'.train' if split else ''} to "train.csv"
    {'predictions of d.test to "test.csv"' if split else ''}
}}
{more}""")
    return kit.run("t.cml")


def slot_values(report, file="train.csv"):
    (b,), _, _ = kit.model_of(report, "m")
    return pd.read_csv(file).prediction.to_numpy() / b


def table(rows, of, key="k", y="y"):
    """count and mean of y by key over `rows` as exact fractions, for each row of `of`."""
    d = SMALL
    out = []
    for i in np.flatnonzero(of):
        same = [Fraction(int(d[y][j])) for j in np.flatnonzero(rows) if d[key][j] == d[key][i]]
        out.append((len(same), sum(same) / len(same) if same else None))
    return out


def crossed(value, train, fold):
    """value(rows, of) of every training row, with rows = the training rows outside of its fold."""
    out = np.empty(N)
    for k in range(5):
        of = train & (fold == k)
        out[of] = value(train & (fold != k), of)
    return out[train]


def smooth(smoothing, train, y="y"):
    prior = sum(Fraction(int(v)) for v in SMALL[y][train]) / int(train.sum())
    return lambda rows, of: [float((n * (m or 0) + smoothing * prior) / (n + smoothing)) for n, m in table(rows, of, y=y)]


everything = np.ones(N, bool)
train = ~TEST
print(f"# folds by position {BY_POSITION.tolist()}; by id {BY_ID.tolist()}; test {np.flatnonzero(TEST).tolist()}")

r = program("target_mean(k, y, smoothing = 2)")
if r:
    kit.close(slot_values(r), crossed(smooth(2, everything), everything, BY_POSITION), 1e-14, "target_mean, no split: folds by position")

r = program("target_mean(k, y)", "split train 75%, test 25% by hash(id)")
if r:
    kit.check(pd.read_csv("train.csv").id.tolist() == SMALL.id[train].tolist(), "the training rows are those of the documented hash")
    kit.close(slot_values(r), crossed(smooth(20, train), train, BY_ID), 1e-14, "target_mean, split by hash: folds by the same key")
    kit.close(slot_values(r, "test.csv"), smooth(20, train)(train, TEST), 1e-14, "target_mean: other rows read all training rows")
    SMALL.to_csv("again.csv", index=False)
    kit.cmlc("predict", "t.cmlm", "--in", "again.csv", "--out", "again-out.csv")
    (b,), _, _ = kit.model_of(r, "m")
    kit.close(pd.read_csv("again-out.csv").prediction / b, smooth(20, train)(train, everything), 1e-14,
              "target_mean: a bundle reads all training rows, for every row")
    pd.DataFrame({"k": ["new", "a"]}).to_csv("new.csv", index=False)
    kit.cmlc("predict", "t.cmlm", "--in", "new.csv", "--out", "new-out.csv")
    kit.close(pd.read_csv("new-out.csv").prediction[0] / b, SMALL.y[train].mean(), 1e-14, "target_mean: an unseen category has the mean")

r = program("coalesce(mean(y) by k, -1)", "split train 75%, test 25% by hash(id)\n    folds 3")
if r:
    three = np.array([min(int(kit.uniform_of_key("fold", kit.key_int(int(i))) * 3), 2) for i in SMALL.id])
    plain = lambda rows, of: [float(-1 if m is None else m) for n, m in table(rows, of)]
    out = np.empty(N)
    for k in range(3):
        out[train & (three == k)] = plain(train & (three != k), train & (three == k))
    kit.close(slot_values(r), out[train], 1e-14, "mean(y) by k with 3 folds: null where the other folds lack the key")

r = program("coalesce(count() by k, 0)")
if r:
    kit.close(slot_values(r), [n for n, _ in table(everything, everything)], 1e-14, "count() by k: not of the target, not cross-fitted")

r = program("coalesce(count() by k, 0) * 100 + coalesce(mean(y) by k, 0)")
if r:
    both = lambda rows, of: [float(100 * n + (m or 0)) for n, m in table(rows, of)]
    kit.close(slot_values(r), crossed(both, everything, BY_POSITION), 1e-14, "beside a cross-fitted table every table of the slot is of its rows")

r = program("coalesce(mean(z) by k, 0)", derive="derive v = y + 2 * z", target="v")
if r:
    of_z = lambda rows, of: [float(m or 0) for n, m in table(rows, of, y="z")]
    kit.close(slot_values(r), crossed(of_z, everything, BY_POSITION), 1e-14, "a column that the target is computed from is the target too")

r = program("coalesce(mean(y) by k, 0)", target="z")
if r:
    kit.close(slot_values(r), [float(m) for n, m in table(everything, everything)], 1e-14, "another column than the target is not cross-fitted")

r = program("standardize(target_mean(k, y, smoothing = 1))")
if r:
    t = crossed(smooth(1, everything), everything, BY_POSITION)
    kit.close(slot_values(r), (t - t.mean()) / t.std(ddof=1), 1e-12, "an aggregate over a cross-fitted value reads the out-of-fold values")

r = program("coalesce(mean(y - coalesce(mean(z) by h, 0)) by k, 0)")
if r:
    def nested(rows, of):
        """The inner table is fitted on the rows of the outer one, for each fold left out anew."""
        d = SMALL[rows]
        rest = d.y - d.h.map(d.groupby("h").z.mean())
        return SMALL.k[of].map(rest.groupby(d.k).mean()).fillna(0)

    kit.close(slot_values(r), crossed(nested, everything, BY_POSITION), 1e-13, "a table inside a cross-fitted table is of the same rows")
    kit.cmlc("predict", "t.cmlm", "--in", "small.csv", "--out", "nested-out.csv")
    (b,), _, _ = kit.model_of(r, "m")
    kit.close(pd.read_csv("nested-out.csv").prediction / b, nested(everything, everything), 1e-13,
              "... and outside of training both are of all training rows")

r = program("coalesce(mean(y where z > 2) by (k, h), mean(y))")
if r:
    d = SMALL

    def pairs(rows, of):
        out = []
        for i in np.flatnonzero(of):
            s = rows & ((d.k == d.k[i]) & (d.h == d.h[i]) & (d.z > 2)).to_numpy()
            out.append(d.y[s].mean() if s.any() else d.y.mean())
        return out

    kit.close(slot_values(r), crossed(pairs, everything, BY_POSITION), 1e-14, "two keys and a condition")

# One block, two models: each has fitted values of its own.
r = program("coalesce(mean(y) by k, 0)", more="""model other = linear_regression(z ~ f, intercept = false)
evaluate other on d { rmse }
export other { predictions of d to "other.csv" }
""")
if r:
    t = crossed(lambda rows, of: [float(m or 0) for n, m in table(rows, of)], everything, BY_POSITION)
    kit.close(slot_values(r), t, 1e-14, "one block, two targets: cross-fitted for its own")
    (b,), _, _ = kit.model_of(r, "other")
    kit.close(pd.read_csv("other.csv").prediction / b, [float(m) for n, m in table(everything, everything)], 1e-14,
              "one block, two targets: plain for the other")

# The same folds in a larger set, where each fold has about a fifth, and in all ways of running.
rng = np.random.default_rng(8)
big = pd.DataFrame({"id": range(9000), "k": rng.choice(list("abcdefghijklmnop"), 9000), "y": rng.random(9000) < 0.3})
big.to_parquet("big.parquet")
kit.write("big.cml", """data d {
    from   parquet("big.parquet")
    schema { id: int, k: category, y: bool }
    split  train 80%, test 20% by hash(id)
}
features f of d { s = target_mean(k, y) }
model m = logistic_regression(y ~ f)
evaluate m on d.test { log_loss }
export m { predictions of d.train to "big.csv" }
""")
r = kit.run("big.cml", "--seed", "5")
if r:
    (b,), b0, _ = kit.model_of(r, "m")
    p = pd.read_csv("big.csv")
    ids = p.id.to_numpy()
    fold = np.array([min(int(kit.uniform_of_key("fold", kit.key_int(int(i))) * 5), 4) for i in ids])
    kit.check(np.all(np.abs(np.bincount(fold, minlength=5) / len(fold) - 0.2) < 0.02), "folds are about equally large")
    t, want = big.iloc[ids].reset_index(drop=True), np.empty(len(ids))
    for k in range(5):
        g = t[fold != k].groupby("k").y.agg(["count", "sum"])
        want[fold == k] = t.k[fold == k].map((g["sum"] + 20 * t.y.mean()) / (g["count"] + 20))
    got = (np.log(p.probability / (1 - p.probability)) - b0) / b
    kit.close(got, want, 1e-9, "target_mean of a bool in 9000 rows; no seed changes folds by hash")
kit.done()
