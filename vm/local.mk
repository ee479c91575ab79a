# SPDX-License-Identifier: Apache-2.0
# vm: columns, interpreter, executors, data engine, model file. The kernels are a library of their own because their
# loops are vectorised at any -O.

noinst_LIBRARIES += libvm.a libkernel.a
libvm_a_SOURCES = \
  vm/agg.h vm/agg/agg.c vm/agg/bag.c vm/agg/collect_by.c vm/agg/covariance.c vm/agg/order.c vm/agg/order.h \
  vm/agg/parts.h vm/agg/power.c vm/agg/quantile.c vm/agg/row.c vm/agg/sample.c vm/agg/scalar.c \
  vm/agg/state.c vm/agg/table.c vm/agg/text.c vm/agg/vector.c vm/agg/vocab.c vm/blas.c vm/blas.h \
  vm/bundle.h vm/bundle/read.c vm/bundle/write.c vm/column.c vm/column.h vm/engine.h vm/engine/build.c \
  vm/engine/csv.h vm/engine/csv_cells.c vm/engine/csv_scan.h vm/engine/csv_split.c vm/engine/duckdb.c \
  vm/engine/duckdb.h vm/engine/glob.c vm/engine/json.h vm/engine/json_text.c vm/engine/layout.c \
  vm/engine/options.c vm/engine/parquet.h vm/engine/parquet_columns.c vm/engine/parquet_encode.c \
  vm/engine/parquet_footer.c vm/engine/parquet_meta.c vm/engine/parquet_page.c vm/engine/parquet_plain.c \
  vm/engine/parquet_span.c vm/engine/parquet_write.h vm/engine/parts.h vm/engine/reader.c \
  vm/engine/reader_csv.c vm/engine/reader_json.c vm/engine/reader_libsvm.c vm/engine/reader_parquet.c \
  vm/engine/reader_parquet_own.c vm/engine/reader_spark.c vm/engine/reader_sql.c vm/engine/records.c \
  vm/engine/records.h vm/engine/records_text.c vm/engine/records_write.c vm/engine/runs.c vm/engine/size.c \
  vm/engine/snappy.c vm/engine/stream.c vm/engine/text.c vm/engine/times.c vm/engine/writer.c \
  vm/engine/zones.c vm/estimator.h vm/exec.h vm/exec/answer.c vm/exec/answer.h vm/exec/channel.c \
  vm/exec/channel.h vm/exec/cols.c vm/exec/cols.h vm/exec/cut.c vm/exec/cut.h vm/exec/exec.c \
  vm/exec/home.c vm/exec/home.h vm/exec/home_files.c vm/exec/jobset.c vm/exec/jobset.h vm/exec/kept.c \
  vm/exec/local.c vm/exec/local.h vm/exec/local_plan.c vm/exec/loopback.c vm/exec/mirror.c vm/exec/shelf.c \
  vm/exec/shelf.h vm/exec/site.c vm/exec/spark.c vm/exec/spark_parts.h vm/exec/spark_source.c \
  vm/exec/store.c vm/exec/store.h vm/exec/task.c vm/exec/task.h vm/exec/tree.c vm/exec/tree.h \
  vm/exec/worker.c vm/exec/worker.h vm/exec/written.c vm/fitted.c vm/fitted.h vm/interp.h \
  vm/interp/calendar.h vm/interp/form.c vm/interp/hash_8.h vm/interp/interp.c vm/interp/layout.c \
  vm/interp/matrix.c vm/interp/op.h vm/interp/op_check.c vm/interp/op_cmp.c vm/interp/op_const.c \
  vm/interp/op_curve.c vm/interp/op_dict.c vm/interp/op_key.c vm/interp/op_num.c vm/interp/op_sparse.c \
  vm/interp/op_str.c vm/interp/op_text.c vm/interp/op_time.c vm/interp/op_vec.c vm/interp/op_vector.c \
  vm/interp/parts.h vm/interp/shape.c vm/interp/step.c vm/interp/words.c vm/interp/words.h \
  vm/interp/words_512.c vm/ir.h vm/ir/kept.c vm/ir/names.h vm/ir/ops.c vm/ir/print.c vm/ir/read.c \
  vm/ir/same.c vm/ir/verify.c vm/ir/zone.c vm/jit.h vm/jit/code.h vm/jit/divide.h vm/jit/nodes.c \
  vm/jit/parts.h vm/jit/plan.c vm/jit/run.c vm/jit/service.c vm/notes.c vm/notes.h vm/ops.def vm/ops.h \
  vm/paired.h vm/run.h vm/run/digest.c vm/run/eval.c vm/run/paired.c vm/run/parts.h vm/run/run.c \
  vm/run/scan.c vm/run/score.c vm/run/train.c vm/score.h vm/shape.h vm/site.h vm/spark.h vm/written.h
libkernel_a_SOURCES = \
  vm/kernel/chance.c vm/kernel/chance.h vm/kernel/dot.c vm/kernel/dot.h vm/kernel/lanes.c \
  vm/kernel/lanes.h vm/kernel/math.c vm/kernel/math.h vm/kernel/math_inline.h vm/kernel/math_trig.h \
  vm/kernel/rows.c vm/kernel/rows.h
libkernel_a_CFLAGS = $(AM_CFLAGS) $(KERNEL_CFLAGS)

# The JIT compiler: opened by the program, so it has its own copy of what it needs of base. Made as a program, since there is no libtool here.
jit_sources = \
  vm/jit/llvm/calendar.c vm/jit/llvm/emit.h vm/jit/llvm/group.c vm/jit/llvm/module.c vm/jit/llvm/steps.c \
  vm/jit/llvm/tables.c
if HAVE_LLVM
jitdir = $(pkglibdir)
jit_PROGRAMS = libcml-jit.so
libcml_jit_so_SOURCES = $(jit_sources) base/arena.c base/err.c base/mem.c
libcml_jit_so_CPPFLAGS = $(AM_CPPFLAGS) -isystem $(LLVM_INCLUDE)
libcml_jit_so_LDFLAGS = $(AM_LDFLAGS) -shared $(LLVM_LDFLAGS)
libcml_jit_so_LDADD = $(LLVM_LIBS)
endif
vm_extra = \
  vm/README.md vm/engine/README.md vm/exec/README.md vm/jit/README.md vm/kernel/README.md
EXTRA_DIST += $(vm_extra)
