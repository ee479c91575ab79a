# SPDX-License-Identifier: Apache-2.0
"""programs/*.cml, written as a new user would, against the same pipelines in pandas and scikit-learn on the same rows: the parts are read
back from the predictions that cml exports, the features are made again in numpy, the model is fitted by scikit-learn."""
import os
import shutil

import numpy as np
import pandas as pd
from sklearn import metrics

import kit

DATA = kit.shared_data("housing.csv", "adult-train.csv", "adult-test.csv", "titanic.csv", "diamonds.csv")


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

    def one_hot(self, name, x, min_count=1):
        x = pd.Series(x).astype(str)
        counts = x[self.fit].value_counts()
        for level in sorted(counts[counts >= min_count].index, key=lambda s: s.encode()):
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
    got = next(e for e in report["evaluations"] if e["by"] is None)
    kit.check(got["rows"] == (~t.fit).sum(), f"{name}: rows evaluated", got["rows"])
    for metric, function in measures.items():
        value = function(y[~t.fit], want[~t.fit], w[~t.fit])
        kit.check(abs(got["metrics"][metric] - value) < 0.002, f"{name}: {metric} within 0.002", f"{got['metrics'][metric]} and {value}")
        kit.close(got["metrics"][metric], value, 1e-6, f"{name}: {metric}")


REGRESSION = {
    "rmse": lambda y, p, w: np.sqrt(metrics.mean_squared_error(y, p, sample_weight=w)),
    "mae": lambda y, p, w: metrics.mean_absolute_error(y, p, sample_weight=w),
    "r2": lambda y, p, w: metrics.r2_score(y, p, sample_weight=w),
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
    compare("price", r, t, y, np.ones(len(d)), d.prediction.to_numpy(), False, REGRESSION, 1e-3)


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
    t.add("age", t.standardize(d.age))
    t.add("age_square", t.standardize(d.age ** 2))
    t.add("education", t.standardize(d.education_num))
    t.add("gain", t.standardize(np.log1p(d.capital_gain)))
    t.add("loss", t.standardize(np.log1p(d.capital_loss)))
    t.add("hours", t.standardize(d.hours))
    t.one_hot("workclass", d.workclass.fillna("missing"))
    t.one_hot("occupation", d.occupation.fillna("missing"))
    t.one_hot("marital", d.marital_status)
    t.one_hot("relation", d.relationship)
    t.one_hot("race", d.race)
    t.add("female", d.sex == "Female")
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
    t.one_hot("class", d.Pclass)
    t.add("male", d.Sex == "male")
    t.add("age", t.standardize(d.Age.fillna(d.Age[t.fit].mean())))
    t.add("age_missing", d.Age.isna())
    t.add("child", d.Age < 15)
    t.add("alone", size == 1)
    t.add("size", t.standardize(size))
    t.add("fare", t.standardize(np.log1p(d.Fare)))
    t.one_hot("deck", d.Cabin.str[:1].fillna("none"), min_count=5)
    t.one_hot("port", d.Embarked.fillna(d.Embarked[t.fit].mode()[0]))
    t.add("master", d.Name.str.contains("Master.", regex=False))
    y = d.Survived.to_numpy(float)
    compare("survival", r, t, y, np.ones(len(d)), d.probability.to_numpy(), True, some(BINARY, "auc", "log_loss", "accuracy", "f1"), 0.01, True)


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
    t.add("carat", t.standardize(np.log(d.carat)))
    t.add("carat2", t.standardize(np.log(d.carat) ** 2))
    t.add("depth", t.standardize(d.depth))
    lo, hi = np.quantile(d.table[t.fit], [0.01, 0.99])
    t.add("table", t.standardize(np.clip(d.table, lo, hi)))
    t.add("flat", np.log(d.x * d.y / d.z ** 2))
    for c in ("cut", "color", "clarity"):
        t.one_hot(c, d[c])
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


housing()
adult()
titanic()
diamonds()
kit.done()
