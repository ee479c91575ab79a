# SPDX-License-Identifier: Apache-2.0
"""programs/*.cml, written as a new user would, against the same pipelines in pandas and scikit-learn on the same rows: the parts are read
back from the predictions that cml exports, the features are made again in numpy, the model is fitted by scikit-learn."""
import os
import shutil

import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import PolynomialFeatures

import kit

DATA = kit.shared_data("housing.csv", "adult-train.csv", "adult-test.csv", "titanic.csv", "diamonds.csv", "penguins.csv", "sms.tsv")


class Table:
    """Both parts on top of each other; what is learned is learned from the training rows."""

    def __init__(self, train, test):
        self.all = pd.concat([train, test], ignore_index=True)
        self.fit = np.arange(len(self.all)) < len(train)
        self.columns = {}

    def add(self, name, values):
        self.columns[name] = np.asarray(values, float)

    def standardize(self, x):
        x = np.asarray(x, float)
        return (x - x[self.fit].mean()) / x[self.fit].std(ddof=1)

    def levels(self, x, min_count=1):
        counts = x[self.fit].value_counts()
        return sorted(counts[counts >= min_count].index, key=lambda s: s.encode())

    def one_hot(self, name, x, min_count=1):
        x = pd.Series(x).astype(str)
        for level in self.levels(x, min_count):
            self.add(f"{name}={level}", x == level)

    def matrix(self):
        return np.column_stack(list(self.columns.values()))


def compare(name, report, t, y, w, predict, logistic, measures, l2, balanced=False):
    """y, w of all rows; predict: cml's predictions of both parts."""
    x = t.matrix()
    names = [f for f in report["models"][name]["features"]]
    kit.check(names == list(t.columns), f"{name}: names of the features", f"{names}\n{list(t.columns)}")
    solve = kit.logistic if logistic else kit.ridge
    more = {"balanced": balanced} if logistic else {}
    beta, b0 = solve(x[t.fit], y[t.fit], w[t.fit], l2, **more)
    coefficients, intercept, _ = kit.model_of(report, name)
    sd = x[t.fit].std(axis=0)
    kit.close(coefficients * sd, beta * sd, 1e-6, f"{name}: coefficients, per deviation")
    kit.close(intercept, b0, 1e-6, f"{name}: intercept")
    f = x @ beta + b0
    want = kit.sigmoid(f) if logistic else f
    kit.close(predict[t.fit], want[t.fit], 1e-7, f"{name}: predictions of the training rows")
    kit.close(predict[~t.fit], want[~t.fit], 1e-7, f"{name}: predictions of the test rows")
    got = evaluation(report, name)
    kit.check(got["rows"] == (~t.fit).sum(), f"{name}: rows evaluated", got["rows"])
    for metric, function in measures.items():
        value = function(y[~t.fit], want[~t.fit], w[~t.fit])
        agree(name, got, metric, value)
        kit.close(got["metrics"][metric], value, 1e-6, f"{name}: {metric}")
    return want


def evaluation(report, name, rows=None):
    return next(e for e in report["evaluations"] if e["model"] == name and e["by"] is None and rows in (None, e["rows"]))


def agree(name, got, metric, value):
    """What the independent pipeline says and what cml says: the same to 0.002, absolute for shares and losses, else relative."""
    m = got["metrics"].get(metric)
    kit.check(m is not None and abs(m - value) < 0.002 * max(1, abs(value)), f"{name}: {metric} within 0.002", f"{m} and {value}")


def weighted_median(x, w):
    order = np.argsort(x)
    x, share = x[order], np.cumsum(w[order]) / w.sum()
    return x[np.searchsorted(share, 0.5)]


REGRESSION = {
    "rmse": lambda y, p, w: np.sqrt(metrics.mean_squared_error(y, p, sample_weight=w)),
    "mae": lambda y, p, w: metrics.mean_absolute_error(y, p, sample_weight=w),
    "r2": lambda y, p, w: metrics.r2_score(y, p, sample_weight=w),
    "explained_variance": lambda y, p, w: metrics.explained_variance_score(y, p, sample_weight=w),
    "median_absolute_error": lambda y, p, w: weighted_median(np.abs(y - p), w),
}
BINARY = {
    "auc": lambda y, p, w: metrics.roc_auc_score(y, p, sample_weight=w),
    "log_loss": lambda y, p, w: metrics.log_loss(y, p, sample_weight=w),
    "brier": lambda y, p, w: metrics.brier_score_loss(y, p, sample_weight=w),
    "accuracy": lambda y, p, w: metrics.accuracy_score(y, p >= 0.5, sample_weight=w),
    "precision": lambda y, p, w: metrics.precision_score(y, p >= 0.5, sample_weight=w),
    "recall": lambda y, p, w: metrics.recall_score(y, p >= 0.5, sample_weight=w),
    "f1": lambda y, p, w: metrics.f1_score(y, p >= 0.5, sample_weight=w),
}


