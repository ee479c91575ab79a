# SPDX-License-Identifier: Apache-2.0
"""What the oracle tests share: TAP, running cmlc, reading bundles, cml's hash and random functions, and solvers that are not cml's.

A test is a script that calls `check(truth, what)` some times and ends with `done()`. It runs in a private folder (tests/oracle.sh), so it
writes where it stands.
"""
import json
import os
import subprocess
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.realpath(os.environ.get("CML_SRCDIR", os.path.dirname(os.path.dirname(HERE))))
CMLC = os.environ.get("CMLC", os.path.join(ROOT, "build", "cmlc"))
EXAMPLES = os.environ.get("CML_DATA", os.path.join(ROOT, "examples", "data"))

_count = 0
_failed = 0


# ---- TAP ----

def check(truth, what, detail=None):
    global _count, _failed
    _count += 1
    if not truth:
        _failed += 1
    print(f"{'ok' if truth else 'not ok'} {_count} - {what}", flush=True)
    if detail is not None and not truth:
        for line in str(detail).splitlines()[:40]:
            print("# " + line)
    return bool(truth)


def close(got, want, tolerance, what):
    """Relative to the largest wanted value, at least 1."""
    got, want = np.asarray(got, float), np.asarray(want, float)
    if got.shape != want.shape:
        return check(False, what, f"shapes {got.shape} and {want.shape}")
    if got.size == 0:
        return check(True, what)
    scale = max(1.0, np.max(np.abs(want)))
    error = np.max(np.abs(got - want)) / scale
    at = int(np.argmax(np.abs(got - want).ravel()))
    print(f"# {what}: {error:.2g}")
    return check(error <= tolerance, what, f"error {error:.3g}, allowed {tolerance:.3g}; got {got.ravel()[at]!r}, want {want.ravel()[at]!r}")


def done():
    print(f"1..{_count}")
    sys.exit(1 if _failed else 0)


