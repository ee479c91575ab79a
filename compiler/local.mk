# SPDX-License-Identifier: Apache-2.0
# compiler: from the checked tree to a program: IR, passes, emitters.

noinst_LIBRARIES += libcompiler.a
libcompiler_a_SOURCES = \
  compiler/const.c compiler/each.c compiler/estimate.c compiler/estimate.h compiler/explain.c \
  compiler/explain.h compiler/explain_cost.c compiler/explain_dot.c compiler/explain_spark.c \
  compiler/lower.c compiler/lower.h compiler/lower_data.c compiler/lower_parts.h compiler/pass.c \
  compiler/pass.h compiler/pass/cse.c compiler/pass/dead.c compiler/pass/fold.c compiler/pass/keep.c \
  compiler/pass/project.c compiler/pass/pushdown.c compiler/pass/share.c compiler/pass/simplify.c \
  compiler/passes.def compiler/phase.c compiler/prog.c compiler/remarks.c compiler/remarks.h \
  compiler/show.c
compiler_extra = \
  compiler/README.md
EXTRA_DIST += $(compiler_extra)
