# SPDX-License-Identifier: Apache-2.0
# lang: from text to a checked tree. flex and bison write lex.c, parse.c and parse.h into the build directory.

noinst_LIBRARIES += liblang.a
liblang_a_SOURCES = \
  lang/ast.h lang/ast_text.c lang/brackets.c lang/brackets.h lang/build.c lang/catalog.h lang/check.c \
  lang/check.h lang/check_best.c lang/check_call.c lang/check_data.c lang/check_eval.c lang/check_export.c \
  lang/check_expr.c lang/check_features.c lang/check_fn.c lang/check_model.c lang/check_native.c \
  lang/check_source.c lang/check_split.c lang/check_terms.c lang/check_vector.c lang/check_vs.c \
  lang/diag.c lang/diag.def lang/diag.h lang/fmt.c lang/layout.c lang/lex.l lang/native.c lang/native.h \
  lang/node.c lang/node.h lang/parse.y lang/read.c lang/scope.c lang/scope.h lang/source.c lang/source.h \
  lang/syntax.h lang/tree.c lang/tree.h lang/tree_text.c lang/tree_text.h lang/type.c lang/type.h \
  lang/use.c
BUILT_SOURCES += lang/parse.h
lang_extra = \
  lang/README.md
EXTRA_DIST += $(lang_extra)