def skip_all(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def shared_data(*names):
    """The folder of real data that is not part of the project; without it the test is skipped."""
    folder = os.environ.get("CML_SHARED_DATA") or os.path.join(os.path.dirname(ROOT), "shared", "data")
    missing = [n for n in names if not os.path.exists(os.path.join(folder, n))]
    if missing:
        skip_all(f"no {missing[0]} in the folder of shared data (CML_SHARED_DATA names it)")
    return os.path.abspath(folder)


# ---- cmlc ----

def cmlc(*args, status=0):
    r = subprocess.run([CMLC, *map(str, args)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if status is not None and r.returncode != status:
        check(False, f"cmlc {' '.join(map(str, args))} ends with status {status}", f"status {r.returncode}\n{r.stderr}")
    return r


def write(name, text):
    with open(name, "w") as f:
        f.write(text)
    return name


def run(program, *args, status=0):
    """Runs a program; the object of --json, or None after a failure."""
    r = cmlc("run", program, "-q", "--json", "run.json", *args, status=status)
    if r.returncode not in (0, 1):
        return None
    with open("run.json") as f:
        return json.load(f)


def model_of(report, name):
    m = report["models"][name]
    return np.array([m["coefficients"][f] for f in m["features"]]), m.get("intercept", 0.0), m["features"]


# ---- base/hash.h ----

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(x):
    x ^= x >> 30
    x = x * 0xBF58476D1CE4E5B9 & MASK
    x ^= x >> 27
    x = x * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def hash_word(h, w):
    return mix(h ^ mix(w + GOLDEN & MASK))


def hash_bytes(seed, data):
    h = mix(seed + GOLDEN & MASK)
    for i in range(0, len(data), 8):
        h = hash_word(h, int.from_bytes(data[i:i + 8].ljust(8, b"\0"), "little"))
    return hash_word(h, len(data))


def unit(word):
    return (word >> 11) * 2.0 ** -53


def key_int(v):
    return b"\x02" + ((v + (1 << 63)) & MASK).to_bytes(8, "big")


def key_text(s):
    return b"\x03" + s.encode().replace(b"\0", b"\0\1") + b"\0\0"


def uniform_of_key(purpose, key):
    """For `by hash(..)`: purpose is "split" or "fold", key the canonical bytes of the key columns."""
    return unit(hash_bytes(hash_bytes(1, purpose.encode()), key))


def uniform_of_position(data, purpose, seed, position, file=0):
    """For `by random(..)` and for folds without a split."""
    key = hash_word(hash_bytes(hash_bytes(1, data.encode()), purpose.encode()), seed)
    return unit(mix(key + mix(hash_word(file, position) + GOLDEN & MASK) & MASK))


def folds_of_positions(data, n, folds=5):
    return np.array([min(int(uniform_of_position(data, "fold", 0, i) * folds), folds - 1) for i in range(n)])


# ---- The problem of execution.md, solved independently ----

def deviations(x, w):
    mean = np.average(x, axis=0, weights=w)
    return np.sqrt(np.average((x - mean) ** 2, axis=0, weights=w))


def ridge(x, y, w=None, l2=0.0, standardize=True, intercept=True):
    """Closed form in extended care: least squares (SVD) on centred, scaled columns with the penalty as extra rows."""
    n, d = x.shape
    w = np.ones(n) if w is None else np.asarray(w, float)
    s = deviations(x, w)
    unit_ = np.where(s > 0, s, 1.0)
    mx = np.average(x, axis=0, weights=w) if intercept else np.zeros(d)
    my = np.average(y, weights=w) if intercept else 0.0
    root = np.sqrt(w / w.sum())[:, None]
    a = root * ((x - mx) / unit_)
    b = root[:, 0] * (y - my)
    penalty = np.sqrt(l2) * (np.where(s > 0, 1.0, 0.0) if standardize else 1 / unit_)
    if l2 > 0:
        a = np.vstack([a, np.diag(penalty)])
        b = np.concatenate([b, np.zeros(d)])
    beta = np.linalg.lstsq(a, b, rcond=1e-12)[0]
    beta += np.linalg.lstsq(a, b - a @ beta, rcond=1e-12)[0]
    beta = np.where(s > 0, beta / unit_, 0.0)
    return beta, my - mx @ beta


def logistic(x, y, w=None, l2=0.0, standardize=True, balanced=False):
    """scikit-learn's answer (its Cholesky Newton solver on centred, scaled columns), then Newton steps to the last digit."""
    from sklearn.linear_model import LogisticRegression

    n, d = x.shape
    y = np.asarray(y, float)
    w = np.ones(n) if w is None else np.asarray(w, float)
    if balanced:
        w = w * np.where(y == 1, w.sum() / (2 * w[y == 1].sum()), w.sum() / (2 * w[y == 0].sum()))
    s = deviations(x, w)
    unit_ = np.where(s > 0, s, 1.0)
    mean = np.average(x, axis=0, weights=w)
    u = (x - mean) / unit_
    scale = np.ones(d) if standardize else unit_ ** -1   # the penalty is on scale * beta
    m = LogisticRegression(C=1 / (l2 * w.sum()) if l2 else np.inf, solver="newton-cholesky" if d < 300 else "lbfgs", tol=1e-10, max_iter=3000)
    m.fit(u / scale, y, sample_weight=w)
    beta, b0 = m.coef_[0] / scale, float(m.intercept_[0])
    a = np.column_stack([np.ones(n), u])
    b = np.concatenate([[b0], beta])
    p2 = np.concatenate([[0.0], l2 * scale ** 2])
    for _ in range(4):
        p = 1 / (1 + np.exp(-(a @ b)))
        g = a.T @ (w * (p - y)) / w.sum() + p2 * b
        h = (a.T * (w * p * (1 - p))) @ a / w.sum() + np.diag(p2)
        b = b - np.linalg.lstsq(h, g, rcond=1e-13)[0]
    beta = np.where(s > 0, b[1:] / unit_, 0.0)
    return beta, b[0] - mean @ beta


def sigmoid(f):
    return 1 / (1 + np.exp(-f))
