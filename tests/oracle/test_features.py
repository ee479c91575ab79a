# SPDX-License-Identifier: Apache-2.0
"""Features of numbers, categories and vectors against scikit-learn.

What a slot holds is seen through a model: its predictions are the features, as scikit-learn makes them, times the coefficients that cml
reports under the names of the elements. Targets are chosen so that no coefficient is small.
"""
import numpy as np
import pandas as pd
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.preprocessing import (MaxAbsScaler, Normalizer, OneHotEncoder, PolynomialFeatures, PowerTransformer, QuantileTransformer,
                                   SplineTransformer, StandardScaler)
from safetensors.numpy import load_file

import kit

rng = np.random.default_rng(9)
N = 6000
base = rng.normal(size=(N, 4)) @ rng.normal(size=(4, 4))
T = pd.DataFrame({
    "id": np.arange(N),
    "a": base[:, 0] + 1e5, "b": base[:, 1] * 100, "c": base[:, 2], "e": base[:, 3] - 3,
    "pos": rng.lognormal(1, 0.7, size=N), "skew": rng.gamma(1.5, size=N) * np.where(rng.random(N) < .4, -3, 1),
    "big": rng.lognormal(12, 0.2, size=N),
    "ties": rng.integers(0, 30, size=N).astype(float),
    "flat": 2.5,
    "k": rng.choice(["x", "y", "zé", "a b"], p=[.5, .3, .19, .01], size=N),
    "q": rng.choice(["S", "M", "L"], size=N),
    "n": rng.integers(1, 8, size=N),
})
T["gap"] = pd.Series(rng.normal(size=N) * 5).where(rng.random(N) > .2)
T["hole"] = pd.Series(rng.gamma(2, size=N)).where(rng.random(N) > .1)
T.to_csv("t.csv", index=False, float_format="%.17g")
train = T.id.to_numpy() % 4 != 0
T["part"] = np.where(train, "train", "test")
SCHEMA = """id: int, a: float, b: float, c: float, e: float, pos: float, skew: float, big: float, ties: float, flat: float, k: category
        q: category in ["S", "M", "L"] ordered, n: int, gap: float?, hole: float?, part: string, y: float"""


def exact(name):
    """Numbers as Python reads them, whatever pandas does."""
    return pd.read_csv(name, dtype=str)[["id", "prediction"]].map(float)


def seen(slots, what, matrix, names, tolerance=1e-10):
    """The model's predictions on all rows, out of scikit-learn's features."""
    m = np.asarray(matrix, float)
    T["y"] = (m / np.maximum(np.abs(m).max(0), 1e-300)) @ np.linspace(1, 2, m.shape[1]) + rng.normal(size=N) * 0.1
    T.to_csv("t.csv", index=False, float_format="%.17g")
    kit.write("a.cml", f"""data d {{
    from   csv("t.csv")
    schema {{
        {SCHEMA}
    }}
    split  train, test by value(part)
}}
features f of d {{
{slots}
}}
model m = linear_regression(y ~ f, l2 = 1e-6)
evaluate m on d.test {{ rmse }}
export m {{
    bundle "a.cmlm"
    predictions of d.train keep [id] to "p.csv"
}}
""")
    report = kit.run("a.cml")
    if not report:
        return
    coefficients, intercept, got = kit.model_of(report, "m")
    kit.check(list(got) == names, f"{what}: names", f"{got}\n{names}")
    kit.cmlc("predict", "a.cmlm", "--in", "t.csv", "--out", "all.csv")
    p = exact("all.csv").prediction
    kit.close(p, m @ coefficients + intercept, tolerance, what)
    fitted = exact("p.csv")
    kit.check((p[fitted.id].to_numpy() == fitted.prediction.to_numpy()).all(), f"{what}: the bundle predicts the same bits")


def fit(transformer, columns):
    x = T[columns].to_numpy(float)
    return transformer.fit(x[train]).transform(x)


def scaled(columns):
    n = train.sum()
    return fit(StandardScaler(), columns) * np.sqrt((n - 1) / n)


def onehot(column):
    return fit_text(OneHotEncoder(sparse_output=False), column)


def fit_text(transformer, column):
    x = T[[column]].to_numpy(str)
    return transformer.fit(x[train]).transform(x)


