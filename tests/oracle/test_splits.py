# SPDX-License-Identifier: Apache-2.0
"""How rows are divided, held against pandas and numpy: parts and folds of every kind of split, samples, expectations. Rows are seen
through exported predictions, which keep the `id` (the row's position)."""
import numpy as np
import pandas as pd

import kit

rng = np.random.default_rng(20240229)
N = 5000
DATA = pd.DataFrame({
    "id": np.arange(N),
    "day": pd.to_datetime("2019-12-30") + pd.to_timedelta(rng.integers(0, 90, N), unit="D"),
    "at": pd.to_datetime("1965-01-01") + pd.to_timedelta(rng.integers(0, 4 * 10 ** 9, N), unit="s"),
    "step": rng.integers(-10 ** 6, 10 ** 6, N),
    "who": rng.integers(0, 300, N),
    "town": rng.choice(["Graz", "Köln", "St. Pölten", "大阪"], N, p=[.6, .3, .0999, .0001]),
    "rare": rng.choice(["yes", ""], N, p=[.01, .99]),
    "x": rng.normal(size=N).round(4),
    "y": rng.random(N) < .2,
})
DATA["day"] = DATA.day.dt.strftime("%Y-%m-%d")
DATA["at"] = DATA["at"].dt.strftime("%Y-%m-%dT%H:%M:%S")
SCHEMA = "schema { id: int, day: date, at: timestamp, step: int, who: int, town: category, rare: category?, x: float, y: bool }"


def program(frame, clauses, parts, slots="w = who"):
    frame.to_csv("s.csv", index=False)
    outs = "\n".join(f'    predictions of d{"." + p if p else ""} keep [id] to "{p or "all"}.csv"' for p in parts)
    part = f", on = d.{parts[0]}" if parts[0] and parts[0] != "train" else ""
    kit.write("s.cml", f"""data d {{
    from csv("s.csv")
    {SCHEMA}
    {clauses}
}}
features f of d {{ {slots} }}
model m = linear_regression(target ~ f{part})
export m {{
    bundle "m.cmlm"
{outs}
}}
""")


def divided(frame, clauses, parts, *args, status=0, slots="w = who"):
    """ids of the rows in each part."""
    program(frame, clauses + "\n    derive target = x + step / 1e6", parts, slots)
    report = kit.run("s.cml", *args, status=status)
    if status or not report:
        return None
    return {p: pd.read_csv(f"{p or 'all'}.csv").id.to_numpy() for p in parts}


def type7(values, q):
    return np.quantile(values, q, method="linear")


# ---- by time ----

for column, value in [("day", pd.to_datetime(DATA.day)), ("at", pd.to_datetime(DATA["at"])), ("step", DATA.step)]:
    t = value.astype("int64").to_numpy() if column == "step" else value.to_numpy().astype("datetime64[us]").astype("int64")
    got = divided(DATA, f"split train 60%, valid 15%, test 25% by time({column})", ["train", "valid", "test"])
    cuts = [type7(t, .6), type7(t, .75)]
    want = {"train": t <= cuts[0], "valid": (t > cuts[0]) & (t <= cuts[1]), "test": t > cuts[1]}
    for p in want:
        kit.check(np.array_equal(got[p], np.flatnonzero(want[p])), f"by time({column}): {p} as numpy's type 7 quantiles cut it",
                  f"{len(got[p])} rows, want {want[p].sum()}")
    kit.check(t[got["train"]].max() < t[got["valid"]].min() and t[got["valid"]].max() < t[got["test"]].min(),
              f"by time({column}): parts follow one another, and no time is torn")

got = divided(DATA, 'where town == "Graz"\n    split train 60%, test 40% by time(step)', ["train", "test"])
graz = (DATA.town == "Graz").to_numpy()
cut = type7(DATA.step[graz], .6)
kit.check(np.array_equal(got["train"], np.flatnonzero(graz & (DATA.step <= cut))), "by time: the cut is that of the rows that a `where` above leaves")
got = divided(DATA, 'split train 60%, test 40% by time(step)\n    where town == "Graz"', ["train", "test"])
cut = type7(DATA.step, .6)
kit.check(np.array_equal(got["train"], np.flatnonzero(graz & (DATA.step <= cut))), "by time: a `where` below does not move it")

