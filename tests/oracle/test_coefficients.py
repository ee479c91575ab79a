# SPDX-License-Identifier: Apache-2.0
"""Coefficients of linear and logistic regression against solutions found by other means (kit.ridge: least squares by SVD; kit.logistic:
scikit-learn, then Newton steps to the last digit), within 1e-6; and the same model bytes however cmlc is run."""
import hashlib
import os

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.preprocessing import OneHotEncoder

import kit

HOWS = (["--threads", "1"], ["--threads", "2"], ["--threads", "7"], ["--executor", "loopback", "--threads", "3"])


def program(name, d, task, options, weight=False, folder="."):
    slots = "\n".join(f"    x{j} = x{j}" for j in range(d))
    schema = "\n".join(f"        x{j}: float" for j in range(d))
    kit.write(f"{name}.cml", f"""data rows {{
    from   parquet("{name}.parquet")
    schema {{
{schema}
        w: float
        y: float
        c: bool
    }}
{'    weight w' if weight else ''}
}}
features f of rows {{
{slots}
}}
model m = {task}({'c' if task == 'logistic_regression' else 'y'} ~ f{''.join(', ' + o for o in options)})
evaluate m on rows {{ {'log_loss' if task == 'logistic_regression' else 'rmse'} }}
export m {{ bundle "{name}.cmlm" }}
""")
    return f"{name}.cml"


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def generated(name, n, d, condition, seed):
    """Columns whose covariance has that condition number after scaling, on scales that span decades, far from 0."""
    r = np.random.default_rng(seed)
    q, _ = np.linalg.qr(r.normal(size=(d, d)))
    s = np.geomspace(1, 1 / np.sqrt(condition), d)
    z = r.normal(size=(n, d)) @ (q * s) @ q.T
    x = z * np.geomspace(1e-3, 1e4, d)[r.permutation(d)] + r.normal(size=d) * 3
    f = z @ r.normal(size=d) + 0.4
    y = 5 * f + r.normal(size=n) + 100
    c = r.random(n) < 1 / (1 + np.exp(-f))
    w = r.gamma(2.0, size=n) * (r.random(n) > 0.1)
    t = pd.DataFrame({f"x{j}": x[:, j] for j in range(d)} | {"w": w, "y": y, "c": c})
    t.to_parquet(f"{name}.parquet", row_group_size=1500)
    u = (x - x.mean(0)) / x.std(0)
    return x, y, c.astype(float), w, np.linalg.cond(u.T @ u)


def one(name, what, data, task, options, l2=0.0, weight=False, **how):
    x, y, c, w = data[:4]
    d = x.shape[1]
    p = program(name, d, task, options, weight)
    r = kit.run(p)
    if not r:
        return
    rows = w > 0 if weight else np.ones(len(y), bool)
    got, intercept, _ = kit.model_of(r, "m")
    if task == "logistic_regression":
        want, b0 = kit.logistic(x[rows], c[rows], w[rows] if weight else None, l2, **how)
    else:
        want, b0 = kit.ridge(x[rows], y[rows], w[rows] if weight else None, l2, **how)
    sd = kit.deviations(x[rows], w[rows] if weight else np.ones(rows.sum()))
    kit.check(r["models"]["m"]["converged"], f"{what}: converged", r["models"]["m"]["warning"])
    if not any("lbfgs" in o for o in options):   # L-BFGS stops by the largest coefficient
        kit.close(got / want, np.ones(d), 1e-6, f"{what}: each coefficient, relative")
    kit.close(got * sd, want * sd, 1e-6, f"{what}: coefficients, per deviation")
    at = x.mean(axis=0)
    kit.close(intercept + at @ got, b0 + at @ want, 1e-8, f"{what}: prediction in the middle")
    return r


def matrix():
    for task, short in (("linear_regression", "linear"), ("logistic_regression", "logistic")):
        data = generated(short, 6000, 7, 30, 1 + len(short))
        for weight in (False, True):
            for l2, options in ((0.0, []), (0.05, ["l2 = 0.05"])):
                one(short, f"{short}, {'weighted' if weight else 'not weighted'}, l2 = {l2}", data, task, options, l2, weight)
        if short == "logistic":
            one(short, "logistic, balanced", data, task, ['class_weight = "balanced"', "l2 = 0.001"], 0.001, balanced=True)
            one(short, "logistic, balanced, weighted", data, task, ['class_weight = "balanced"'], 0.0, True, balanced=True)
        one(short, f"{short}, penalty on raw coefficients", data, task, ["l2 = 1e-3", "standardize = false"], 1e-3, standardize=False)
        one(short, f"{short}, lbfgs", data, task, ['solver = "lbfgs"', "l2 = 0.01"], 0.01)


