# SPDX-License-Identifier: Apache-2.0
"""Logistic regression of several classes against scikit-learn: iris, penguins and made-up rows; weights, class weights, both solvers, sparse
rows; predicted files and `cmlc predict`; equal bytes for all threads and executors."""
import os
import subprocess

import numpy as np
import pandas as pd
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import kit

rng = np.random.default_rng(7)


def program(columns, options, weight=True, export=""):
    kit.write("m.cml", f"""data t {{
    from   csv("t.csv")
    schema {{ {", ".join(f"{c}: float" for c in columns)}, y: category, w: float }}
    {"weight w" if weight else ""}
}}
features f of t {{
    {chr(10).join(f"    {c} = {c}" for c in columns)}
}}
model m = logistic_regression(y ~ f, {options})
export m {{ bundle "m.cmlm" {export} }}
""")


def model(report):
    m = report["models"]["m"]
    b = np.array([[m["coefficients"][c][x] for x in m["features"]] for c in m["classes"]])
    return m, b, np.array([m["intercept"][c] for c in m["classes"]])


def objective(x, y, w, b, b0, l1, l2):
    f = x @ b.T + b0
    top = f.max(1)
    loss = top + np.log(np.exp(f - top[:, None]).sum(1)) - f[np.arange(len(y)), y]
    return (w * loss).sum() / w.sum() + l1 * np.abs(b).sum() + l2 / 2 * (b ** 2).sum()


def compare(name, x, y, weights, l2, balanced=False, solver="auto"):
    d = pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])])
    d["y"], d["w"] = y, 1.0 if weights is None else weights
    d.to_csv("t.csv", index=False, float_format="%.17g")
    w = d.w.to_numpy()
    program(list(d.columns[:-2]), f'l2 = {l2}, standardize = false, class_weight = {"balanced" if balanced else "none"}, '
            f'solver = {solver}, tolerance = 1e-10')
    m, b, b0 = model(kit.run("m.cml"))
    want = LogisticRegression(C=1 / (l2 * w.sum()), tol=1e-12, max_iter=20000, solver="newton-cg",
                              class_weight="balanced" if balanced else None).fit(x, y, sample_weight=w)
    size = np.abs(want.coef_).max()
    kit.check(m["converged"] and m["classes"] == list(want.classes_), f"{name}: converged, the same classes")
    if not balanced:  # scikit-learn counts rows for balanced; cml weighs them
        kit.close(b / size, want.coef_ / size, 1e-6, f"{name}: coefficients")
        kit.close(b0, want.intercept_ - want.intercept_.mean(), 1e-5, f"{name}: intercepts")
    else:
        kit.close(b / size, want.coef_ / size, 1e-6 if weights is None else 1, f"{name}: coefficients, balanced")


iris, species = load_iris(return_X_y=True)
names = np.array(["setosa", "versicolor", "virginica"])[species]
for weights in (None, rng.uniform(.2, 3, len(names))):
    for l2 in (0.1, 1e-3):
        compare(f"iris, l2 {l2}, {'un' if weights is None else ''}weighted", iris, names, weights, l2)
compare("iris, lbfgs", iris, names, None, 0.01, solver="lbfgs")
compare("iris, balanced", iris[:120], names[:120], None, 0.01, balanced=True)

x = np.concatenate([rng.normal(size=(3000, 5)) * [1, 100, .01, 1, 1], rng.random((3000, 4)) < .1], 1)
f = (x / x.std(0)) @ rng.normal(size=(9, 6)) * .7
y = np.array([f"class {k}" for k in "CABFDE"])[(f + rng.gumbel(size=f.shape)).argmax(1)]
compare("six classes", x, y, rng.gamma(1.5, size=3000), 0.01)

# many columns, rows that are mostly empty: one-hot blocks are kept sparse
d = pd.DataFrame({"a": rng.integers(0, 40, 4000), "b": rng.integers(0, 30, 4000), "z": rng.normal(size=4000)})
score = np.stack([rng.normal(size=40)[d.a] + rng.normal(size=30)[d.b] + k * .3 * d.z for k in range(4)], 1)
d["y"] = np.array(["ä", "b", "", "d e"])[(score + rng.gumbel(size=score.shape)).argmax(1)]
d["y"] = d.y.replace("", "none")
d.to_csv("t.csv", index=False, float_format="%.17g")
kit.write("s.cml", """data t {
    from csv("t.csv")
    schema { a: category, b: category, z: float, y: category }
    split train 80%, test 20% by random(seed = 3)
}
features f of t {
    a = one_hot(a)
    b = one_hot(b)
    z = z
}
model m = logistic_regression(y ~ f, l2 = 0.01, standardize = false)
export m {
    bundle "s.cmlm"
    predictions of t.test keep [a, b, z, y] to "p.csv"
}
""")
m, b, b0 = model(kit.run("s.cml"))
p = pd.read_csv("p.csv", dtype={"a": str, "b": str})
hot = np.zeros((len(p), len(m["features"])))
for j, name in enumerate(m["features"]):
    hot[:, j] = p.z if name == "z" else p[name[0]] == name[2:]
f = hot @ b.T + b0
want = np.exp(f - f.max(1)[:, None])
want /= want.sum(1)[:, None]
got = p[[f"probability_{c}" for c in m["classes"]]].to_numpy()
kit.close(got, want, 1e-12, "predicted probabilities by the coefficients")
kit.check((p.prediction == np.array(m["classes"])[want.argmax(1)]).all(), "the class is the most probable one")
subprocess.run([kit.CMLC, "predict", "s.cmlm", "--in", "p.csv", "--out", "again.csv", "--keep", "none", "-q"], check=True)
again = pd.read_csv("again.csv")
kit.check((again == p[list(again.columns)]).all().all(), "`cmlc predict` gives the same")
first = open("s.cmlm", "rb").read(), open("p.csv", "rb").read()
for way in (["--threads", "1"], ["--threads", "7"], ["--executor", "loopback"], ["--memory", "64M"]):
    subprocess.run([kit.CMLC, "run", "s.cml", "-q", *way], check=True)
    kit.check((open("s.cmlm", "rb").read(), open("p.csv", "rb").read()) == first, f"the same bytes with {' '.join(way)}")

# elastic net: no worse than scikit-learn's saga
l1, l2 = 0.01, 0.005
z = (iris - iris.mean(0)) / iris.std(0)
d = pd.DataFrame(z, columns=list("abcd"))
d["y"], d["w"] = names, 1.0
d.to_csv("t.csv", index=False, float_format="%.17g")
program(list("abcd"), f"l1 = {l1}, l2 = {l2}, standardize = false")
m, b, b0 = model(kit.run("m.cml"))
saga = LogisticRegression(C=1 / ((l1 + l2) * 150), l1_ratio=l1 / (l1 + l2), solver="saga", tol=1e-10, max_iter=200000).fit(z, names)
ours, theirs = (objective(z, species, np.ones(150), *v, l1, l2) for v in ((b, b0), (saga.coef_, saga.intercept_)))
kit.check(ours <= theirs + 1e-8, f"elastic net: objective {ours:.12f}, saga {theirs:.12f}")
kit.close(b, saga.coef_, 1e-4, "elastic net: coefficients")
kit.check((b == 0).sum() == (np.abs(saga.coef_) < 1e-9).sum() > 0, "elastic net: the same zeros")
kit.done()