for rows, what in [(1, "one row"), (2, "two rows"), (5, "five rows")]:
    small = DATA.head(rows)
    got = divided(small, "split train 60%, test 40% by time(step)", ["train"])
    kit.check(np.array_equal(got["train"], np.flatnonzero(small.step <= type7(small.step, .6))), f"by time: {what}")
same = DATA.head(50).assign(day="2020-02-02")
got = divided(same, "split train 60%, test 40% by time(day)", ["train", "test"])
kit.check(len(got["train"]) == 50 and len(got["test"]) == 0, "by time: equal times all lie in the first part")

# ---- by random, stratified ----

SEED = kit.hash_word(0, 7)
U = np.array([kit.uniform_of_position("d", "split", SEED, i) for i in range(N)])
got = divided(DATA, "split train 70%, test 30% by random(seed = 7)", ["train", "test"])
kit.check(np.array_equal(got["train"], np.flatnonzero(U < .7)), "by random: the documented numbers")
for columns, shares in [(["town"], [.7, .3]), (["y", "town"], [.5, .25, .25]), (["rare"], [.9, .1]), (["day"], [.8, .2])]:
    parts = ["train", "test", "more"][:len(shares)]
    split = ", ".join(f"{p} {s:.0%}" for p, s in zip(parts, shares))
    strat = columns[0] if len(columns) == 1 else "[" + ", ".join(columns) + "]"
    got = divided(DATA, f"split {split} by random(seed = 7, stratify = {strat})", parts)
    part = np.full(N, -1)
    for i, p in enumerate(parts):
        part[got[p]] = i
    stratum = DATA[columns].astype(str).agg("|".join, axis=1).to_numpy()
    worst, order = 0, True
    for s in np.unique(stratum):
        rows = np.flatnonzero(stratum == s)
        for i, c in enumerate(np.cumsum(shares)):
            worst = max(worst, abs((part[rows] <= i).sum() - c * len(rows)))
        order = order and (np.diff(part[rows][np.argsort(U[rows])]) >= 0).all()
    kit.check(part.min() >= 0 and worst < 1, f"stratify = {strat}: proportions within one row in {len(np.unique(stratum))} strata", worst)
    kit.check(order, f"stratify = {strat}: within a stratum by the documented numbers")
got = divided(DATA.head(1), "split train 70%, test 30% by random(seed = 7, stratify = town)", ["train"])
kit.check(list(got["train"]) == [0], "a stratum of one row lies in the first part")

# ---- by hash, group ----

got = divided(DATA, "split train 70%, test 30% by hash(who)", ["train", "test"])
kit.check(not set(DATA.who[got["train"]]) & set(DATA.who[got["test"]]), "by hash: no key on both sides")
more = divided(pd.concat([DATA, DATA.assign(id=DATA.id + N)]), "split train 70%, test 30% by hash(id)", ["train"])["train"]
less = divided(DATA, "split train 70%, test 30% by hash(id)", ["train"])["train"]
kit.check(np.array_equal(more[more < N], less), "by hash: rows added at the end move no others")
got = divided(DATA, "group who\n    split train 70%, test 30% by random(seed = 3)", ["train", "test"])
kit.check(not set(DATA.who[got["train"]]) & set(DATA.who[got["test"]]) and len(got["train"]) + len(got["test"]) == N, "group: no key on both sides")
a = divided(DATA, "group (who, town)\n    split train 70%, test 30% by random(seed = 4)", ["train", "test"])
keys = list(zip(DATA.who, DATA.town))
kit.check(not {keys[i] for i in a["train"]} & {keys[i] for i in a["test"]} and .6 < len(a["train"]) / N < .8, "group of two keys")

# ---- a part divided again, samples ----

clauses = """split train 70%, test 30% by time(step)
    split train: fit 75%, valid 25% by random(seed = 7, stratify = y)
    split valid: early 50%, late 50% by time(step)"""
got = divided(DATA, clauses, ["train", "fit", "valid", "early", "late", "test"])
sets = {k: set(v) for k, v in got.items()}
kit.check(sets["train"] == sets["fit"] | sets["valid"] and sets["valid"] == sets["early"] | sets["late"] and not sets["fit"] & sets["valid"]
          and not sets["early"] & sets["late"] and len(sets["train"] | sets["test"]) == N, "a part divided again is the union of its parts")