def some(measures, *names):
    return {n: measures[n] for n in names}


def start(program):
    folder = os.path.join(kit.HERE, "programs")
    shutil.copy(os.path.join(folder, program), program)
    return kit.run(program, "-p", f"dir={DATA}")


def read(name, **options):
    return pd.read_parquet(name) if name.endswith(".parquet") else pd.read_csv(name, **options)


def housing():
    r = start("housing.cml")
    if not r:
        return
    train, test = read("price-train.csv"), read("price-test.csv")
    whole = pd.read_csv(os.path.join(DATA, "housing.csv"))
    # the split is a function of the position that Python can compute too
    u = np.array([kit.uniform_of_position("housing", "split", kit.hash_word(0, 11), i) for i in range(len(whole))])
    want = whole[u < 0.8].reset_index(drop=True)
    got = train[list(whole.columns)]
    kit.check(got.equals(want), "housing: the training rows are those of the documented random numbers, unchanged")
    kit.check(len(train) + len(test) == len(whole), "housing: every row is in one part")
    t = Table(train, test)
    d = t.all
    bedrooms = d.total_bedrooms.fillna(d.total_bedrooms[t.fit].median())
    t.add("longitude", t.standardize(d.longitude))
    t.add("latitude", t.standardize(d.latitude))
    age = d.housing_median_age
    t.add("age", (age - age[t.fit].min()) / (age[t.fit].max() - age[t.fit].min()))
    t.add("rooms", t.standardize(np.log(d.total_rooms)))
    t.add("bedrooms", t.standardize(np.log(bedrooms)))
    t.add("bedrooms_missing", d.total_bedrooms.isna())
    t.add("population", t.standardize(np.log(d.population)))
    h = np.log(d.households)
    q = np.quantile(h[t.fit], [0.25, 0.5, 0.75])
    t.add("households", (h - q[1]) / (q[2] - q[0]))
    t.add("income", t.standardize(np.clip(d.median_income, 0, np.quantile(d.median_income[t.fit], 0.99))))
    cuts = np.quantile(d.median_income[t.fit], [0.2, 0.4, 0.6, 0.8])
    band = np.searchsorted(cuts, d.median_income, side="right")
    names = [f for f in r["models"]["price"]["features"] if f.startswith("income_band=")]
    low = sorted(names, key=lambda s: -np.inf if "-inf" in s else float(s.split("[")[1].split(",")[0]))
    for f in names:
        t.add(f, band == low.index(f))
    t.add("crowding", t.standardize(np.log1p(d.population / d.households)))
    t.one_hot("ocean", d.ocean_proximity, min_count=20)
    y = d.median_house_value.to_numpy() / 1e5
    compare("price", r, t, y, np.ones(len(d)), d.prediction.to_numpy(), False,
            some(REGRESSION, "rmse", "mae", "r2"), 1e-3)


def adult():
    r = start("adult.cml")
    if not r:
        return
    train, test = read("income-train.parquet"), read("income-test.parquet")
    kit.check((len(train), len(test)) == (32561, 16281), "adult: the parts are the two files")
    t = Table(train, test)
    d = t.all
    names = ["age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race", "sex",
             "capital_gain", "capital_loss", "hours", "country", "income"]
    options = {"header": None, "names": names, "skipinitialspace": True, "na_values": ["?"], "keep_default_na": False}
    source = pd.concat([pd.read_csv(os.path.join(DATA, f"adult-{p}.csv"), **options) for p in ("train", "test")], ignore_index=True)
    kit.check(all(d[c].astype(object).where(d[c].notna(), None).tolist() == source[c].astype(object).where(source[c].notna(), None).tolist()
                  for c in names if c in d), "adult: the exported columns are those of the files", [c for c in names if c in d])
    for c in ("age", "education_num", "capital_gain", "capital_loss", "hours"):
        t.add(f"number.{c}", t.standardize(d[c]))
    t.add("age_square", t.standardize(d.age ** 2))
    for c in ("capital_gain", "capital_loss"):
        t.add(f"gain_{c}", t.standardize(np.log1p(d[c])))
    for c in ("workclass", "marital_status", "occupation", "relationship", "race", "sex"):
        t.one_hot(f"kind.{c}", d[c].fillna("missing"))
    t.one_hot("country", d.country.fillna("missing"), min_count=50)
    y = d.income.str.startswith(">50K").to_numpy(float)
    compare("income", r, t, y, np.ones(len(d)), d.probability.to_numpy(), True, BINARY, 1e-4)
    got = next(e for e in r["evaluations"] if e["by"] is None)["metrics"]["confusion"]
    tn, fp, fn, tp = metrics.confusion_matrix(y[~t.fit], d.probability[~t.fit] >= 0.5).ravel()
    kit.check(list(got.values()) == [tn, fp, fn, tp], "income: confusion", got)
    for e in r["evaluations"]:
        if e["by"] == "sex":
            s = ~t.fit & (d.sex == e["value"]).to_numpy()
            kit.check(e["rows"] == s.sum(), f"income: rows of {e['value']}")
            kit.close(list(e["metrics"].values())[0], metrics.roc_auc_score(y[s], d.probability[s]), 1e-12, f"income: auc of {e['value']}")


