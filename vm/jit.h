/* SPDX-License-Identifier: Apache-2.0 */
/* The JIT: machine code for row programs, made beside the interpreter.
 *
 * A Jit belongs to one run and is shared by its workers. A worker tells it of each program it has (interp_jit
 * of interp.h); the code is made once, by one thread in the background, while panels are interpreted, and
 * taken at the border of a panel when it is there. What comes out has the interpreter's bits in every case,
 * so nothing depends on when that is.
 *
 * JIT_AUTO makes code where it promises to pay: rows x steps, of the rows that are expected or were already
 * seen (JIT_PAYS). JIT_FORCE makes it before the first panel, and fails where that cannot be. The compiler is
 * a module of its own that is loaded when code is first wanted; where it is absent JIT_AUTO interprets. */
#ifndef VM_JIT_H
#define VM_JIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef enum JitMode { JIT_AUTO, JIT_OFF, JIT_FORCE } JitMode;
int jit_mode_of(const char *name); /* "auto", "force", "off"; -1 */

enum {
  JIT_PAYS = 200000000, /* rows x compiled steps */
  JIT_STEPS = 3,       /* fewer are left to the interpreter, unless forced */
  JIT_ROOM = 192 << 20, /* bytes: the compiler takes 70 MB of them */
};

typedef struct Jit Jit;
/* JIT_FORCE: loads the module. JIT_OFF, and JIT_AUTO in a run that may take less memory than JIT_ROOM: *out
 * is NULL, which all functions take. */
Status jit_open(JitMode mode, uint64_t memory, Jit **out, Err *e);
void jit_close(Jit *j);  /* behind the last Interp; waits for the thread */
Jit *jit_in_child(
    const Jit *parent); /* after a fork: the same mode, nothing compiled; NULL: off, or no memory */

void jit_expect(Jit *j, uint32_t program, uint64_t rows); /* so many rows will come to it; 0: not known */
void jit_forget(Jit *j); /* fitted values have changed: what follows is compiled anew */

typedef struct JitStats {
  uint32_t programs;    /* compiled */
  uint32_t steps;       /* of them */
  double seconds;       /* of compiling, in the thread */
  uint64_t compiled;    /* panels by compiled code, */
  uint64_t interpreted; /* by the interpreter, of programs that the JIT takes, */
  uint64_t again;       /* of these: compiled code met a bad row */
  char failed[200];     /* why nothing was compiled, or "" */
} JitStats;
JitStats jit_stats(Jit *j);

bool jit_installed(char *version,
                   uint32_t n); /* is the module there? "JIT with LLVM 14.0.6"; loads nothing */

#endif