kit.check(np.array_equal(got["train"], np.flatnonzero(DATA.step <= type7(DATA.step, .7))), "and what it was before")
kit.check(np.array_equal(got["early"], got["valid"][DATA.step[got["valid"]] <= type7(DATA.step[got["valid"]], .5)]),
          "its cuts are those of its own rows")
for label in (True, False):
    n = (DATA.y[got["train"]] == label).sum()
    kit.check(abs((DATA.y[got["fit"]] == label).sum() - .75 * n) < 1, f"proportions within the part, y = {label}")

got = divided(DATA, "split train 70%, test 30% by hash(id)\n    sample train 20% by random(seed = 1) where not y", ["train", "test"])
full = divided(DATA, "split train 70%, test 30% by hash(id)", ["train", "test"])
kit.check(np.array_equal(got["test"], full["test"]), "sample: other parts are whole")
kit.check(set(got["train"]) <= set(full["train"]) and set(full["train"][DATA.y[full["train"]]]) <= set(got["train"]), "sample: rows outside of its condition stay")
share = (~DATA.y[got["train"]]).sum() / (~DATA.y[full["train"]]).sum()
kit.check(.17 < share < .23, f"sample: a share of {share:.3f} stays")
kit.check(np.array_equal(divided(DATA, "split train 70%, test 30% by hash(id)\n    sample train 100%", ["train"])["train"], full["train"]),
          "sample 100% changes nothing")

# ---- The same rows however it runs ----

for clauses in ["split train 60%, test 40% by time(day)", "split train 60%, test 40% by random(seed = 2, stratify = [town, rare])",
                "group who\n    split train 60%, test 40% by random(seed = 2)\n    sample train 30%"]:
    runs = []
    for how in [("--threads", "1"), ("--threads", "2"), ("--threads", "7"), ("--executor", "loopback")]:
        program(DATA, clauses + "\n    derive target = x + step / 1e6", ["train", "test"], "w = who\n c = target_mean(town, target)")
        kit.run("s.cml", *how)
        runs.append([open(f, "rb").read() for f in ("train.csv", "test.csv", "m.cmlm")])
    kit.check(all(r == runs[0] for r in runs), f"the same bytes on 1, 2, 7 threads and loopback: {clauses.splitlines()[0]}")

# ---- Folds under a split by time: a row reads what was fitted on earlier blocks ----

small = DATA.head(400).assign(id=range(400))
program(small, "split train 75%, test 25% by time(step)\n    derive target = x + step / 1e6", ["train", "test"],
        "c = target_mean(town, target, smoothing = 2)")
s = open("s.cml").read().replace("linear_regression(target ~ f", "linear_regression(target ~ f, intercept = false")
kit.write("s.cml", s)
report = kit.run("s.cml")
(b,), _, _ = kit.model_of(report, "m")
target = small.x + small.step / 1e6
t = small.step.to_numpy()
train = t <= type7(t, .75)
block = sum((t > type7(t, .75 * k / 5)).astype(int) for k in range(1, 5))
prior = target[train].mean()


def smoothed(rows, i):
    same = rows & (small.town == small.town[i]).to_numpy()
    return (target[same].sum() + 2 * prior) / (same.sum() + 2)


kit.close(pd.read_csv("train.csv").prediction / b, [smoothed(train & (block < block[i]), i) for i in np.flatnonzero(train)], 1e-10,
          "by time: training rows read the blocks before their own, the first block the prior")
kit.close(pd.read_csv("test.csv").prediction / b, [smoothed(train, i) for i in np.flatnonzero(~train)], 1e-10, "by time: test rows read all training rows")

# Tables inside cross-fitted tables, by time: the inner ones are of earlier blocks too.
program(small, "split train 75%, test 25% by time(step)\n    derive target = x + step / 1e6", ["train", "test"],
        "c = coalesce(mean(target - coalesce(mean(target) by y, 0)) by town, 0)")
kit.write("s.cml", open("s.cml").read().replace("target ~ f", "target ~ f, intercept = false"))
report = kit.run("s.cml")
(b,), _, _ = kit.model_of(report, "m")


def nested(rows, i):
    same = rows & (small.town == small.town[i]).to_numpy()
    inner = [target[j] - target[rows & (small.y == small.y[j]).to_numpy()].mean() for j in np.flatnonzero(same)]
    return np.mean(inner) if inner else 0.0


