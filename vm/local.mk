# SPDX-License-Identifier: Apache-2.0
# vm: columns, interpreter, executors, data engine, model file. The kernels are a library of their own because their
# loops are vectorised at any -O.

noinst_LIBRARIES += libvm.a libkernel.a
libvm_a_SOURCES = \
  vm/agg.c vm/agg.h vm/agg_collect_by.c vm/agg_covariance.c vm/agg_order.c vm/agg_order.h vm/agg_parts.h \
  vm/agg_power.c vm/agg_quantile.c vm/agg_row.c vm/agg_scalar.c vm/agg_state.c vm/agg_table.c \
  vm/agg_text.c vm/agg_vector.c vm/agg_vocab.c vm/blas.c vm/blas.h vm/bundle.h vm/bundle_read.c \
  vm/bundle_write.c vm/column.c vm/column.h vm/engine.h vm/engine/build.c vm/engine/duckdb.c \
  vm/engine/duckdb.h vm/engine/glob.c vm/engine/options.c vm/engine/parts.h vm/engine/reader.c \
  vm/engine/reader_csv.c vm/engine/reader_json.c vm/engine/reader_libsvm.c vm/engine/reader_parquet.c \
  vm/engine/reader_sql.c vm/engine/size.c vm/engine/text.c vm/engine/times.c vm/engine/whole.c \
  vm/engine/writer.c vm/estimator.h vm/exec.h vm/exec/cols.c vm/exec/cols.h vm/exec/exec.c vm/exec/home.c \
  vm/exec/home.h vm/exec/jobset.c vm/exec/jobset.h vm/exec/local.c vm/exec/loopback.c vm/exec/store.c \
  vm/exec/store.h vm/exec/task.c vm/exec/task.h vm/exec/tree.c vm/exec/tree.h vm/fitted.c vm/fitted.h \
  vm/interp.c vm/interp.h vm/ir.h vm/ir_names.h vm/ir_print.c vm/ir_read.c vm/ir_verify.c vm/matrix.c \
  vm/op.h vm/op_check.c vm/op_cmp.c vm/op_curve.c vm/op_dict.c vm/op_key.c vm/op_num.c vm/op_sparse.c \
  vm/op_str.c vm/op_text.c vm/op_time.c vm/op_vec.c vm/op_vector.c vm/ops.c vm/ops.def vm/ops.h \
  vm/paired.c vm/paired.h vm/run.c vm/run.h vm/run_eval.c vm/run_parts.h vm/score.c vm/score.h vm/shape.c \
  vm/shape.h vm/written.c vm/written.h
libkernel_a_SOURCES = \
  vm/kernel/dot.c vm/kernel/dot.h vm/kernel/math.c vm/kernel/math.h vm/kernel/math_inline.h \
  vm/kernel/math_trig.h
libkernel_a_CFLAGS = $(AM_CFLAGS) $(KERNEL_CFLAGS)
vm_extra = \
  vm/README.md vm/engine/README.md vm/exec/README.md vm/kernel/README.md
EXTRA_DIST += $(vm_extra)
