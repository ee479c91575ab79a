# SPDX-License-Identifier: Apache-2.0
# stdlib: the estimators in C, and the functions written in cml, which embed.sh turns into one C file.

noinst_LIBRARIES += libstdlib.a
libstdlib_a_SOURCES = \
  stdlib/cluster/assign.c stdlib/cluster/cluster.h stdlib/cluster/fit.c stdlib/cluster/kmeans.c \
  stdlib/cluster/measure.c stdlib/cluster/measure.h stdlib/cluster/metrics.c stdlib/cluster/nearest.c \
  stdlib/cluster/nearest.h stdlib/cluster/nearest_kernel.c stdlib/cluster/rows.c stdlib/cluster/sample.c \
  stdlib/cluster/start.c stdlib/cluster/swap.c stdlib/cluster/trial.h stdlib/flat.c stdlib/flat.h \
  stdlib/linear/descent.c stdlib/linear/fit.c stdlib/linear/fit.h stdlib/linear/gradient.c \
  stdlib/linear/gram.c stdlib/linear/inference.c stdlib/linear/lbfgs.c stdlib/linear/linear.h \
  stdlib/linear/linear_regression.c stdlib/linear/logistic_regression.c stdlib/linear/loss.c \
  stdlib/linear/model.c stdlib/linear/moments.c stdlib/linear/multinomial.c stdlib/linear/multinomial.h \
  stdlib/linear/newton.c stdlib/linear/pairs.c stdlib/linear/products.c stdlib/linear/rank.c \
  stdlib/linear/softmax.c stdlib/linear/space.c stdlib/linear/start.c stdlib/linear/wide.c \
  stdlib/metric/auc.c stdlib/metric/classification.c stdlib/metric/curve.c stdlib/metric/input.c \
  stdlib/metric/metric.h stdlib/metric/multiclass.c stdlib/metric/ranks.c stdlib/metric/regression.c \
  stdlib/metric/sums.c stdlib/metric/terms.c stdlib/metric/threshold.c stdlib/metric/values.c \
  stdlib/registry.c stdlib/registry.h stdlib/sources.h
# loops over rows and columns are worth vectorising
libstdlib_a_CFLAGS = $(AM_CFLAGS) $(KERNEL_CFLAGS)
stdlib_cml = \
  stdlib/bin.cml stdlib/encode.cml stdlib/impute.cml stdlib/native.cml stdlib/scale.cml \
  stdlib/stop_words.cml stdlib/text.cml stdlib/time.cml stdlib/transform.cml stdlib/vector.cml
nodist_libstdlib_a_SOURCES = stdlib/sources.c
CLEANFILES += stdlib/sources.c
stdlib_extra = \
  stdlib/README.md
EXTRA_DIST += stdlib/embed.sh $(stdlib_cml) $(stdlib_extra)

stdlib/sources.c: stdlib/embed.sh $(stdlib_cml) stdlib/local.mk
	$(AM_V_GEN)$(MKDIR_P) stdlib && \
	  (cd $(srcdir) && $(SHELL) stdlib/embed.sh $(stdlib_cml)) > $@.tmp && mv $@.tmp $@
