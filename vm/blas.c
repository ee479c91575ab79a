/* SPDX-License-Identifier: Apache-2.0 */
/* Opening OpenBLAS. The table below is the only thing in the process that is set once and for all: a
 * loaded library is that, too. */
#include "vm/blas.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static Blas table;
static bool loaded;
static char reason[256];
static char first[PATH_MAX - 32]; /* the folder to look into first */

void blas_folder(const char *folder) {
  if (strlen(folder) < sizeof first)
    strcpy(first, folder);
}

static void *open_in_first(const char *name) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", first, name);
  return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

/* A loaded library is found by the name that others need it by, so what OpenBLAS needs is loaded before it.
 * One that is not in the folder is the system's. */
static void *open_library(void) {
  void *lib = NULL;
  if (first[0]) {
    open_in_first("libquadmath.so.0");
    open_in_first("libgfortran.so.5");
    lib = open_in_first("libopenblas.so.0");
  }
  return lib ? lib : dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
}

/* POSIX lets dlsym's object pointer be copied into a function pointer; C does not have the cast. */
static bool symbol(void *lib, const char *name, void *slot) {
  void *f = dlsym(lib, name);
  if (!f) {
    snprintf(reason, sizeof reason, "libopenblas.so.0 has no function %s", name);
    return false;
  }
  memcpy(slot, &f, sizeof f);
  return true;
}

static void load(void) {
  /* Read by the library when it is loaded, never later. Haswell code gives one answer on AVX2 and AVX-512
   * machines and is the fastest for narrow panels. */
  setenv("OPENBLAS_CORETYPE", "Haswell", 1);
  setenv("OPENBLAS_NUM_THREADS", "1", 1);
  void *lib = open_library();
  if (!lib) {
    const char *why = dlerror();
    snprintf(reason, sizeof reason, "OpenBLAS cannot be loaded: %s",
             why ? why : "libopenblas.so.0 was not found");
    return;
  }
  loaded = symbol(lib, "dsyrk_", &table.syrk) && symbol(lib, "dgemm_", &table.gemm) &&
           symbol(lib, "dgemv_", &table.gemv) && symbol(lib, "dpotrf_", &table.potrf) &&
           symbol(lib, "dpotrs_", &table.potrs) && symbol(lib, "dsyevd_", &table.syevd);
}

const Blas *blas_get(Err *e) {
  pthread_once(&once, load);
  if (loaded)
    return &table;
  err_set(e, ST_RESOURCE, "CML0513", "Install OpenBLAS (on Debian the package libopenblas0).", "%s", reason);
  return NULL;
}
