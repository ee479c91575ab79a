# SPDX-License-Identifier: Apache-2.0
"""Texts: words, n-grams, vocabularies, tf-idf and feature hashing beside scikit-learn's CountVectorizer, TfidfVectorizer and, with our hash
written out in Python, HashingVectorizer. What a feature is worth in cml is seen through a model: the logit of each row is the product of
its features, made here, and the coefficients. On the SMS spam collection, where it is there, the AUC of the same model on the same rows."""
import os
import re
import unicodedata

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import kit

rng = np.random.default_rng(3)
WORDS = ("the a of to and in it is was for on with as at by an be this that from good bad fine poor great awful red blue "
         "naïve Ärger ΣΟΦΙΑ москва 中文 42 x2 under_score don't e-mail U.S. 𝄞 😀 ½ kilo").split()
BAD = {"bad", "poor", "awful", "москва"}
P = 1 / np.arange(1, len(WORDS) + 1)
ROWS = [[WORDS[i] for i in rng.choice(len(WORDS), size=rng.poisson(9), p=P / P.sum())] for _ in range(1500)]
TEXT = [rng.choice([" ", ", ", "! "]).join(w.upper() if rng.random() < .1 else w for w in row) for row in ROWS]
TEXT[0], TEXT[1], TEXT[2] = "", " -- ", "same " * 500 + "y" * 10000
LATE = [len(BAD & set(row)) > 0 if rng.random() < .9 else rng.random() < .5 for row in ROWS]
pd.DataFrame({"id": range(len(TEXT)), "text": TEXT, "late": LATE}).to_parquet("t.parquet")
Y = np.array(LATE)


def lower(s):
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in s)  # character by character: no final sigma


def tokens(text, lower_case=True, least=1):
    """Letters, digits, marks and `_`, by their Unicode categories."""
    s = "".join(c if c == "_" or unicodedata.category(c)[0] in "LNM" else " " for c in (lower(text) if lower_case else text))
    return [w for w in s.split() if len(w) >= least]


def hashed(words, n, signed=False):
    rows, cols, vals = [], [], []
    memo = {}
    for r, row in enumerate(words):
        for w in row:
            h = memo[w] = memo.get(w) or kit.hash_bytes(1, w.encode())
            rows.append(r)
            cols.append((h >> 32) * n >> 32)
            vals.append(-1.0 if signed and h & 1 else 1.0)
    return sp.csr_matrix((vals, (rows, cols)), shape=(len(words), n))


def idf(counts, base):
    df = np.bincount(counts.tocsr().indices[counts.tocsr().data != 0], minlength=counts.shape[1])
    return base + np.log((counts.shape[0] + 1) / (df + 1))


def unit(x):
    norm = np.sqrt(np.asarray(x.multiply(x).sum(1)).ravel())
    return sp.diags(1 / np.where(norm == 0, 1, norm)) @ x


def logits_of(slots, estimator="logistic_regression(late ~ f, l2 = 0.001)"):
    """Fits on all rows; the coefficients by slot, the names, and the prediction of every row."""
    kit.write("t.cml", f"""data d {{ from parquet("t.parquet")
    schema {{ id: int, text: string, late: bool }} }}
features f of d {{
    let t = tokenize(text)
{slots}
}}
model m = {estimator}
export m {{
    bundle "m.cmlm"
    predictions of d keep [id] to "p.parquet"
}}
""")
    report = kit.run("t.cml")
    if not report:
        kit.done()
    w, b, names = kit.model_of(report, "m")
    p = pd.read_parquet("p.parquet").sort_values("id").probability.to_numpy()
    kit.cmlc("predict", "m.cmlm", "--in", "t.parquet", "--out", "q.parquet", "-q", "--keep", "id")
    q = pd.read_parquet("q.parquet").sort_values("id").probability.to_numpy()
    return w, b, names, p, q


def same(slots, x, names, what):
    """The features of the slots are the matrix x, with these names."""
    w, b, got, p, q = logits_of(slots)
    kit.check(got == names, f"{what}: names", (got[:8], names[:8]))
    if len(w) == x.shape[1]:
        kit.close(p, kit.sigmoid(x @ w + b), 1e-12, f"{what}: every row")
    kit.check(np.array_equal(p, q), f"{what}: the bundle gives the same bits")


T = [tokens(t) for t in TEXT]
N = 512


def exact():
    count = CountVectorizer(analyzer=lambda t: tokens(t), min_df=2)
    x = count.fit_transform(TEXT)
    order = sorted(range(x.shape[1]), key=lambda j: count.get_feature_names_out()[j].encode())
    names = ["w=" + count.get_feature_names_out()[j] for j in order]
    x = x[:, order]
    same("    w = count_vector(t, vocabulary(t, min_docs = 2))", x, names, "CountVectorizer")
    same("    w = count_vector(t, vocabulary(t, min_docs = 2), binary = true)", (x > 0).astype(float), names, "CountVectorizer, binary")
    tfidf = TfidfTransformer().fit_transform(x)
    same("    w = normalize(tf_idf_of(t, vocabulary(t, min_docs = 2), base = 1))", tfidf, names, "TfidfVectorizer")
    tfidf = TfidfTransformer(sublinear_tf=True, norm=None).fit_transform(x)
    same("    w = tf_idf_of(t, vocabulary(t, min_docs = 2), base = 1, sublinear = true)", tfidf, names, "TfidfVectorizer, sublinear")
    grams = CountVectorizer(analyzer=lambda t: [" ".join(w[i:i + k]) for w in [tokens(t, least=2)] for k in (1, 2, 3)
                                                for i in range(len(w) - k + 1)], min_df=3, max_df=0.2)
    x = grams.fit_transform(TEXT)
    order = sorted(range(x.shape[1]), key=lambda j: grams.get_feature_names_out()[j].encode())
    same("    let u = n_grams(tokenize(text, min_length = 2), 3)\n    w = count_vector(u, vocabulary(u, min_docs = 3, max_share = 20%))\n"
         "    n = length(t) / 100",
         sp.hstack([x[:, order], sp.csr_matrix([[len(t) / 100] for t in T])]).tocsr(),
         ["w=" + grams.get_feature_names_out()[j] for j in order] + ["n"], "n-grams, min_df, max_df")
    total = pd.Series([w for row in T for w in row]).value_counts()
    best = sorted(total.index, key=lambda w: (-total[w], w.encode()))[:10]
    w, b, names, p, q = logits_of("    w = count_vector(t, vocabulary(t, max_terms = 10))")
    kit.check(names == ["w=" + v for v in sorted(best, key=str.encode)], "max_features", names)