def titanic():
    r = start("titanic.cml")
    if not r:
        return
    train, test = read("survival-train.csv"), read("survival-test.csv")
    t = Table(train, test)
    d = t.all
    whole = pd.read_csv(os.path.join(DATA, "titanic.csv"))
    u = np.array([kit.uniform_of_key("split", kit.key_int(int(i))) for i in whole.PassengerId])
    kit.check(train.PassengerId.tolist() == whole.PassengerId[u < 0.75].tolist(), "titanic: the split by hash is the documented one")
    both = d.sort_values("PassengerId").reset_index(drop=True)
    shown = [c for c in whole.columns if c in both]
    kit.check(both[shown].equals(whole[shown]), "titanic: quoted commas and missing values come back as they were", shown)
    size = d.SibSp + d.Parch + 1
    t.one_hot("class", d.Pclass.astype(str) + "," + d.Sex)
    t.add("age", t.standardize(d.Age.fillna(d.Age[t.fit].median())))
    t.add("age_missing", d.Age.isna())
    t.add("child", d.Age < 15)
    t.add("alone", size == 1)
    t.add("size", t.standardize(size))
    t.add("fare", t.standardize(np.log1p(d.Fare)))
    t.one_hot("deck", d.Cabin.str[:1].fillna("none"), min_count=5)
    t.one_hot("port", d.Embarked.fillna(d.Embarked[t.fit].mode()[0]))
    y = d.Survived.to_numpy(float)
    x = t.matrix()
    beta, b0 = kit.logistic(x[t.fit], y[t.fit], l2=0.01)
    plain = metrics.roc_auc_score(y[~t.fit], (x @ beta + b0)[~t.fit])
    words = CountVectorizer(min_df=10).fit(d.Name[t.fit])
    for word, column in zip(words.get_feature_names_out(), words.transform(d.Name).toarray().T):
        t.add(f"word={word}", column)
    measures = some(BINARY, "auc", "log_loss", "accuracy", "f1")
    p = compare("survival", r, t, y, np.ones(len(d)), d.probability.to_numpy(), True, measures, 0.01, True)
    paired = evaluation(r, "survival")["metrics"]["auc vs plain"]
    kit.close(paired["difference"], metrics.roc_auc_score(y[~t.fit], p[~t.fit]) - plain, 1e-9, "survival: auc vs plain")


