# SPDX-License-Identifier: Apache-2.0
"""Peers of `linear` and `lasso_path`. Matrices are in Fortran order, which coordinate descent wants; precompute = True (the Gram matrix)
is many times faster than without for these shapes. glmnet's clock counts its fit alone: reading is left out, since R has no reader of
Parquet here."""
PATH = [0.45 * 0.9326**i for i in range(100)]


def read(job):
    import numpy as np
    import pyarrow.parquet as pq

    t = pq.read_table(f"{job.data}/data.parquet")
    x = np.empty((t.num_rows, job.columns), order="F")
    for j in range(job.columns):
        x[:, j] = t.column(j).to_numpy()
    job.lap("read")
    return x, t.column("y").to_numpy()


def objective(x, y, w, b, l1, l2):
    import numpy as np

    r = y - x @ w - b
    return r @ r / (2 * len(y)) + l1 * np.abs(w).sum() + l2 / 2 * (w @ w)


def fit(job, model):
    job.start()
    x, y = read(job)
    model.fit(x, y)
    job.lap("fit")
    job.stop()
    x, y = read(job)  # the fit may have centred the first one in place
    return {"objective": objective(x, y, model.coef_, model.intercept_, job.l1, job.l2)}


def ridge(job):
    from sklearn.linear_model import Ridge
    import pyarrow.parquet  # noqa: F401  (imported before the clock starts)

    return fit(job, Ridge(alpha=job.l2 * job.rows, solver="cholesky", copy_X=False))


def lasso(job):
    from sklearn.linear_model import Lasso
    import pyarrow.parquet  # noqa: F401

    return fit(job, Lasso(alpha=job.l1, precompute=True, tol=1e-8))


def along(x, y, coefficients):
    import numpy as np

    x, y = np.array(x), y - y.mean()
    x -= x.mean(0)
    return {f"objective_{i}": objective(x, y, coefficients[:, i], 0, PATH[i], 0) for i in (30, 99)}


def lasso_path(job):
    import numpy as np
    from sklearn.linear_model import lasso_path
    import pyarrow.parquet  # noqa: F401

    job.start()
    x, y = read(job)
    center = x.mean(0)
    xc, yc = x - center, y - y.mean()
    _, w, _ = lasso_path(xc, yc, alphas=np.array(PATH), precompute=True, tol=1e-7)
    job.lap("fit")
    job.stop()
    return along(x, y, w)


def glmnet_prepare(job):
    x, y = read(job)
    x.T.tofile(f"{job.work}/x.bin")
    y.tofile(f"{job.work}/y.bin")


def glmnet(job):
    import subprocess

    import numpy as np

    program = f"""
      library(glmnet)
      n <- {job.rows}; d <- {job.columns}
      x <- matrix(readBin("x.bin", "double", n * d), n, d); y <- readBin("y.bin", "double", n)
      # glmnet measures lambda in units of the target's deviation, and undoes that in its answer.
      t <- system.time(m <- glmnet(x, y, lambda = 0.45 * 0.9326^(0:99), standardize = FALSE, thresh = 1e-12, type.gaussian = "covariance"))
      cat(t[["elapsed"]], "\\n"); writeBin(as.double(as.matrix(m$beta)), "beta.bin")"""
    answer = subprocess.run(["Rscript", "-e", program], capture_output=True, text=True, cwd=job.work, check=True)
    job.ended = job.begun + float(answer.stdout.split()[-1])
    x, y = read(job)
    return along(x, y, np.fromfile(f"{job.work}/beta.bin").reshape(100, job.columns).T)