# ---- vectors ----
# scikit-learn forms X'X - n m m', so far from 0 its own error decides; numpy's singular value decomposition does not
x = T[["a", "b", "c", "e"]].to_numpy() - T.loc[train, ["a", "b", "c", "e"]].to_numpy().mean(0)
vt = np.linalg.svd(x[train], full_matrices=False)[2]
vt *= np.sign(vt[np.arange(4), np.abs(vt).argmax(1)])[:, None]
seen("    pc = pca([a, b, c, e], 3)", "pca", x @ vt[:3].T, ["pc_1", "pc_2", "pc_3"])
components = load_file("a.cmlm")
mat = [v for k, v in components.items() if v.shape == (3, 4)]
kit.check(len(mat) == 1, "pca: the components are a matrix in the bundle")
kit.close(mat[0], vt[:3], 1e-10, "pca: components against the singular value decomposition")
seen("    pc = pca(standardize([a, b, c]), 2, whiten = true)", "pca, whitened",
     PCA(2, whiten=True).fit(scaled(["a", "b", "c"])[train]).transform(scaled(["a", "b", "c"])), ["pc_1", "pc_2"], 1e-8)
hot = onehot("k")
seen('    h = one_hot(k, drop = "first")\n    rare = one_hot(q, min_count = 100000, drop = "first")\n    i = one_hot([k, q], 1, "first")',
     "one_hot without the first level", np.column_stack([hot[:, 1:], hot[:, 1:], onehot("q")[:, 1:]]),
     ["h=x", "h=y", "h=zé", "i_k=x", "i_k=y", "i_k=zé", "i_q=M", "i_q=S"])
seen("    pc = pca(one_hot(k), 2)", "pca of one-hot", PCA(2).fit(hot[train]).transform(hot), ["pc_1", "pc_2"], 1e-9)
n = train.sum()
seen("    h = standardize(one_hot(k))", "standardize of one-hot", StandardScaler().fit(hot[train]).transform(hot) * np.sqrt((n - 1) / n),
     [f"h={v}" for v in ["a b", "x", "y", "zé"]])
poly = PolynomialFeatures(3, include_bias=False)
seen("    p = polynomial([c, e], degree = 3)", "polynomial", fit(poly, ["c", "e"]),
     ["p_c", "p_e", "p_c^2", "p_c*e", "p_e^2", "p_c^3", "p_c^2*e", "p_c*e^2", "p_e^3"])
only = PolynomialFeatures(3, include_bias=False, interaction_only=True)
seen("    p = polynomial(standardize([c, e, low = gap_free]), degree = 3, interaction_only = true)".replace("gap_free", "coalesce(gap, 0)"),
     "polynomial, interactions only", only.fit_transform(
         (lambda m: (m - m[train].mean(0)) / m[train].std(0, ddof=1))(np.column_stack([T.c, T.e, T.gap.fillna(0)]))),
     ["p_c", "p_e", "p_low", "p_c*e", "p_c*low", "p_e*low", "p_c*e*low"])
seen("    i = interact(one_hot(q), [c, e])", "interact", (onehot("q")[:, :, None] * T[["c", "e"]].to_numpy()[:, None, :]).reshape(N, -1),
     [f"i={v}:{w}" for v in "LMS" for w in "ce"])
seen("    i = interact(one_hot(q), one_hot(k))", "interact of two one-hot", (onehot("q")[:, :, None] * hot[:, None, :]).reshape(N, -1),
     [f"i={v}:{w}" for v in "LMS" for w in ["a b", "x", "y", "zé"]])
for norm in ["l1", "l2", "max"]:
    seen(f'    v = normalize([b, c, e], norm = "{norm}")', f"normalize {norm}", fit(Normalizer(norm), ["b", "c", "e"]), ["v_b", "v_c", "v_e"])
floats = ["a", "b", "c", "e", "pos", "skew", "big", "ties", "flat"]
seen("    all = standardize(each float except [gap, hole, y])", "standardize(each float)", scaled(floats), ["all." + v for v in floats])
holes = T[["gap", "hole"]].copy()
medians = holes[train].median()
seen("    let v = [gap, hole]\n    v = impute(v, fill = median(v))\n    m = is_null(v)", "impute and is_null of a vector",
     np.column_stack([holes.fillna(medians), holes.isna()]), ["v_gap", "v_hole", "m_gap", "m_hole"])
seen("    all = one_hot(each category except [part])", "one_hot(each category)", np.column_stack([hot, onehot("q")]),
     [f"all.k={v}" for v in ["a b", "x", "y", "zé"]] + [f"all.q={v}" for v in "LMS"])