def diamonds():
    r = start("diamonds.cml")
    if not r:
        return
    train, test = read("worth-train.parquet"), read("worth-test.parquet")
    whole = pd.read_csv(os.path.join(DATA, "diamonds.csv"))
    u = np.array([kit.uniform_of_position("diamonds", "split", kit.hash_word(0, 3), i) for i in range(len(whole))])
    good = ((whole.x > 0) & (whole.y > 0) & (whole.z > 0)).to_numpy()
    kit.check(train[list(whole.columns)].astype(whole.dtypes.to_dict()).equals(whole[good & (u < 0.7)].reset_index(drop=True)),
              "diamonds: the training rows are those of the documented random numbers, numbered before `where`")
    fold = kit.folds_of_positions("diamonds", len(whole))[good & (u < 0.7)]
    t = Table(train, test)
    d = t.all
    y = np.log(d.price.to_numpy(float))
    logs = np.column_stack([t.standardize(np.log(d[c])) for c in ("carat", "x", "y", "z")])
    powers = PolynomialFeatures(2, include_bias=False).fit(logs)
    for name, column in zip(powers.get_feature_names_out(["carat", "x", "y", "z"]), powers.transform(logs).T):
        t.add("size_" + name.replace(" ", "*"), column)
    t.add("depth", t.standardize(d.depth))
    lo, hi = np.quantile(d.table[t.fit], [0.01, 0.99])
    t.add("table", t.standardize(np.clip(d.table, lo, hi)))
    t.add("flat", np.log(d.x * d.y / d.z ** 2))
    t.add("grade", d.cut.map({c: i for i, c in enumerate(["Fair", "Good", "Very Good", "Premium", "Ideal"])}))
    for c in ("cut", "color", "clarity"):
        t.one_hot(f"kind.{c}", d[c])
    for level in t.levels(d.clarity):
        t.add(f"by_size={level}:carat", (d.clarity == level) * logs[:, 0])
    # `weight` weighs the training loss, the metrics and cross-fitted means; a count counts rows
    w = d.carat.to_numpy(float)
    prior = y[t.fit].mean()

    def level(rows, of):
        g = pd.DataFrame({"k": d.clarity[rows], "n": 1.0, "w": w[rows], "wy": w[rows] * y[rows]}).groupby("k").sum()
        n = d.clarity[of].map(g.n).fillna(0)
        m = d.clarity[of].map(g.wy / g.w).fillna(0)
        return (n * m + 20 * prior) / (n + 20)

    out = np.empty(len(d))
    out[~t.fit] = level(t.fit, ~t.fit)
    every = np.concatenate([fold, np.full((~t.fit).sum(), -1)])
    for k in range(5):
        out[every == k] = level(t.fit & (every != k), every == k)
    t.add("level", out)
    compare("worth", r, t, y, w, d.prediction.to_numpy(), False, REGRESSION, 1e-5)


def penguins():
    r = start("penguins.cml")
    if not r:
        return
    train, test = read("species-train.csv"), read("species-test.csv")
    t = Table(train, test)
    d = t.all
    whole = pd.read_csv(os.path.join(DATA, "penguins.csv"))
    shown = [whole, d[whole.columns]]
    shown = [x.sort_values(list(whole.columns)).reset_index(drop=True) for x in shown]
    kit.check(shown[0].equals(shown[1].astype(whole.dtypes.to_dict())), "penguins: every row is in one part, unchanged")
    kit.check(np.all(np.abs(train.species.value_counts() - 0.7 * whole.species.value_counts()) <= 1), "penguins: the strata are within one row")
    sizes = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
    for c in sizes:
        t.add(f"size.{c}", t.standardize(d[c].fillna(d[c][t.fit].median())))
    t.add("unmeasured", d.bill_length_mm.isna())
    ratio = d.bill_length_mm / d.bill_depth_mm
    t.add("ratio", ratio.fillna(ratio[t.fit].mean()))
    t.one_hot("sex", d.sex.fillna("unknown"))
    m = r["models"]["species"]
    kit.check(m["features"] == list(t.columns), "species: names of the features", f"{m['features']}\n{list(t.columns)}")
    x = t.matrix()
    sd = x[t.fit].std(axis=0)
    want = LogisticRegression(C=1 / (0.01 * t.fit.sum()), tol=1e-12, max_iter=10000, solver="newton-cg").fit(x[t.fit] / sd, d.species[t.fit])
    got = np.array([[m["coefficients"][c][f] for f in m["features"]] for c in m["classes"]])
    kit.close(got * sd, want.coef_, 1e-6, "species: coefficients, per deviation")
    p = want.predict_proba(x / sd)
    kit.close(d[[f"probability_{c}" for c in want.classes_]].to_numpy(), p, 1e-7, "species: probabilities of all rows")
    y, p = d.species[~t.fit], p[~t.fit]
    best = want.classes_[p.argmax(1)]
    e = evaluation(r, "species")
    agree("species", e, "accuracy", metrics.accuracy_score(y, best))
    agree("species", e, "balanced_accuracy", metrics.balanced_accuracy_score(y, best))
    agree("species", e, "log_loss", metrics.log_loss(y, p))
    agree("species", e, "mcc", metrics.matthews_corrcoef(y, best))
    agree("species", e, "auc", metrics.roc_auc_score(y, p, multi_class="ovr"))
    agree("species", e, "f1(average = macro)", metrics.f1_score(y, best, average="macro"))
    table = [list(row.values()) for row in e["metrics"]["confusion"].values()]
    kit.check(table == metrics.confusion_matrix(y, best).tolist(), "species: confusion", table)


