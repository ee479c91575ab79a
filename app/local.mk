# SPDX-License-Identifier: Apache-2.0
# app: the program cmlc. All but its main is a library, so that tests can link it.

bin_PROGRAMS += cmlc
cmlc_SOURCES = app/main.c
noinst_LIBRARIES += libapp.a
libapp_a_SOURCES = \
  app/app.h app/args.c app/aside.c app/catalog.c app/cmd_check.c app/cmd_doc.c app/cmd_explain.c \
  app/cmd_fmt.c app/cmd_predict.c app/cmd_run.c app/cmd_schema.c app/cmd_verify.c app/cmd_version.c \
  app/codes.c app/codes.def app/compile.c app/diagnostics.c app/execute.c app/execute.h app/explain_json.c \
  app/explain_json.h app/json.c app/outputs.c app/progress.c app/progress.h app/remote.c app/remote.h \
  app/report.c app/report.h app/report_model.c app/verify.c app/verify.h
cmlc_LDADD = $(APP_LIBS)
app_extra = \
  app/README.md
EXTRA_DIST += $(app_extra)