kit.close(pd.read_csv("train.csv").prediction / b, [nested(train & (block < block[i]), i) for i in np.flatnonzero(train)], 1e-9,
          "by time: tables inside tables")

# ---- count(distinct x) ----

mixed = DATA.assign(x=rng.choice([-1.5, -0.0, 0.0, 2.25, np.nan], N), rare=rng.choice(["yes", "", "ünï"], N))
mixed.to_csv("s.csv", index=False)
columns = {"id": "id", "day": "day", "at": "at", "town": "town", "x": "x", "rare": "rare", "y": "y"}
tests = "\n".join(f"    expect count(distinct {c}) == {pd.Series(mixed[v]).replace('', np.nan).nunique() if c == 'rare' else mixed[v].nunique()}"
                  for c, v in columns.items())
kit.write("u.cml", f"""data d {{
    from csv("s.csv")
    {SCHEMA.replace("x: float", "x: float?")}
{tests}
    expect count(distinct who where y and x > 0) == {mixed.who[mixed.y & (mixed.x > 0)].nunique()}
    where id < 0
    expect count(distinct id) == 0
}}
""")
for how in [("--threads", "1"), ("--threads", "7"), ("--executor", "loopback")]:
    kit.check(kit.run("u.cml", *how) is not None, f"count(distinct x) of every type as pandas' nunique, {how[1]}")

small = mixed.head(300).drop(columns="id").assign(id=range(300))[list(DATA.columns)].assign(x=0.5)
program(small, "derive target = x + step / 1e6", [""], "c = coalesce(count(distinct who where target > 0.3) by town, 0)")
kit.write("s.cml", open("s.cml").read().replace("target ~ f", "target ~ f, intercept = false").replace("predictions of d keep", "predictions of d keep"))
report = kit.run("s.cml")
(b,), _, _ = kit.model_of(report, "m")
fold = kit.folds_of_positions("d", 300)
high = (small.x + small.step / 1e6 > .3).to_numpy()
want = [small.who[high & (fold != fold[i]) & (small.town == small.town[i]).to_numpy()].nunique() for i in range(300)]
kit.close(pd.read_csv("all.csv").prediction / b, want, 1e-12, "count(distinct x) by key, cross-fitted")

# ---- on_invalid ----

bad = DATA.assign(who=np.where(np.arange(N) % 7 == 0, 900, DATA.who), x=np.where(np.arange(N) % 5 == 0, 99.0, DATA.x))
bad.to_csv("s.csv", index=False)
kit.write("i.cml", """data d {
    from csv("s.csv")
    schema {
        id:   int
        who:  int in 0..300 on_invalid = drop
        town: category in ["Graz", "Köln"] on_invalid = drop
        x:    float? in -50..50 on_invalid = null
        y:    bool
    }
    expect max(who) <= 300 and max(x) <= 50
    where  id >= 100
}
features f of d { x = coalesce(x, 7) }
model m = logistic_regression(y ~ f)
evaluate m on d { log_loss }
export m {
    bundle "i.cmlm"
    predictions of d keep [id, x] to "i.csv"
}
""")
good = (bad.who <= 300) & bad.town.isin(["Graz", "Köln"])
for how in [("--threads", "2"), ("--executor", "loopback")]:
    r = kit.run("i.cml", *how)["data"]["d"]
    kit.check(r["invalid"] == (~good).sum() and r["parts"]["all"] == (good & (bad.id >= 100)).sum(), f"on_invalid = drop: counted, {how[1]}", r)
got = pd.read_csv("i.csv")
kept = bad[good & (bad.id >= 100)]
kit.check(np.array_equal(got.id, kept.id) and np.array_equal(got.x.isna(), kept.x > 50), "on_invalid = drop and null: the rows and values")
pd.DataFrame({"id": [1, 2], "who": [5, 900], "town": "Graz", "x": [99, 1.0], "y": True}).to_csv("new.csv", index=False)
kit.cmlc("predict", "i.cmlm", "--in", "new.csv", "--out", "p.csv")
new = pd.read_csv("p.csv")
kit.check(len(new) == 2 and abs(new.probability[0] - pd.read_csv("i.csv").probability[got.x.isna()].iloc[0]) < 1e-15,
          "a stored model reads an invalid value as null, too")

kit.done()