def ill_conditioned():
    for task, short in (("linear_regression", "linear"), ("logistic_regression", "logistic")):
        # condition number above 300 of the scaled columns, so above 90,000 of their Gram matrix
        data = generated("bad_" + short, 8000, 9, 450 ** 2, 77)
        kit.check(300 ** 2 < data[4] < 600 ** 2, f"{short}: the condition number is above 300", data[4])
        one("bad_" + short, f"{short}, condition 300", data, task, [])
        one("bad_" + short, f"{short}, condition 300, weighted", data, task, [], 0.0, True)
        one("bad_" + short, f"{short}, condition 300, lbfgs", data, task, ['solver = "lbfgs"'])


def same_bytes():
    x = generated("bytes", 20000, 6, 30, 5)
    assert x
    table = pd.read_parquet("bytes.parquet")
    r = np.random.default_rng(3)
    table["k"] = np.array(["a", "b", "c", "d", "e", None], dtype=object)[r.integers(0, 6, len(table))]
    table["x0"] = np.where(r.random(len(table)) < 0.1, np.nan, table["x0"])
    for i in range(3):   # three files of unequal length
        cut = [0, 3000, 3001, len(table)]
        table.iloc[cut[i]:cut[i + 1]].to_parquet(f"part-{i}.parquet", row_group_size=700)
    kit.write("same.cml", """data rows {
    from   parquet("part-*.parquet")
    schema { x0: float?, x1: float, x2: float, x3: float, w: float, y: float, c: bool, k: category? }
    where  x1 > -1e9
    weight w
    split  train 75%, test 25% by random(seed = 5)
}
features f of rows {
    a = standardize(impute(x0, fill = median(x0)))
    b = robust_scale(x1)
    c = min_max(x2)
    d = one_hot(quantile_bins(x3, 6))
    k = one_hot(coalesce(k, "none"))
    t = target_mean(coalesce(k, "none"), y)
    g = x1 - coalesce(mean(x1) by k, median(x1))
}
features g of rows {
    a = standardize(impute(x0, fill = median(x0)))
    k = one_hot(coalesce(k, "none"))
    t = target_mean(coalesce(k, "none"), c)
}
model linear = linear_regression(y ~ f)
model logistic = logistic_regression(c ~ g, l2 = 1e-4, class_weight = "balanced")
model slow = logistic_regression(c ~ g, l2 = 1e-4, solver = "lbfgs")
evaluate linear on rows.test { rmse, mae, r2 }
evaluate logistic on rows.test { auc, log_loss, f1, auc by k }
export linear   { bundle "linear.cmlm", predictions of rows.test to "linear.parquet" }
export logistic { bundle "logistic.cmlm", predictions of rows.train to "logistic.csv" }
export slow     { bundle "slow.cmlm" }
""".replace('.cmlm", p', '.cmlm"\n    p'))
    files = ["linear.cmlm", "logistic.cmlm", "slow.cmlm", "linear.parquet", "logistic.csv"]
    first = None
    for how in HOWS:
        for f in files:
            if os.path.exists(f):
                os.remove(f)
        r = kit.run("same.cml", *how)
        if not r:
            continue
        now = [digest(f) for f in files] + [r["evaluations"], r["models"]]
        first = first or now
        for f, a, b in zip(files + ["evaluations", "models"], first, now):
            kit.check(a == b, f"{f} with {' '.join(how)}: the same as with {' '.join(HOWS[0])}")
    r = kit.run("same.cml", "--skip-pass", "fold,dead,project")
    if r:
        kit.check([r["evaluations"], r["models"]] == first[-2:], "without compiler passes: the same models and metrics")


