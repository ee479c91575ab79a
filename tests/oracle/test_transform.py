# SPDX-License-Identifier: Apache-2.0
"""Features as columns of a file (`export .. { features of .. }`) against what scikit-learn and pandas make of the same rows: fitted on the
train part, applied to every part, in the order of the rows; names as in a table of coefficients; null where the value is null.
"""
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, MinMaxScaler, OneHotEncoder, PolynomialFeatures, PowerTransformer, StandardScaler

import kit

rng = np.random.default_rng(3)
N = 70_000  # more than one block of rows
T = pd.DataFrame({"id": np.arange(N), "a": rng.normal(size=N) * 1e3 + 5, "b": rng.lognormal(size=N),
                  "gap": pd.Series(rng.normal(size=N)).where(rng.random(N) > .2),
                  "c": rng.normal(size=N), "town": pd.Series(rng.choice(["Wien", "Łódź", "São Paulo", "köln", "a=b"], N, p=[.4, .3, .2, .099, .001])),
                  "n": rng.integers(0, 9, N), "part": rng.choice(["train", "valid", "test"], N, p=[.6, .1, .3])})
T["town"] = T.town.where(rng.random(N) > .05)
T["text"] = [" ".join(rng.choice(["red", "green", "blue", "ünder"], 3)) for _ in range(N)]
T["y"] = T.a / 1000 + T.n + T.town.map({"Wien": 1.0, "köln": 3.0}).fillna(0) + rng.normal(size=N)
T.to_parquet("t.parquet", index=False)
train = (T.part == "train").to_numpy()

DATA = """data d {
    from   parquet("t.parquet")
    schema { id: int, a: float, b: float, gap: float?, c: float, town: category?, n: int, part: string, text: string, y: float }
    split  train, valid, test, none by value(part)
}
"""
kit.write("a.cml", DATA + """
features f of d {
    let numbers = each float except [y]
    scaled = standardize(impute(numbers, fill = median(numbers)))
    gap    = min_max(gap)                         # null where it is null
    town   = one_hot(coalesce(town, "?"))
    power  = yeo_johnson(a)
    curve  = polynomial([a, c], degree = 2)
    shape  = pca(standardize([a, b, c]), 2)
    bins   = one_hot(string(n))
    words  = count_vector(tokenize(text), vocabulary(tokenize(text)))
    rare   = one_hot(town, min_count = 1000)      # null: no town
    seen   = count() by town
    flag   = a > 0
    both   = [low = a - 1, high = b * 2]
}

export f {
    features of d keep [id, town] to "all.parquet"
    features of d.test keep [id] to "test.csv"
    features of d.none to "none.parquet"
}
""")
report = kit.run("a.cml")
got = pq.read_table("all.parquet")
names, g = got.column_names, got.to_pandas()

NUMBERS = ["a", "b", "gap", "c"]


def fit(t, columns, what, names, tolerance=1e-12):
    """The transformer fitted on train, applied to all."""
    want = t.fit(columns[train]).transform(columns)
    want = want.toarray() if hasattr(want, "toarray") else np.asarray(want, float)
    missing = [n for n in names if n not in g]
    if missing:
        return kit.check(False, what, f"no columns {missing} in {list(g)}")
    have = g[names].to_numpy(float)
    kit.check((np.isnan(have) == np.isnan(want)).all(), f"{what}: null where it is null")
    kit.close(np.nan_to_num(have), np.nan_to_num(want), tolerance, what)


kit.check(g.id.tolist() == T.id.tolist() and g.town.isna().equals(T.town.isna()) and g.town.dropna().equals(T.town.dropna()),
          "kept columns, in the order of the rows")
