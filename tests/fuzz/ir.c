/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as IR text (the program inside a bundle): an error or a program. What is read prints as text that
 * reads as the same text again; what the verifier accepts can be looked at without harm.
 * */
#include <setjmp.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "vm/ir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Arena arena;
  jmp_buf oom;
  Buf once = {0}, twice = {0};
  Program *program = NULL, *again = NULL;
  Err error;
  if (size > 1 << 16)
    return 0;
  arena_init(&arena, &oom);
  err_clear(&error);
  if (!setjmp(oom) && ir_parse(&arena, (const char *)data, (uint32_t)size, &program, &error) == ST_OK) {
    ir_verify(program, &error);
    ir_print(program, &once);
    err_clear(&error);
    if (ir_parse(&arena, (const char *)once.p, (uint32_t)once.n, &again, &error) != ST_OK)
      __builtin_trap(); /* what was printed cannot be read */
    ir_print(again, &twice);
    if (once.n != twice.n || (once.n && memcmp(once.p, twice.p, once.n) != 0))
      __builtin_trap(); /* printing and reading changed the program */
  }
  buf_free(&once);
  buf_free(&twice);
  arena_free(&arena);
  return 0;
}
