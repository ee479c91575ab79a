# SPDX-License-Identifier: Apache-2.0
# tests: unit tests (each links its layer and those below), the runners of the golden, example and oracle tests,
# and the fuzz targets replayed over their seeds. Everything speaks TAP.

unit_tests = \
  tests/unit/test_agg tests/unit/test_agg_order tests/unit/test_agg_vector tests/unit/test_bundle \
  tests/unit/test_check tests/unit/test_cols tests/unit/test_descent tests/unit/test_digest \
  tests/unit/test_dot tests/unit/test_engine tests/unit/test_engine_csv tests/unit/test_engine_json \
  tests/unit/test_engine_threads tests/unit/test_exec tests/unit/test_fit_anywhere tests/unit/test_fitted \
  tests/unit/test_fmt tests/unit/test_inference tests/unit/test_interp tests/unit/test_interp_ops \
  tests/unit/test_jit tests/unit/test_kmeans tests/unit/test_lanes tests/unit/test_linear \
  tests/unit/test_logistic tests/unit/test_math tests/unit/test_matrix tests/unit/test_mem \
  tests/unit/test_metric tests/unit/test_multinomial tests/unit/test_newton tests/unit/test_notes \
  tests/unit/test_num tests/unit/test_paired tests/unit/test_parquet tests/unit/test_parquet_write \
  tests/unit/test_parse tests/unit/test_passes tests/unit/test_penalties tests/unit/test_records \
  tests/unit/test_run tests/unit/test_runs tests/unit/test_site tests/unit/test_text tests/unit/test_tree \
  tests/unit/test_wide tests/unit/test_zone
fuzz_replays = \
  tests/fuzz/replay_answer tests/fuzz/replay_bundle tests/fuzz/replay_csv tests/fuzz/replay_fitted \
  tests/fuzz/replay_ir tests/fuzz/replay_parquet tests/fuzz/replay_parser tests/fuzz/replay_partial \
  tests/fuzz/replay_reader tests/fuzz/replay_records

UNIT_LIBS = $(CMOCKA_LIBS)

# layer of each unit test
tests_unit_test_agg_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_agg_order_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_agg_vector_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_bundle_LDADD = $(STDLIB_LIBS) $(UNIT_LIBS)
tests_unit_test_check_LDADD = $(LANG_LIBS) $(UNIT_LIBS)
tests_unit_test_cols_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_descent_LDADD = $(STDLIB_LIBS) $(UNIT_LIBS)
tests_unit_test_digest_LDADD = $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_test_dot_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_engine_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_engine_csv_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_engine_json_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_engine_threads_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_exec_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_fit_anywhere_LDADD = $(STDLIB_LIBS) $(UNIT_LIBS)
tests_unit_test_fitted_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_fmt_LDADD = $(LANG_LIBS) $(UNIT_LIBS)
tests_unit_test_inference_LDADD = $(STDLIB_LIBS) $(UNIT_LIBS)
tests_unit_test_interp_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_interp_ops_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_jit_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_kmeans_LDADD = $(STDLIB_LIBS) $(UNIT_LIBS)
tests_unit_test_lanes_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_linear_LDADD = $(STDLIB_LIBS) $(UNIT_LIBS)
tests_unit_test_logistic_LDADD = $(STDLIB_LIBS) $(UNIT_LIBS)
tests_unit_test_math_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_matrix_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_mem_LDADD = $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_test_metric_LDADD = $(STDLIB_LIBS) $(UNIT_LIBS)
tests_unit_test_multinomial_LDADD = $(STDLIB_LIBS) $(UNIT_LIBS)
tests_unit_test_newton_LDADD = $(STDLIB_LIBS) $(UNIT_LIBS)
tests_unit_test_notes_LDADD = $(STDLIB_LIBS) $(UNIT_LIBS)
tests_unit_test_num_LDADD = $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_test_paired_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_parquet_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_parquet_write_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_parse_LDADD = $(LANG_LIBS) $(UNIT_LIBS)
tests_unit_test_passes_LDADD = $(APP_LIBS) $(UNIT_LIBS)
tests_unit_test_penalties_LDADD = $(STDLIB_LIBS) $(UNIT_LIBS)
tests_unit_test_records_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_run_LDADD = $(STDLIB_LIBS) $(UNIT_LIBS)
tests_unit_test_runs_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_site_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_text_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_tree_LDADD = $(VM_LIBS) $(UNIT_LIBS)
tests_unit_test_wide_LDADD = $(STDLIB_LIBS) $(UNIT_LIBS)
tests_unit_test_zone_LDADD = $(VM_LIBS) $(UNIT_LIBS)

