# SPDX-License-Identifier: Apache-2.0
"""kmeans and the metrics of clusters: inertia not above scikit-learn's best of ten starts; clusters, distances and centres by numpy; the
metrics against scikit-learn and, for the silhouette, its closed form too; the same bytes however cmlc is run."""
import hashlib
import os

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

import kit

HOWS = (["--threads", "1"], ["--threads", "2"], ["--threads", "7"], ["--executor", "loopback", "--threads", "3"])


def scaled(frame):
    x = frame.select_dtypes("number").dropna().to_numpy(float)
    return (x - x.mean(0)) / x.std(0)


def data():
    """(name, rows, numbers of clusters)"""
    airports = pd.read_csv(os.path.join(kit.EXAMPLES, "airports.csv"))
    yield "airports", airports[["latitude", "longitude"]].to_numpy(float), (3, 8)
    yield "penguins", scaled(pd.read_csv(os.path.join(kit.EXAMPLES, "penguins.csv"))), (3, 8)
    yield "digits", load_digits().data, (3, 10)
    shared = os.environ.get("CML_SHARED_DATA") or os.path.join(os.path.dirname(kit.ROOT), "shared", "data")
    if os.path.exists(os.path.join(shared, "diamonds.csv")):
        yield "diamonds", scaled(pd.read_csv(os.path.join(shared, "diamonds.csv"))), (3, 8)


def program(name, x, options, weight=None):
    d = x.shape[1]
    frame = pd.DataFrame({f"x{j}": x[:, j] for j in range(d)})
    if weight is not None:
        frame["w"] = weight
    frame.to_parquet(f"{name}.parquet", row_group_size=5000)
    schema = "\n".join(f"        {c}: float" for c in frame.columns)
    slots = "\n".join(f"    x{j} = x{j}" for j in range(d))
    clause = "    weight w\n" if weight is not None else ""
    kit.write(f"{name}.cml", f"""data rows {{
    from   parquet("{name}.parquet")
    schema {{
{schema}
    }}
{clause}}}
features f of rows {{
{slots}
}}
model m = kmeans(f{''.join(', ' + o for o in options)})
evaluate m on rows {{ silhouette, inertia, davies_bouldin, calinski_harabasz }}
export m {{
    bundle "{name}.cmlm"
    predictions of rows to "{name}.out.parquet"
}}
""")
    report = kit.run(f"{name}.cml")
    m = report["models"]["m"]
    centers = np.array([[c[f] for f in m["features"]] for c in m["centers"].values()])
    return report, m, centers, pd.read_parquet(f"{name}.out.parquet")


def closed_silhouette(x, label, w):
    """Sums of a cluster stand for its rows: sum over y of |x - y|^2 = W |x|^2 - 2 x Y + Q, in extended precision."""
    x, w = x.astype(np.longdouble), w.astype(np.longdouble)
    x = x - x.mean(0)
    k = label.max() + 1
    hot = (label[:, None] == np.arange(k)) * w[:, None]
    total, sums, squares = hot.sum(0), hot.T @ x, hot.T @ (x * x).sum(1)
    all_ = total * (x * x).sum(1)[:, None] - 2 * x @ sums.T + squares
    rows = np.arange(len(x))
    own = total[label]
    with np.errstate(divide="ignore", invalid="ignore"):
        a = np.where(own > w, all_[rows, label] / (own - w), 0)
        mean = all_ / total
    mean[rows, label] = np.inf
    mean[:, total == 0] = np.inf
    b = mean.min(1)
    s = np.where(own > w, (b - a) / np.maximum(a, b), 0)
    return float((w * s).sum() / w.sum())


def assigned(name, x, m, centers, out):
    d2 = ((x[:, None, :] - centers) ** 2).sum(2) if len(x) * centers.size < 5e7 else None
    label = out["cluster"].to_numpy()
    if d2 is not None:
        kit.check((d2[np.arange(len(x)), label] <= d2.min(1) * (1 + 1e-12)).all(), f"{name}: each row has its nearest centre")
    kit.close(out["distance"], np.sqrt(((x - centers[label]) ** 2).sum(1)), 1e-12, f"{name}: distances")
    kit.check(list(np.bincount(label, minlength=len(centers))) == [int(v) for v in m["sizes"].values()], f"{name}: sizes")
    return label