def real():
    folder = kit.EXAMPLES
    path = os.path.join(folder, "cars.csv")
    if not os.path.exists(path):
        print("# no cars.csv: scripts/setup brings it")
        return
    cars = pd.read_csv(path)
    cars = cars[cars.Miles_per_Gallon.notna() & cars.Horsepower.notna()]
    x = cars[["Cylinders", "Displacement", "Horsepower", "Weight_in_lbs", "Acceleration"]].to_numpy(float)
    y = cars.Miles_per_Gallon.to_numpy(float)
    c = (cars.Origin == "USA").to_numpy(float)
    kit.write("cars.cml", """param dir: string
data cars {
    from   csv("{dir}/cars.csv")
    schema { Miles_per_Gallon: float?, Cylinders: int, Displacement: float, Horsepower: float?, Weight_in_lbs: int
             Acceleration: float, Origin: category }
    where  Miles_per_Gallon is not null and Horsepower is not null
    derive mpg = coalesce(Miles_per_Gallon, 0)
    derive american = Origin == "USA"
}
features f of cars {
    Cylinders    = Cylinders
    Displacement = Displacement
    Horsepower   = coalesce(Horsepower, 0)
    Weight       = Weight_in_lbs
    Acceleration = Acceleration
}
model economy  = linear_regression(mpg ~ f)
model american = logistic_regression(american ~ f, l2 = 1e-6)
evaluate economy on cars { rmse }
evaluate american on cars { auc }
""")
    r = kit.run("cars.cml", "-p", f"dir={folder}")
    if not r:
        return
    sd = x.std(axis=0)
    for name, (want, b0) in {"economy": kit.ridge(x, y), "american": kit.logistic(x, c, l2=1e-6)}.items():
        got, intercept, _ = kit.model_of(r, name)
        kit.close(got * sd, want * sd, 1e-6, f"cars: {name}: coefficients, per deviation")
        kit.close(intercept, b0, 1e-6, f"cars: {name}: intercept")


def reference():
    """one_hot(.., drop = "first"): the design of treatment contrasts, with the standard errors of textbooks."""
    r = np.random.default_rng(11)
    n = 700
    table = pd.DataFrame({"x": r.normal(size=n), "k": np.array(["b", "a", "zé", "b c"])[r.integers(0, 4, n)],
                          "j": r.integers(1, 4, n)})
    table["y"] = table.x + (table.k == "a") + 0.3 * table.j + r.normal(size=n)
    table["c"] = table.y + r.logistic(size=n) > 1.5
    table.to_parquet("reference.parquet")
    kit.write("reference.cml", """data rows { from parquet("reference.parquet") }
features f of rows {
    x = x
    k = one_hot(k, drop = "first")
    j = one_hot(j, drop = "first")
}
model linear   = linear_regression(y ~ f)
model logistic = logistic_regression(c ~ f)
evaluate linear on rows { rmse }
evaluate logistic on rows { auc }
""")
    report = kit.run("reference.cml")
    if not report:
        return
    hot = OneHotEncoder(drop="first", sparse_output=False).fit_transform(table[["k", "j"]])
    x = np.column_stack([np.ones(n), table.x, hot])
    names = ["x", "k=b", "k=b c", "k=zé", "j=2", "j=3"]
    y = table.y.to_numpy()
    beta, rss = np.linalg.lstsq(x, y, rcond=None)[:2]
    variance = {"linear": np.linalg.inv(x.T @ x) * rss[0] / (n - x.shape[1])}
    w, b0 = kit.logistic(x[:, 1:], table.c.to_numpy(float))
    p = 1 / (1 + np.exp(-(x[:, 1:] @ w + b0)))
    variance["logistic"] = np.linalg.inv(x.T @ (x * (p * (1 - p))[:, None]))
    for name, want in {"linear": beta, "logistic": np.append(b0, w)}.items():
        m = report["models"][name]
        kit.check(m["features"] == names, f"{name}: the first levels are left out", m["features"])
        kit.close([m["intercept"]] + list(m["coefficients"].values()), want, 1e-8, f"{name}: contrasts with the first level")
        error = np.sqrt(np.diag(variance[name]))
        kit.close([m["intercept_std_error"]] + list(m["std_error"].values()), error, 1e-8, f"{name}: their standard errors")
        z = np.abs(want / error)
        chance = 2 * (stats.t.sf(z, n - x.shape[1]) if name == "linear" else stats.norm.sf(z))
        kit.close([m["intercept_p_value"]] + list(m["p_value"].values()), chance, 1e-7, f"{name}: their p-values")


matrix()
ill_conditioned()
reference()
same_bytes()
real()
kit.done()