# layer of each fuzz target
tests_fuzz_replay_answer_SOURCES = tests/fuzz/answer.c tests/fuzz/replay.c
tests_fuzz_replay_answer_LDADD = $(VM_LIBS)
tests_fuzz_replay_bundle_SOURCES = tests/fuzz/bundle.c tests/fuzz/replay.c
tests_fuzz_replay_bundle_LDADD = $(STDLIB_LIBS)
tests_fuzz_replay_csv_SOURCES = tests/fuzz/csv.c tests/fuzz/replay.c
tests_fuzz_replay_csv_LDADD = $(VM_LIBS)
tests_fuzz_replay_fitted_SOURCES = tests/fuzz/fitted.c tests/fuzz/replay.c
tests_fuzz_replay_fitted_LDADD = $(STDLIB_LIBS)
tests_fuzz_replay_ir_SOURCES = tests/fuzz/ir.c tests/fuzz/replay.c
tests_fuzz_replay_ir_LDADD = $(VM_LIBS)
tests_fuzz_replay_parquet_SOURCES = tests/fuzz/parquet.c tests/fuzz/replay.c
tests_fuzz_replay_parquet_LDADD = $(VM_LIBS)
tests_fuzz_replay_parser_SOURCES = tests/fuzz/parser.c tests/fuzz/replay.c
tests_fuzz_replay_parser_LDADD = $(LANG_LIBS)
tests_fuzz_replay_partial_SOURCES = tests/fuzz/partial.c tests/fuzz/replay.c
tests_fuzz_replay_partial_LDADD = $(STDLIB_LIBS)
tests_fuzz_replay_reader_SOURCES = tests/fuzz/reader.c tests/fuzz/replay.c
tests_fuzz_replay_reader_LDADD = $(VM_LIBS)
tests_fuzz_replay_records_SOURCES = tests/fuzz/records.c tests/fuzz/replay.c
tests_fuzz_replay_records_LDADD = $(VM_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif
check_PROGRAMS += $(fuzz_replays)

TESTS += tests/layers.sh tests/golden.sh tests/doc.sh tests/laws.sh tests/fuzz.sh tests/examples.sh tests/scans.sh tests/bench.sh tests/oracle.sh

if SPARK
TESTS += tests/spark.sh
endif

if HOSTILE
SMALL_INPUTS = CML_SMALL=1; export CML_SMALL;
endif

LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/unit/run
SH_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_DRIVER_FLAGS = --ignore-exit
SH_LOG_COMPILER = $(SHELL)
TEST_EXTENSIONS = .sh
AM_TESTS_ENVIRONMENT = \
  CML_SRCDIR='$(abs_top_srcdir)'; export CML_SRCDIR; \
  CML_BUILDDIR='$(abs_top_builddir)'; export CML_BUILDDIR; \
  CML_DATA='$(abs_top_srcdir)/examples/data'; export CML_DATA; \
  $(SMALL_INPUTS)

tests/golden.log tests/doc.log tests/laws.log tests/fuzz.log tests/examples.log tests/scans.log tests/bench.log tests/oracle.log tests/spark.log: cmlc$(EXEEXT)
tests/fuzz.log: $(fuzz_replays)

# Make would copy oracle.sh to oracle, a folder that is older: a rule of its own, which this takes away.
%: %.sh

tests_extra = \
  examples/airports examples/cars examples/flights examples/movies examples/penguins examples/weather \
  tests/README.md tests/bench.sh tests/catalogue.sh tests/doc tests/doc.sh tests/examples.sh tests/fuzz.sh \
  tests/fuzz/parquet.dict tests/fuzz/seeds tests/fuzz/seeds.sh tests/golden tests/golden.sh tests/laws \
  tests/laws.sh tests/layers.sh tests/lsan.supp tests/oracle tests/oracle.sh tests/scans.sh tests/spark \
  tests/spark.sh tests/tsan.supp tests/unit/agg_kit.h tests/unit/engine_data.h tests/unit/exec_passes.h \
  tests/unit/interp_kit.h tests/unit/linear_oracle.h tests/unit/linear_reference.h tests/unit/scan.h \
  tests/unit/site_program.h tests/unit/sites.h tests/valgrind.supp
EXTRA_DIST += $(tests_extra) tests/unit/run
