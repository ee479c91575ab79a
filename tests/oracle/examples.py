# SPDX-License-Identifier: Apache-2.0
"""The pipelines of examples/ in pandas and scikit-learn, independently: where the thresholds of their `expect` lines come from.

Usage: examples.py [flights|cars|penguins|movies|airports|weather ...]    from the project's folder, after scripts/setup. Prints metrics on held-out rows. The splits are
other ones than cml's, so that figures differ by their sampling error; the thresholds leave room for it.
"""
import sys

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, mean_squared_error, r2_score, roc_auc_score
from sklearn.metrics import davies_bouldin_score, silhouette_score
from sklearn.model_selection import KFold, train_test_split
from sklearn.preprocessing import OneHotEncoder


def target_mean(train, test, key, y, smoothing=20.0, folds=5):
    """Smoothed mean of the target by key; training rows read the value fitted without their own fold."""

    def table(rows):
        g = rows.groupby(key)[y].agg(["count", "sum"])
        return (g["sum"] + smoothing * mean) / (g["count"] + smoothing)

    mean = train[y].mean()
    out = pd.Series(0.0, index=train.index)
    for fit, apply in KFold(folds, shuffle=True, random_state=0).split(train):
        out.iloc[apply] = train.iloc[apply][key].map(table(train.iloc[fit])).fillna(mean).to_numpy()
    return out.to_numpy(), test[key].map(table(train)).fillna(mean).to_numpy()


def one_hot(train, test, min_count=1):
    levels = train.value_counts()
    levels = sorted(levels[levels >= min_count].index)
    return [np.stack([(s == v).to_numpy(float) for v in levels], 1) for s in (train, test)]


def flights():
    d = pd.read_parquet("examples/data/flights-3m.parquet")
    d = d[d.delay > -120].reset_index(drop=True)
    d["late"] = (d.delay > 15).astype(float)
    train, test = train_test_split(d, test_size=0.2, random_state=0)
    columns = []
    hour = [2 * np.pi * x.date.dt.hour / 24 for x in (train, test)]
    columns.append([np.stack([np.sin(h), np.cos(h)], 1) for h in hour])
    columns.append(one_hot(train.date.dt.weekday, test.date.dt.weekday))
    columns.append(one_hot(train.origin, test.origin, 50))
    columns.append([x[:, None] for x in target_mean(train, test, "destination", "late")])
    distance = [np.log1p(x.distance.to_numpy(float))[:, None] for x in (train, test)]
    mean, std = distance[0].mean(), distance[0].std(ddof=1)
    columns.append([(x - mean) / std for x in distance])
    x, xt = (np.concatenate([c[i] for c in columns], 1).astype(np.float32) for i in (0, 1))
    scale = x.std(0)
    m = LogisticRegression(C=1 / (1e-4 * len(x)), max_iter=300, tol=1e-5).fit(x / scale, train.late)
    p = m.predict_proba(xt / scale)[:, 1]
    print(f"flights: {len(x)} train, {len(xt)} test, {x.shape[1]} features, {m.n_iter_[0]} iterations")
    print(f"  auc {roc_auc_score(test.late, p):.5f}  log_loss {log_loss(test.late, p):.5f}  accuracy {accuracy_score(test.late, p > .5):.5f}")


def cars():
    d = pd.read_csv("examples/data/cars.csv")
    d = d[d.Miles_per_Gallon.notna()].reset_index(drop=True)
    scores = []
    for seed in range(20):
        train, test = train_test_split(d, test_size=0.2, random_state=seed)
        columns = [one_hot(train.Cylinders, test.Cylinders), one_hot(train.Origin, test.Origin)]

        def number(f):
            a, b = f(train), f(test)
            columns.append([a.to_numpy(float)[:, None], b.to_numpy(float)[:, None]])

        def standard(f):
            a = f(train)
            number(lambda t: (f(t) - a.mean()) / a.std(ddof=1))

        standard(lambda t: t.Displacement)
        standard(lambda t: t.Horsepower.fillna(train.Horsepower.median()))
        number(lambda t: t.Horsepower.isna())
        standard(lambda t: np.log(t.Weight_in_lbs))
        number(lambda t: (t.Acceleration - train.Acceleration.median()) / (train.Acceleration.quantile(.75) - train.Acceleration.quantile(.25)))
        number(lambda t: pd.to_datetime(t.Year).dt.year - 1970)
        x, xt = (np.concatenate([c[i] for c in columns], 1) for i in (0, 1))
        scale = np.where(x.std(0) > 0, x.std(0), 1)
        p = Ridge(alpha=0.001 * len(x)).fit(x / scale, train.Miles_per_Gallon).predict(xt / scale)
        y = test.Miles_per_Gallon
        scores.append([mean_squared_error(y, p) ** .5, mean_absolute_error(y, p), r2_score(y, p)])
    s = np.array(scores)
    print(f"cars, 20 splits: rmse {s[:, 0].mean():.3f} ({s[:, 0].min():.3f}..{s[:, 0].max():.3f})  mae {s[:, 1].mean():.3f}  "
          f"r2 {s[:, 2].mean():.3f} ({s[:, 2].min():.3f}..{s[:, 2].max():.3f})")


