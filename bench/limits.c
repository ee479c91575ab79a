/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine can do, on as many threads as the argument says (1): how fast memory is read, and how many
 * floating-point operations a second its vector units do. Printed as one JSON object; bench/run holds its workloads
 * against it. Built by bench/run for the processor at hand (-O3 -march=native).
 *
 * Reading: each thread sums its own 256 MB. Flops: each thread multiplies and adds in registers alone, twelve
 * independent chains of vectors. The best of several rounds counts, since others may be at work on the machine. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WORDS = 1 << 25, ROUNDS = 7, CHAINS = 12, STEPS = 4000000, MAX_THREADS = 256 };

typedef double Vec64 __attribute__((vector_size(64)));
typedef float Vec32 __attribute__((vector_size(64)));

typedef struct Worker {
  pthread_t thread;
  double *words;
  double sum; /* kept, so that no work is left out as unused */
} Worker;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *fill(void *arg) {
  Worker *w = arg;
  for (size_t i = 0; i < WORDS; i++) w->words[i] = (double)i;
  return NULL;
}

static void *read_all(void *arg) {
  Worker *w = arg;
  const Vec64 *v = (const Vec64 *)(const void *)w->words;
  Vec64 s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
  for (size_t i = 0; i < WORDS / 8; i += 4) {
    s0 += v[i];
    s1 += v[i + 1];
    s2 += v[i + 2];
    s3 += v[i + 3];
  }
  s0 += s1 + s2 + s3;
  for (int i = 0; i < 8; i++) w->sum += s0[i];
  return NULL;
}

#define MULTIPLY_ADD(NAME, VEC, LANES)                      \
  static void *NAME(void *arg) {                            \
    Worker *w = arg;                                        \
    VEC a[CHAINS], by, plus;                                \
    for (int j = 0; j < LANES; j++) {                       \
      by[j] = 0.999f;                                       \
      plus[j] = 0.001f;                                     \
      for (int i = 0; i < CHAINS; i++) a[i][j] = (float)i;  \
    }                                                       \
    for (int s = 0; s < STEPS; s++) {                       \
      _Pragma("GCC unroll 12")                              \
      for (int i = 0; i < CHAINS; i++) a[i] = a[i] * by + plus; \
    }                                                       \
    for (int i = 0; i < CHAINS; i++) w->sum += (double)a[i][0]; \
    return NULL;                                            \
  }

MULTIPLY_ADD(flops64, Vec64, 8)
MULTIPLY_ADD(flops32, Vec32, 16)

/* Seconds of the fastest round in which all workers run `task`. */
static double fastest(Worker *workers, int n, void *(*task)(void *)) {
  double best = 1e30;
  for (int round = 0; round < ROUNDS; round++) {
    double begun = now();
    for (int i = 1; i < n; i++) {
      if (pthread_create(&workers[i].thread, NULL, task, &workers[i]) != 0) exit(1);
    }
    task(&workers[0]);
    for (int i = 1; i < n; i++) pthread_join(workers[i].thread, NULL);
    double seconds = now() - begun;
    if (seconds < best) best = seconds;
  }
  return best;
}

int main(int argc, char **argv) {
  int n = argc > 1 ? atoi(argv[1]) : 1;
  if (n < 1 || n > MAX_THREADS) return 2;
  Worker *workers = calloc((size_t)n, sizeof *workers);
  if (!workers) return 1;
  for (int i = 0; i < n; i++) {
    workers[i].words = aligned_alloc(64, sizeof(double) * WORDS);
    if (!workers[i].words) return 1;
    fill(&workers[i]);
  }
  double bytes = (double)n * sizeof(double) * WORDS, ops = (double)n * STEPS * CHAINS * 2;
  double read = bytes / fastest(workers, n, read_all);
  double f64 = ops * 8 / fastest(workers, n, flops64), f32 = ops * 16 / fastest(workers, n, flops32);
  double sum = 0;
  for (int i = 0; i < n; i++) sum += workers[i].sum;
  printf("{\"threads\": %d, \"bytes\": %.4g, \"flops64\": %.4g, \"flops32\": %.4g, \"check\": %.3g}\n", n, read, f64, f32, sum);
  return 0;
}