def sms():
    r = start("sms.cml")
    if not r:
        return
    train, valid, test = (read(f"spam-{p}.parquet") for p in ("train", "valid", "test"))
    with open(os.path.join(DATA, "sms.tsv"), encoding="utf-8") as f:
        lines = [line.rstrip("\n").split("\t") for line in f]
    d = pd.concat([train, valid, test], ignore_index=True)
    kit.check(sorted(zip(d.kind, d.text)) == sorted(map(tuple, lines)), "sms: every line is in one part, quotes and all")
    shares = [np.mean(x.kind == "spam") for x in (train, valid, test)]
    kit.check(np.ptp(shares) < 0.003, "sms: the strata", shares)
    terms = TfidfVectorizer(min_df=3).fit(train.text)

    def matrix(x):
        more = np.column_stack([np.log1p(x.text.str.len()), x.text == x.text.str.upper(), x.text.str.contains("£")]).astype(float)
        return np.hstack([terms.transform(x.text).toarray(), more])

    names = [f"word={w}" for w in terms.get_feature_names_out()] + ["size", "shouting", "money"]
    kit.check(r["models"]["spam"]["features"] == names, "spam: names of the features")
    fit = LogisticRegression(C=1 / (3e-5 * len(train)), tol=1e-8, max_iter=1000, solver="newton-cg").fit(matrix(train), train.kind == "spam")
    coefficients, _, _ = kit.model_of(r, "spam")
    kit.close(coefficients, fit.coef_[0], 1e-4, "spam: coefficients")
    p = fit.predict_proba(matrix(test))[:, 1]
    kit.close(test.probability.to_numpy(), p, 1e-5, "spam: probabilities of the test rows")
    y = (test.kind == "spam").to_numpy()
    seen = fit.predict_proba(matrix(valid))[:, 1]
    scores = {t: metrics.f1_score(valid.kind == "spam", seen >= t) for t in np.unique(seen)}
    threshold = max(scores, key=lambda t: (scores[t], t))
    e = evaluation(r, "spam", len(test))
    kit.close(r["models"]["spam"]["options"]["threshold"], threshold, 1e-5, "spam: the threshold with the best f1 on the middle part")
    label = p >= threshold
    for metric in ("auc", "log_loss", "brier"):
        agree("spam", e, metric, BINARY[metric](y, p, None))
    agree("spam", e, "pr_auc", metrics.average_precision_score(y, p))
    for metric, function in (("accuracy", metrics.accuracy_score), ("precision", metrics.precision_score), ("recall", metrics.recall_score),
                             ("f1", metrics.f1_score), ("mcc", metrics.matthews_corrcoef)):
        agree("spam", e, metric, function(y, label))
    kit.check(list(e["metrics"]["confusion"].values()) == metrics.confusion_matrix(y, label).ravel().tolist(), "spam: confusion")


def regions():
    r = start("regions.cml")
    if not r:
        return
    train, test = read("regions-train.csv"), read("regions-test.csv")

    def points(x):
        return np.column_stack([x.longitude * np.cos(np.radians(36.5)), x.latitude])

    want = KMeans(6, n_init=20, random_state=1, tol=0).fit(points(train), sample_weight=train.households)
    e = evaluation(r, "regions")
    x, w = points(test), test.households.to_numpy()
    label = want.predict(x)
    agree("regions", {"metrics": {"training inertia": r["models"]["regions"]["objective"][-1]}}, "training inertia", want.inertia_)
    agree("regions", e, "inertia", (w * ((x - want.cluster_centers_[label]) ** 2).sum(1)).sum())
    kit.close(metrics.adjusted_rand_score(label, test.cluster), 1, 0.02, "regions: the rows lie together as there")
    means = np.stack([np.average(x[label == k], axis=0, weights=w[label == k]) for k in range(6)])
    inside = (w * ((x - means[label]) ** 2).sum(1)).sum()
    size = np.bincount(label, w)
    between = (size * ((means - np.average(x, axis=0, weights=w)) ** 2).sum(1)).sum()
    agree("regions", e, "calinski_harabasz", between / inside * (w.sum() - 6) / 5)
    spread = np.bincount(label, w * np.sqrt(((x - means[label]) ** 2).sum(1))) / size
    ratio = (spread[:, None] + spread) / (np.sqrt(((means[:, None] - means) ** 2).sum(2)) + np.diag(np.full(6, np.inf)))
    agree("regions", e, "davies_bouldin", ratio.max(1).mean())


housing()
adult()
titanic()
diamonds()
penguins()
sms()
regions()
kit.done()
