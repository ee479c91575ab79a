# SPDX-License-Identifier: Apache-2.0
"""The bundle as others see it: read by the safetensors package, scored by hand in numpy, and what `cmlc predict` makes of files that fit
and of files that do not."""
import json
import os

import numpy as np
import pandas as pd
from safetensors import safe_open
from safetensors.numpy import load_file

import kit

rng = np.random.default_rng(12)
N = 5000
T = pd.DataFrame({
    "id": np.arange(N),
    "size": rng.gamma(3.0, size=N),
    "age": pd.Series(rng.normal(40, 12, size=N)).where(rng.random(N) > .1),
    "town": pd.Series(rng.choice(["Oslo", "Łódź", "Nice", "x=1,\"y\""], size=N)).where(rng.random(N) > .05),
    "floors": rng.integers(1, 7, size=N),
    "day": (pd.to_datetime("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, size=N), unit="D")).date,
    "unused": rng.normal(size=N),
})
T["price"] = 3 * np.log(T["size"]) + T.age.fillna(40) / 10 + T.floors % 3 + rng.normal(size=N)
T.to_parquet("t.parquet", row_group_size=999)
kit.write("m.cml", """## Prices.
data d {
    from   parquet("t.parquet")
    schema { id: int, size: float, age: float?, town: category?, floors: int in 1..6, day: date, price: float, unused: float }
    derive dear = price > 6
    split  train 80%, test 20% by hash(id)
}
features f of d {
    size  = standardize(log(size))
    age   = impute(age, fill = median(age))
    town  = one_hot(coalesce(town, "none"))
    mean  = target_mean(coalesce(town, "none"), dear)
    floor = one_hot(floors)
    year  = year(day) - 2020
    month = cyclic(month(day), period = 12)
}
model m = logistic_regression(dear ~ f, l2 = 0.01, threshold = 0.4)
evaluate m on d.test { auc, accuracy }
export m {
    bundle "m.cmlm"
    predictions of d.test keep [id, town] to "test.csv"
}
""")
R = kit.run("m.cml")
if not R:
    kit.done()
B = load_file("m.cmlm")
with safe_open("m.cmlm", "numpy") as f:
    META = f.metadata()


def texts(prefix):
    raw, off = B[prefix + ".bytes"].tobytes(), B[prefix + ".offsets"]
    return [raw[off[i]:off[i + 1]].decode() for i in range(len(off) - 1)]


def contents():
    coefficients, intercept, names = kit.model_of(R, "m")
    (c,) = [k for k in B if k.endswith(".coefficients")]
    kit.check(B[c].dtype == np.float64 and np.array_equal(B[c].ravel(), coefficients), "coefficients are those of --json, bit for bit")
    kit.check(B[c.replace("coefficients", "intercept")].ravel()[0] == intercept, "the intercept too")
    kit.check(texts("features") == names, "names of the features", texts("features"))
    (v, *_) = [k[:-6] for k in sorted(B) if k.startswith("fitted.") and k.endswith(".bytes")]
    kit.check(texts(v) == sorted(T.town.dropna().unique().tolist() + ["none"], key=str.encode), "a vocabulary", texts(v))
    program = B["program"].tobytes().decode()
    kit.check(B["program"].dtype == np.uint8 and 'column "town" category?' in program, "the program is text and declares what it reads")
    kit.check("unused" not in program and '"price"' not in program and '"id"' not in program, "scoring asks for no more than it needs")
    kit.check({"format", "format_version", "model", "estimator", "target", "options", "metrics", "program_digest", "data_digests", "seed",
               "cml_version"} <= set(META), "metadata", sorted(META))
    metrics = json.loads(META["metrics"])
    kit.check(metrics[0]["metrics"] == R["evaluations"][0]["metrics"], "metadata: metrics are those of the run")
    kit.check(json.loads(META["options"])["threshold"] == 0.4, "metadata: options", META["options"])
    kit.check(META["program_digest"] == R["program"]["digest"], "metadata: digest of the program")
    here = os.getcwd().encode()
    with open("m.cmlm", "rb") as f:
        raw = f.read()
    kit.check(here not in raw and os.uname().nodename.encode() not in raw, "no path and no host inside")
    head = json.loads(raw[8:8 + int.from_bytes(raw[:8], "little")])
    tensors = [k for k in head if k != "__metadata__"]
    kit.check(tensors == sorted(tensors), "tensors are sorted by name", tensors)


def by_hand(t, train):
    """The probability, from the definition of the features and the bundle's coefficients alone."""
    (c,) = [k for k in B if k.endswith(".coefficients")]
    b, names = dict(zip(texts("features"), B[c].ravel())), texts("features")
    out = np.full(len(t), B[c.replace("coefficients", "intercept")].ravel()[0])
    town, base = t.town.fillna("none"), train.town.fillna("none")
    dear = (train.price > 6).astype(float)
    g = dear.groupby(base).agg(["count", "sum"])
    slot = {
        "size": (np.log(t["size"]) - np.log(train["size"]).mean()) / np.log(train["size"]).std(),
        "age": t.age.fillna(train.age.median()),
        "mean": town.map((g["sum"] + 20 * dear.mean()) / (g["count"] + 20)).fillna(dear.mean()),
        "year": pd.to_datetime(t.day).dt.year - 2020,
        "month_sin": np.sin(2 * np.pi * pd.to_datetime(t.day).dt.month / 12),
        "month_cos": np.cos(2 * np.pi * pd.to_datetime(t.day).dt.month / 12),
    }
    for n in names:
        x = slot.get(n)
        if n.startswith("town="):
            x = town == n[5:]
        elif n.startswith("floor="):
            x = t.floors.astype(str) == n[6:]
        if x is None:
            kit.check(False, f"feature {n} is known here")
            continue
        out = out + b[n] * np.asarray(x, float)
    return kit.sigmoid(out)


TRAIN = T[np.array([kit.uniform_of_key("split", kit.key_int(i)) for i in range(N)]) < .8]
WANT = by_hand(T, TRAIN)


def scoring():
    T.to_csv("t.csv", index=False)
    for source, out in (("t.parquet", "p.csv"), ("t.csv", "p.parquet"), ("t.parquet", "p2.parquet")):
        kit.cmlc("predict", "m.cmlm", "--in", source, "--out", out)
        p = pd.read_csv(out) if out.endswith("csv") else pd.read_parquet(out)
        kit.check(len(p) == N and p.id.tolist() == T.id.tolist(), f"{source} to {out}: every row, in order")
        kit.check([c for c in T.columns if c in p] == list(T.columns), f"{source} to {out}: all columns are kept", list(p.columns))
        kit.check(p.town.where(p.town.notna(), None).tolist() == T.town.where(T.town.notna(), None).tolist(), f"{source} to {out}: texts come back")
        kit.close(p.probability, WANT, 1e-12, f"{source} to {out}: probabilities are those by hand")
        kit.check(((p.prediction.astype(str).str.lower() == "true") == (WANT >= 0.4)).all(), f"{source} to {out}: the stored threshold decides",
                  p.prediction.head())
    exported = pd.read_csv("test.csv")
    kit.check(list(exported.columns)[:2] == ["id", "town"] and "size" not in exported, "predictions keep [id, town]", list(exported.columns))
    kit.check(exported.id.tolist() == sorted(set(range(N)) - set(TRAIN.id)), "predictions of the test part: its rows")
    kit.close(exported.probability, WANT[exported.id], 1e-12, "predictions of the test part: those by hand")
    kit.cmlc("predict", "m.cmlm", "--in", "t.csv", "--out", "k.csv", "--keep", "town,unused")
    kit.check(list(pd.read_csv("k.csv").columns)[:2] == ["town", "unused"] and "id" not in pd.read_csv("k.csv"), "--keep town,unused")
    kit.cmlc("predict", "m.cmlm", "--in", "t.csv", "--out", "k.csv", "--keep", "none")
    kit.check(set(pd.read_csv("k.csv").columns) == {"prediction", "probability"}, "--keep none", list(pd.read_csv("k.csv").columns))
    few = T[["day", "floors", "town", "age", "size"]]
    few.to_parquet("few.parquet")
    kit.cmlc("predict", "m.cmlm", "--in", "few.parquet", "--out", "few.csv")
    kit.close(pd.read_csv("few.csv").probability, WANT, 1e-12, "only the columns of its schema, in another order")
    T.head(0).to_csv("none.csv", index=False)
    kit.cmlc("predict", "m.cmlm", "--in", "none.csv", "--out", "none-out.csv")
    kit.check(len(pd.read_csv("none-out.csv")) == 0, "a file with a header and no row: an output likewise")
    for i in range(3):
        T.iloc[i * 1000:(i + 1) * 1000 + (i == 2) * 2000].to_parquet(f"glob-{i}.parquet")
    kit.cmlc("predict", "m.cmlm", "--in", "glob-*.parquet", "--out", "glob.csv")
    kit.close(pd.read_csv("glob.csv").probability, WANT, 1e-12, "a glob of files")
    T.assign(town="Atlantis").to_parquet("new.parquet")
    kit.cmlc("predict", "m.cmlm", "--in", "new.parquet", "--out", "new.csv")
    kit.close(pd.read_csv("new.csv").probability, by_hand(T.assign(town="Atlantis"), TRAIN), 1e-12, "a category that was never seen")


def refused(what, args, status, *says, out="no.csv"):
    if os.path.exists(out):
        os.remove(out)
    before = set(os.listdir("."))
    r = kit.cmlc("predict", *args, "--out", out, status=None)
    kit.check(r.returncode == status, f"{what}: status {status}", f"{r.returncode}\n{r.stderr}")
    kit.check(all(s in r.stderr for s in says), f"{what}: says {', '.join(says)}", r.stderr)
    kit.check(set(os.listdir(".")) == before, f"{what}: nothing is written", set(os.listdir(".")) ^ before)


def refusals():
    def bad(name, t):
        t.to_parquet(name) if name.endswith("parquet") else t.to_csv(name, index=False)
        return ["m.cmlm", "--in", name]

    refused("a column is missing", bad("b1.parquet", T.drop(columns="floors")), 4, "floors")
    refused("a column is missing from a CSV", bad("b2.csv", T.drop(columns="town").rename(columns={"size": "siez"})), 4, "size")
    refused("a column of another type", bad("b3.parquet", T.assign(size=T.town)), 4, "size")
    odd = T.astype({"size": object}).copy()
    odd.loc[16, "size"] = "big"
    refused("a text among numbers", bad("b4.csv", odd), 4, "b4.csv", "17", "size", "big")
    refused("null in a column that has none", bad("b5.parquet", T.assign(size=T["size"].where(T.id != 41))), 4, "b5.parquet", "42", "size")
    refused("outside of its domain", bad("b6.parquet", T.assign(floors=T.floors.where(T.id != 7, 99))), 4, "b6.parquet", "8", "floors", "99")
    refused("no such file", ["m.cmlm", "--in", "nowhere.csv"], 4, "nowhere.csv")
    refused("no such bundle", ["nowhere.cmlm", "--in", "t.csv"], 4, "nowhere.cmlm")
    refused("a column to keep that is not there", ["m.cmlm", "--in", "t.csv", "--keep", "id,towm"], 2, "towm")
    refused("--out of no known kind", ["m.cmlm", "--in", "t.csv"], 2, "--out", out="no.txt")
    with open("m.cmlm", "rb") as f:
        raw = f.read()
    for what, data in (("cut short", raw[:-5]), ("empty", b""), ("longer than it says", raw + b"x"), ("text", b"hello, world\n" * 50),
                       ("of another format version", raw.replace(b'"format_version":"1"', b'"format_version":"9"')),
                       ("with an operation that is not known", raw.replace(b"nonzero.f64", b"nonzerx.f64"))):
        with open("bad.cmlm", "wb") as f:
            f.write(data)
        refused(f"a bundle that is {what}", ["bad.cmlm", "--in", "t.csv"], 4, "bad.cmlm")
    if os.geteuid() != 0:
        os.makedirs("locked", mode=0o500, exist_ok=True)
        refused("a folder that cannot be written", ["m.cmlm", "--in", "t.csv"], 5, "locked", out="locked/no.csv")
    refused("a folder that is not there", ["m.cmlm", "--in", "t.csv"], 5, "nodir", out="nodir/no.csv")


contents()
scoring()
refusals()
kit.done()