# ---- numbers ----
seen("    m = max_abs(skew)", "max_abs", fit(MaxAbsScaler(), ["skew"]), ["m"])
for column in ["pos", "big"]:
    own = PowerTransformer("box-cox", standardize=False).fit(T.loc[train, [column]].to_numpy())
    seen(f"    l = box_cox({column})", f"box_cox of {column}", own.transform(T[[column]].to_numpy()), ["l"], 1e-5)
    lam = [float(v) for k, v in load_file("a.cmlm").items() if v.shape == () and k.startswith("fitted.")]
    kit.close(lam[0], own.lambdas_[0], 1e-6, f"box_cox of {column}: lambda")
seen("    l = box_cox(pos, lambda = 0.5)", "box_cox, lambda given", stats.boxcox(T["pos"].to_numpy(), 0.5)[:, None], ["l"], 1e-12)
seen("    l = box_cox(pos, lambda = 0)", "box_cox, lambda 0", np.log(T[["pos"]].to_numpy()), ["l"], 1e-12)
for column in ["skew", "pos", "e"]:
    own = PowerTransformer("yeo-johnson", standardize=False).fit(T.loc[train, [column]].to_numpy())
    seen(f"    l = yeo_johnson({column})", f"yeo_johnson of {column}", own.transform(T[[column]].to_numpy()), ["l"], 1e-5)
    lam = [float(v) for k, v in load_file("a.cmlm").items() if v.shape == () and k.startswith("fitted.")]
    kit.close(lam[0], own.lambdas_[0], 1e-6, f"yeo_johnson of {column}: lambda")
for lam in [0, 0.5, 2, 2.5]:
    seen(f"    l = yeo_johnson(skew, lambda = {lam})", f"yeo_johnson, lambda {lam}", stats.yeojohnson(T["skew"].to_numpy(), lam)[:, None], ["l"], 1e-12)
seen("    l = yeo_johnson(flat)\n    x = c", "yeo_johnson of a constant", np.column_stack([T.flat, T.c]), ["l", "x"])
for column in ["skew", "ties"]:
    for name, option in [("uniform", ""), ("normal", ", normal = true")]:
        for k in [1000, 5]:
            q = QuantileTransformer(n_quantiles=k, output_distribution=name, subsample=None)
            seen(f"    l = quantile_transform({column}, n = {k}{option})", f"quantile_transform of {column}, {k} to {name}", fit(q, [column]), ["l"],
                 1e-11)
for knots, degree in [(5, 3), (2, 0), (4, 1), (7, 2), (3, 8)]:
    width = knots + degree - 1
    seen(f"    l = spline(skew, knots = {knots}, degree = {degree})", f"spline of degree {degree}",
         fit(SplineTransformer(n_knots=knots, degree=degree, knots="uniform", extrapolation="constant"), ["skew"]),
         [f"l_{i + 1}" for i in range(width)], 1e-9)
seen("    l = winsorize(skew, share = 10%)\n    b = binarize(skew, threshold = median(skew))", "winsorize and binarize",
     np.column_stack([T["skew"].clip(T.loc[train, "skew"].quantile(.1), T.loc[train, "skew"].quantile(.9)),
                      T["skew"] > T.loc[train, "skew"].median()]), ["l", "b"])

# ---- categories ----
seen("    o = coalesce(ordinal(q), -1)\n    r = coalesce(ordinal(q, order = [\"L\", \"S\"]), -1)\n    s = coalesce(ordinal(k), -1)", "ordinal",
     np.column_stack([T.q.map({"S": 0, "M": 1, "L": 2}), T.q.map({"L": 0, "S": 1}).fillna(-1), T.k.map({"a b": 0, "x": 1, "y": 2, "zé": 3})]),
     ["o", "r", "s"])
counts = T.loc[train, "k"].value_counts()
seen("    n = count_encode(k)\n    s = count_encode(q, share = true)", "count_encode",
     np.column_stack([T.k.map(counts), T.q.map(T.loc[train, "q"].value_counts() / train.sum())]), ["n", "s"])
T["kq"] = T.k + "," + T.q
seen("    x = one_hot(cross(k, q))", "cross", onehot("kq"), [f"x={v}" for v in sorted(T.kq.unique(), key=lambda s: s.encode())])
rare = T.k.where(T.k.map(counts) >= 100, "other")
T["lumped"] = rare
seen("    x = one_hot(lump(k, min_count = 100))", "lump", onehot("lumped"), [f"x={v}" for v in sorted(rare.unique(), key=lambda s: s.encode())])
kit.done()