def measured(name, x, report, label, w):
    got = report["evaluations"][0]["metrics"]
    kit.check(abs(got["silhouette"] - closed_silhouette(x, label, w)) < 1e-12, f"{name}: silhouette, closed form",
              f"{got['silhouette']} {closed_silhouette(x, label, w)}")
    if (w == 1).all():
        kit.close(got["davies_bouldin"], davies_bouldin_score(x, label), 1e-12, f"{name}: davies_bouldin")
        kit.check(abs(got["calinski_harabasz"] / calinski_harabasz_score(x, label) - 1) < 1e-12, f"{name}: calinski_harabasz",
                  f"{got['calinski_harabasz']} {calinski_harabasz_score(x, label)}")
        if len(x) < 5000:
            kit.close(got["silhouette"], silhouette_score(x, label, metric="sqeuclidean"), 1e-12, f"{name}: silhouette")


def real():
    for name, x, ks in data():
        for k in ks:
            report, m, centers, out = program(name, x, [f"k = {k}"])
            label = assigned(f"{name} {k}", x, m, centers, out)
            best = KMeans(k, n_init=10, random_state=0).fit(x).inertia_
            print(f"# {name} {k}: inertia {m['inertia'] / best - 1:+.2g} beside scikit-learn")
            kit.check(m["inertia"] <= best * (1 + 1e-9), f"{name} {k}: inertia not above the best of ten", f"{m['inertia']} and {best}")
            kit.close(report["evaluations"][0]["metrics"]["inertia"] / m["inertia"], 1, 1e-12, f"{name} {k}: inertia as a metric")
            means = np.array([x[label == j].mean(0) for j in range(len(centers))])
            kit.close(centers, means, 1e-3, f"{name} {k}: centres are means")
            measured(f"{name} {k}", x, report, label, np.ones(len(x)))


def weighted():
    r = np.random.default_rng(5)
    x = r.normal(size=(3000, 4)) + 4 * r.integers(0, 3, size=(3000, 1)) + 100
    w = r.integers(0, 4, size=3000).astype(float)
    report, m, centers, out = program("weighted", x, ["k = 5", "tolerance = 0"], w)
    best = KMeans(5, n_init=10, random_state=0).fit(x, sample_weight=w).inertia_
    kit.check(m["inertia"] <= best * (1 + 1e-9), "weights: inertia not above the best of ten", f"{m['inertia']} and {best}")
    label = out["cluster"].to_numpy()
    kit.close(centers, [np.average(x[label == j], axis=0, weights=w[label == j]) for j in range(5)], 1e-13, "weights: centres are weighted means")
    kit.close(list(m["weights"].values()), np.bincount(label, w), 1e-15, "weights: of clusters")
    measured("weights", x, report, label, w)


def cosine():
    r = np.random.default_rng(6)
    x = np.abs(r.normal(size=(1500, 6)) + 3 * np.eye(6)[r.integers(0, 4, 1500)]) * r.gamma(1, size=(1500, 1))
    report, m, centers, out = program("cosine", x, ["k = 4", "metric = cosine"])
    u = x / np.linalg.norm(x, axis=1)[:, None]
    label = out["cluster"].to_numpy()
    kit.check((label == (u @ centers.T).argmax(1)).all(), "cosine: each row has the centre of the least angle")
    kit.close(out["distance"], 1 - (u * centers[label]).sum(1), 1e-12, "cosine: distances")
    means = np.array([u[label == j].mean(0) for j in range(4)])
    kit.close(centers, means / np.linalg.norm(means, axis=1)[:, None], 1e-3, "cosine: centres are directions of means")
    got = report["evaluations"][0]["metrics"]
    kit.close(got["inertia"], m["inertia"], 1e-12, "cosine: inertia")
    kit.close(got["silhouette"], silhouette_score(x, label, metric="cosine"), 1e-12, "cosine: silhouette")
    kit.close(got["davies_bouldin"], davies_bouldin_score(u, label), 1e-12, "cosine: davies_bouldin of rows divided by their lengths")
    kit.check(abs(got["calinski_harabasz"] / calinski_harabasz_score(u, label) - 1) < 1e-12, "cosine: calinski_harabasz")


def same_bytes():
    r = np.random.default_rng(7)
    x = r.normal(size=(20000, 3))
    for start in ("kmeans_parallel", "random"):
        program("bytes", x, ["k = 20", f"start = {start}", "max_iterations = 6"])
        seen = set()
        for how in HOWS:
            kit.cmlc("run", "bytes.cml", "-q", *how)
            seen.add(tuple(hashlib.sha256(open(f, "rb").read()).hexdigest() for f in ("bytes.cmlm", "bytes.out.parquet")))
        kit.check(len(seen) == 1, f"{start}: the same bytes for any number of threads, and on loopback", len(seen))


real()
weighted()
cosine()
same_bytes()
kit.done()
