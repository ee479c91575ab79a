/* SPDX-License-Identifier: Apache-2.0 */
/* The program that one site runs in tests and for the fuzzer: a source of three columns, rows of two parts,
 * and a stage of each kind. Its jobs are passes of exec_passes.h. */
#ifndef TESTS_UNIT_SITE_PROGRAM_H
#define TESTS_UNIT_SITE_PROGRAM_H

#include "tests/unit/exec_passes.h"

static const char site_program[] =
    PROGRAM_BEGIN("d.csv")
    "  %11 = cast.i64.f64 %0 : f64\n"
    "  %12 = gt.f64 %1 %11 : b?\n"
    "  out column \"id\" int %0\n"
    "  out column \"x\" float %1\n"
    "  out column \"k\" category %2\n"
    "  out column \"is\" bool %12\n"
    "  out part %10\n"
    "  out weight %11\n"
    "  parts \"train\" \"test\"\n"
    "}\n"
    "fit \"d.fit\" from \"d.rows\" part 0 {\n"
    "  %0 = col s=\"x\" : f64?\n"
    "  %1 = col s=\"k\" : str\n"
    "  %2 = const.f64 f=0.5 : f64\n"
    "  %3 = coalesce.f64 %0 %2 : f64\n"
    "  out column \"x\" float %0\n"
    "  out column \"k\" category %1\n"
    "  out column \"\" float %3\n"
    "  level 0\n"
    "  agg $0 mean.f64 arg=%3 \"mean(x)\"\n"
    "}\n"
    "train \"m\" from \"d.rows\" part 0 {\n"
    "  %0 = col s=\"x\" : f64?\n"
    "  %1 = fitted.f64 i=0 : f64\n"
    "  %2 = coalesce.f64 %0 %1 : f64\n"
    "  %3 = col s=\"id\" : i64\n"
    "  %4 = cast.i64.f64 %3 : f64\n"
    "  out slot \"x\" %2\n"
    "  out target %4\n"
    "  estimator \"none\"\n"
    "  fitted $1\n"
    "}\n"
    "predict \"p\" from \"d.rows\" part 1 {\n"
    "  %0 = col s=\"id\" : i64\n"
    "  %1 = col s=\"x\" : f64?\n"
    "  %2 = fitted.f64 i=0 : f64\n"
    "  %3 = coalesce.f64 %1 %2 : f64\n"
    "  %4 = col s=\"k\" : str\n"
    "  %5 = col s=\"is\" : b?\n"
    "  out column \"id\" int %0\n"
    "  out column \"x\" float %3\n"
    "  out column \"k\" category %4\n"
    "  out column \"is\" bool %5\n"
    "  path \"out.csv\"\n"
    "}\n";

enum { SOURCE, ROWS_STAGE, FIT, TRAIN, PREDICT };

static const Registry site_registry = {.pass = test_passes};
static const Bytes site_text = {(const uint8_t *)site_program, sizeof site_program - 1};

#endif