def movies():
    d = pd.read_csv("examples/data/movies.csv")
    d = d[d["Major Genre"].notna()].reset_index(drop=True)
    y = (d["Major Genre"] == "Horror").to_numpy()
    scores = []
    for seed in range(20):
        train, test = train_test_split(np.arange(len(d)), test_size=0.2, random_state=seed)
        title = TfidfVectorizer(token_pattern=r"(?u)\w+", ngram_range=(1, 2))
        few, many = OneHotEncoder(handle_unknown="ignore"), OneHotEncoder(handle_unknown="ignore", min_frequency=10)
        x = []
        for rows, f in ((train, "fit_transform"), (test, "transform")):
            text = d.Title.iloc[rows].fillna("").astype(str)
            x.append(sp.hstack([getattr(title, f)(text), np.log1p(text.str.findall(r"\w+").str.len().to_numpy())[:, None],
                                getattr(few, f)(d[["MPAA Rating", "Creative Type"]].iloc[rows].fillna("none")),
                                getattr(many, f)(d[["Distributor"]].iloc[rows].fillna("none"))]))
        m = LogisticRegression(C=1 / (1e-3 * len(train)), max_iter=2000, tol=1e-7).fit(x[0], y[train])
        p = m.predict_proba(x[1])[:, 1]
        scores.append([roc_auc_score(y[test], p), log_loss(y[test], p)])
    s = np.array(scores)
    print(f"movies, 20 splits: auc {s[:, 0].mean():.3f} ({s[:, 0].min():.3f}..{s[:, 0].max():.3f})  log_loss {s[:, 1].mean():.3f}")


def airports():
    d = pd.read_csv("examples/data/airports.csv")
    lat, lon = np.radians(d.latitude.to_numpy()), np.radians(d.longitude.to_numpy())
    u = np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    scores = []
    for seed in range(20):
        train, test = train_test_split(u, test_size=0.2, random_state=seed)
        m = KMeans(8, n_init=10, random_state=seed).fit(train)
        label = m.predict(test)
        scores.append([silhouette_score(test, label, metric="cosine"), davies_bouldin_score(test, label)])
    s = np.array(scores)
    print(f"airports, 20 splits: silhouette {s[:, 0].mean():.3f} ({s[:, 0].min():.3f}..{s[:, 0].max():.3f})  "
          f"davies_bouldin {s[:, 1].mean():.3f} ({s[:, 1].min():.3f}..{s[:, 1].max():.3f})")


def penguins():
    d = pd.read_csv("examples/data/penguins.csv")
    scores = []
    for seed in range(20):
        train, test = train_test_split(d, test_size=0.25, random_state=seed)
        columns = []
        for name in ["Beak Length (mm)", "Beak Depth (mm)", "Flipper Length (mm)", "Body Mass (g)"]:
            known = train[name].fillna(train[name].median())
            columns.append([(t[name].fillna(train[name].median()) - known.mean()).to_numpy()[:, None] / known.std() for t in (train, test)])
        columns.append([t["Body Mass (g)"].isna().to_numpy(float)[:, None] for t in (train, test)])
        columns.append(one_hot(train.Sex.fillna("unknown"), test.Sex.fillna("unknown")))
        x, xt = (np.concatenate([c[i] for c in columns], 1) for i in (0, 1))
        scale = np.where(x.std(0) > 0, x.std(0), 1)
        m = LogisticRegression(C=1 / (0.01 * len(x)), max_iter=10000, tol=1e-10).fit(x / scale, train.Species)
        p = m.predict_proba(xt / scale)
        scores.append([accuracy_score(test.Species, m.predict(xt / scale)), log_loss(test.Species, p, labels=m.classes_)])
    s = np.array(scores)
    print(f"penguins, 20 splits: accuracy {s[:, 0].mean():.3f} ({s[:, 0].min():.3f}..{s[:, 0].max():.3f})  "
          f"log_loss {s[:, 1].mean():.3f} ({s[:, 1].min():.3f}..{s[:, 1].max():.3f})")


def weather():
    """The split is cml's: 75 % of the days come first. Rows of a training block read the mean of the blocks before it."""
    d = pd.read_csv("examples/data/weather.csv", parse_dates=["date"])
    d["wet"] = (d.precipitation > 0).astype(float)
    test_from = np.quantile(d.date.astype("int64"), .75)
    is_test = (d.date.astype("int64") > test_from).to_numpy()
    train = d[~is_test]
    block = sum((train.date.astype("int64") > np.quantile(d.date.astype("int64"), .75 * k / 5)).to_numpy().astype(int) for k in range(1, 5))
    usual = np.full(len(d), train.wet.mean())
    for b in range(6):
        seen = train[block < b] if b < 5 else train
        rows = np.flatnonzero(~is_test)[block == b] if b < 5 else np.flatnonzero(is_test)
        table = seen.groupby([seen.location, seen.date.dt.month]).wet.mean()
        usual[rows] = [table.get((d.location[i], d.date[i].month), train.wet.mean()) for i in rows]
    angle = 2 * np.pi * d.date.dt.day_of_year / 365.25
    span = d.temp_max - d.temp_min
    sea = (d.location == "Seattle").astype(float)
    x = np.stack([np.sin(angle), np.cos(angle), 1 - sea, sea, usual, span, span * sea, d.temp_min, np.log1p(d.wind)], 1)
    scale = x[~is_test].std(0)
    m = LogisticRegression(C=1 / (1e-3 * len(train)), max_iter=2000, tol=1e-8).fit(x[~is_test] / scale, train.wet)
    p = m.predict_proba(x[is_test] / scale)[:, 1]
    y = d.wet[is_test]
    print(f"weather: {len(train)} train, {len(y)} test: auc {roc_auc_score(y, p):.5f}  log_loss {log_loss(y, p):.5f}  accuracy {accuracy_score(y, p > .5):.5f}")


EXAMPLES = {"flights": flights, "cars": cars, "penguins": penguins, "movies": movies, "airports": airports, "weather": weather}

if __name__ == "__main__":
    for name in sys.argv[1:] or EXAMPLES:
        EXAMPLES[name]()