types = {f.name: (str(f.type)) for f in got.schema}
kit.check(set(t for n, t in types.items() if n not in ("id", "town")) == {"double"} and types["id"] == "int64", "features are doubles", types)
# scikit-learn divides by n, cml by n - 1
ratio = np.sqrt((train.sum() - 1) / train.sum())
want = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit(T[NUMBERS][train]).transform(T[NUMBERS]) * ratio
kit.close(g[[f"scaled.{c}" for c in NUMBERS]].to_numpy(), want, 1e-12, "impute and standardize each number")
fit(MinMaxScaler(), T[["gap"]], "min_max of a column with nulls", ["gap"])
levels = sorted(T.town.fillna("?").unique(), key=lambda s: s.encode())
fit(OneHotEncoder(categories=[levels], handle_unknown="ignore"), T[["town"]].fillna("?"), "one_hot", [f"town={v}" for v in levels], 0)
fit(PowerTransformer(standardize=False), T[["a"]], "yeo_johnson", ["power"], 1e-4)  # scikit-learn's lambda is less exact
fit(PolynomialFeatures(2, include_bias=False), T[["a", "c"]], "polynomial", ["curve_a", "curve_c", "curve_a^2", "curve_a*c", "curve_c^2"])
fit(OneHotEncoder(), T[["n"]].astype(str), "one_hot of numbers", [f"bins={k}" for k in range(9)], 0)
words = CountVectorizer(token_pattern=r"\w+").fit(T.text[train])
fit(CountVectorizer(token_pattern=r"\w+"), T.text, "count_vector", [f"words={w}" for w in words.get_feature_names_out()], 0)
z = StandardScaler().fit(T[["a", "b", "c"]][train]).transform(T[["a", "b", "c"]]) * ratio
p = PCA(2).fit(z[train])
have = g[["shape_1", "shape_2"]].to_numpy()
want = p.transform(z)
kit.close(have * np.sign((have * want).sum(0)), want, 1e-8, "pca, up to signs")
counts = T.town[train].value_counts()
kit.check(g.seen.equals(T.town.map(counts).astype(float)), "count() by town: null where there is none")
often = [t for t in levels if counts.get(t, 0) >= 1000]
hot = np.where(T.town.isna().to_numpy()[:, None], np.nan, (T.town.to_numpy()[:, None] == np.array(often, object)).astype(float))
kit.check(np.array_equal(g[[f"rare={t}" for t in often]].to_numpy(float), hot, equal_nan=True) and sum(n.startswith("rare=") for n in names) == len(often),
          "a null vector is null in each of its columns")
kit.check((g.flag == (T.a > 0)).all() and (g.both_low == T.a - 1).all() and (g.both_high == T.b * 2).all(), "conditions and written vectors")

test = pd.read_csv("test.csv", dtype=str).map(float)
rows = (T.part == "test").to_numpy()
kit.check(np.array_equal(test.to_numpy(), g[rows].drop(columns="town").to_numpy(float), equal_nan=True), "the same numbers in CSV, to the last bit, of one part")
none = pq.read_table("none.parquet")
kit.check(none.num_rows == 0 and none.column_names == [n for n in names if n not in ("id", "town")], "a part without rows: the columns alone")
kit.check([(e["kind"], e["rows"]) for e in report["exports"]] == [("features", N), ("features", int(rows.sum())), ("features", 0)], "--json names the files")

# ---- of a model: the names of its coefficients, and the very values it learned from ----

kit.write("m.cml", DATA + """
features f of d {
    a     = standardize(a)
    town  = target_mean(coalesce(town, "?"), y, smoothing = 0)
    n     = one_hot(string(n), drop = "first")
}
model m = linear_regression(y ~ f)
export m { features of d keep [y, part] to "m.parquet", predictions of d keep [id] to "p.parquet" }
""".replace('"m.parquet", predictions', '"m.parquet"\n    predictions').replace("export m { ", "export m {\n    ").replace('"p.parquet" }', '"p.parquet"\n}'))
report = kit.run("m.cml")
w, b0, names = kit.model_of(report, "m")
m = pd.read_parquet("m.parquet")
kit.check(list(m) == ["y", "part"] + names, "columns are called as the coefficients", list(m))
kit.close(m[names].to_numpy() @ w + b0, pd.read_parquet("p.parquet").prediction, 1e-12, "columns times coefficients are the predictions")
x = np.column_stack([np.ones(train.sum()), m[names].to_numpy()[train]])
kit.close(np.concatenate([[b0], w]), np.linalg.lstsq(x, T.y.to_numpy()[train], rcond=None)[0], 1e-8, "numpy learns the same model from the columns")
plain = T.town.fillna("?").map(T[train].assign(town=T.town.fillna("?")).groupby("town").y.mean())
kit.close(m.town[~train], plain[~train], 1e-12, "other rows read the table of all training rows")
kit.check((np.abs(m.town[train] - plain[train]) > 1e-9).mean() > 0.9, "training rows read what the other folds say")

first = kit.run("a.cml")["exports"]
for options in (["--threads", 1], ["--threads", 7], ["--memory", "64M"], ["--executor", "loopback"], ["--jit", "force"]):
    other = kit.run("a.cml", *options)
    kit.check(other and [e["digest"] for e in other["exports"]] == [e["digest"] for e in first] and
              pq.read_table("all.parquet").equals(got), f"the same file with {' '.join(map(str, options))}")
kit.done()