def by_hash():
    names = [f"w#{j}" for j in range(N)]
    x = hashed(T, N)
    same(f"    w = tf(t, {N})", x, names, "HashingVectorizer")
    same(f"    w = hashed(t, {N}, signed = true)", hashed(T, N, True), names, "HashingVectorizer, alternate_sign")
    same(f"    w = tf_idf(t, {N})", x @ sp.diags(idf(x, 0)), names, "HashingTF and IDF")
    same(f"    w = normalize(tf_idf(t, 2^9, base = 1))", unit(x @ sp.diags(idf(x, 1))), names, "HashingVectorizer and TfidfTransformer")
    kept = [[w for w in row if w not in ("the", "a", "of")] for row in T]
    same(f'    w = tf(remove(t, ["the", "a", "of"]), {N})', hashed(kept, N), names, "stop words")
    whole = hashed([[t] for t in TEXT], N)
    same(f"    w = hashed(text, {N})", whole, names, "hashed text as a category")
    same(f"    w = hashed(text, {N}, signed = true)", hashed([[t] for t in TEXT], N, True), names, "the same with signs")
    w, b, names, p, q = logits_of(f'    w = tf(split(text, " "), {N})\n    c = contains(t, "bad")\n    z = length(join(t, "-")) / 1000')
    x = sp.hstack([hashed([t.split(" ") if t else [] for t in TEXT], N),
                   sp.csr_matrix([["bad" in t, len("-".join(t)) / 1000] for t in T])]).tocsr().astype(float)
    kit.close(p, kit.sigmoid(x @ w + b), 1e-12, "split, contains, join")


def wide():
    """2^18 elements: what is not there does not count."""
    w, b, names, p, q = logits_of("    w = normalize(tf_idf(t))")
    x = hashed(T, 2 ** 18)
    kit.check(len(w) == 2 ** 18, "2^18 features", len(w))
    kit.close(p, kit.sigmoid(unit(x @ sp.diags(idf(x, 0))) @ w + b), 1e-12, "2^18 elements: every row")
    kit.check(np.array_equal(p, q), "2^18 elements: the bundle gives the same bits")


def bits():
    kit.write("b.cml", """data d { from parquet("t.parquet")
    split train 80%, test 20% by hash(id) }
features f of d {
    let t = n_grams(tokenize(text), 2)
    a = tf_idf(t, 2^14)
    b = count_vector(t, vocabulary(t, max_terms = 100, max_share = 50%))
}
model m = logistic_regression(late ~ f, l2 = 0.01)
evaluate m on d.test { log_loss }
export m { predictions of d to "b.csv" }
""")
    out = set()
    for args in (["--threads", "1"], ["--threads", "2"], ["--threads", "7"], ["--executor", "loopback"]):
        kit.run("b.cml", *args)
        out.add(open("b.csv", "rb").read())
    kit.check(len(out) == 1, "the same bytes for any number of threads, and on loopback", len(out))


def sms():
    folder = os.environ.get("CML_SHARED_DATA") or os.path.join(os.path.dirname(kit.ROOT), "shared", "data")
    path = os.path.join(folder, "sms.tsv")
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8", newline="\n") as f:
        rows = [line.rstrip("\n").split("\t", 1) for line in f]
    text = [r[1] for r in rows]
    y = np.array([r[0] == "spam" for r in rows])
    train = np.array([kit.uniform_of_key("split", kit.key_text(t)) < 0.8 for t in text])
    kit.write("s.cml", f"""data sms {{
    from   csv("{os.path.abspath(path)}", delimiter = "\\t", quote = "", header = false)
    schema {{ label: category, text: string }}
    derive spam = label == "spam"
    split  train 80%, test 20% by hash(text)
}}
features f of sms {{
    let t = tokenize(text, min_length = 2)
    words = normalize(tf_idf_of(t, vocabulary(t, min_docs = 2), base = 1))
}}
model m = logistic_regression(spam ~ f, l2 = 0.0001, standardize = false)
evaluate m on sms.test {{ auc }}
""")
    report = kit.run("s.cml")
    if not report:
        return
    auc = report["evaluations"][0]["metrics"]["auc"]
    count = CountVectorizer(min_df=2)
    x = count.fit_transform([t for t, k in zip(text, train) if k])
    tfidf = TfidfTransformer().fit(x)
    m = LogisticRegression(C=1 / (0.0001 * train.sum()), max_iter=1000, tol=1e-8).fit(tfidf.transform(x), y[train])
    s = m.decision_function(tfidf.transform(count.transform([t for t, k in zip(text, train) if not k])))
    want = roc_auc_score(y[~train], s)
    kit.check(abs(auc - want) < 0.002, "SMS spam: AUC as scikit-learn's", (auc, want))


exact()
by_hash()
wide()
bits()
sms()
kit.done()
