/* SPDX-License-Identifier: Apache-2.0 */
/* The module's one door, and what makes machine code of a program: build (group.c), optimise, compile for
 * this processor, look up.
 *
 * LLVM 14 to 19, by its C interface only. Pointers are typed or not, as the version has them. Code is written
 * to pages that are writable, which then become executable: never both at once (LLVM's section memory
 * manager).
 *
 * Optimisation is little, since what comes is straight-line vector code already: what lies on the stack goes
 * into registers, and what is loaded twice is loaded once. More passes took time and gained nothing that
 * could be measured. Doubles carry no flags, so nothing that LLVM does changes a bit. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include "vm/jit/llvm/emit.h"

#define REMEDY "Run it with --jit=off, and please report it with the program."

static const char *const passes = "function(sroa,early-cse)";

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool ready;

static void begin(void) {
  ready = !LLVMInitializeNativeTarget() && !LLVMInitializeNativeAsmPrinter();
}

static const char *version(void) {
  return "LLVM " CML_LLVM_VERSION;
}

static Status failed(Err *e, const char *what, LLVMErrorRef error) {
  char *text = LLVMGetErrorMessage(error);
  err_set(e, ST_FAULT, "CML0616", REMEDY, "the JIT compiler failed: %s: %s", what, text);
  LLVMDisposeErrorMessage(text);
  return e->code;
}

/* ---- The machine ---- */

static LLVMTargetMachineRef this_machine(Err *e) {
  char *triple = LLVMGetDefaultTargetTriple(), *cpu = LLVMGetHostCPUName(),
       *features = LLVMGetHostCPUFeatures(), *why = NULL;
  LLVMTargetRef target = NULL;
  LLVMTargetMachineRef tm = NULL;
  if (LLVMGetTargetFromTriple(triple, &target, &why)) {
    err_set(e, ST_RESOURCE, "CML0514", "Run it with --jit=off.",
            "the JIT compiler does not know this machine: %s", why);
    LLVMDisposeMessage(why);
  } else {
    tm = LLVMCreateTargetMachine(target, triple, cpu, features, LLVMCodeGenLevelDefault, LLVMRelocDefault,
                                 LLVMCodeModelJITDefault);
    if (!tm)
      err_set(e, ST_RESOURCE, "CML0514", "Run it with --jit=off.",
              "the JIT compiler cannot make code for this machine");
  }
  LLVMDisposeMessage(triple);
  LLVMDisposeMessage(cpu);
  LLVMDisposeMessage(features);
  return tm;
}

/* ---- From a module to code ---- */

static Status optimise(LLVMModuleRef m, LLVMTargetMachineRef tm, Err *e) {
  char *why = NULL;
  if (LLVMVerifyModule(m, LLVMReturnStatusAction, &why))
    err_set(e, ST_FAULT, "CML0616", REMEDY, "the JIT compiler made code that is not valid: %s", why);
  LLVMDisposeMessage(why);
  if (e->code != ST_OK)
    return e->code;
  LLVMPassBuilderOptionsRef o = LLVMCreatePassBuilderOptions();
  LLVMErrorRef error = LLVMRunPasses(m, passes, tm, o);
  LLVMDisposePassBuilderOptions(o);
  return error ? failed(e, "passes", error) : ST_OK;
}

/* Takes the context and what is in it. */
static Status generate(LLVMOrcThreadSafeContextRef c, LLVMModuleRef m, uint32_t n, JitNative *out,
                       LLVMTargetMachineRef tm, Err *e) {
  LLVMOrcLLJITBuilderRef b = LLVMOrcCreateLLJITBuilder();
  LLVMOrcLLJITBuilderSetJITTargetMachineBuilder(b, LLVMOrcJITTargetMachineBuilderCreateFromTargetMachine(tm));
  LLVMOrcLLJITRef jit = NULL;
  LLVMErrorRef error = LLVMOrcCreateLLJIT(&jit, b);
  if (error) {
    LLVMDisposeModule(m);
    LLVMOrcDisposeThreadSafeContext(c);
    return failed(e, "start", error);
  }
  out->owned = jit;
  LLVMOrcThreadSafeModuleRef safe = LLVMOrcCreateNewThreadSafeModule(m, c);
  LLVMOrcDisposeThreadSafeContext(c); /* the module holds it */
  error = LLVMOrcLLJITAddLLVMIRModule(jit, LLVMOrcLLJITGetMainJITDylib(jit), safe);
  if (error) {
    LLVMOrcDisposeThreadSafeModule(safe);
    return failed(e, "module", error);
  }
  for (uint32_t k = 0; k < n; k++) {
    char name[24];
    LLVMOrcExecutorAddress at = 0;
    snprintf(name, sizeof name, "g%u", k);
    if ((error = LLVMOrcLLJITLookup(jit, &at, name)))
      return failed(e, "code", error);
    memcpy(&out->fn[k], &at, sizeof at);
  }
  return ST_OK;
}

static void release(JitNative *n) {
  if (n->owned) {
    LLVMErrorRef error = LLVMOrcDisposeLLJIT(n->owned);
    if (error)
      LLVMConsumeError(error);
  }
  mem_free(n->fn);
  mem_free(n->scratch);
  memset(n, 0, sizeof *n);
}

static Status compile(const JitProg *p, JitNative *out, Err *e) {
  memset(out, 0, sizeof *out);
  pthread_once(&once, begin);
  if (!ready)
    return err_set(e, ST_RESOURCE, "CML0514", "Run it with --jit=off.",
                   "the JIT compiler does not know this machine");
  LLVMTargetMachineRef tm = this_machine(e);
  if (!tm)
    return e->code;
  out->fn = mem_alloc((p->ngroup + (size_t)1) * sizeof *out->fn);
  out->scratch = mem_alloc((p->ngroup + (size_t)1) * sizeof *out->scratch);
  if (!out->fn || !out->scratch) {
    LLVMDisposeTargetMachine(tm);
    release(out);
    return err_memory(e);
  }
  LLVMOrcThreadSafeContextRef safe = LLVMOrcCreateNewThreadSafeContext();
  LLVMContextRef c = LLVMOrcThreadSafeContextGetContext(safe);
  LLVMModuleRef m = LLVMModuleCreateWithNameInContext("cml", c);
  LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(tm);
  char *triple = LLVMGetTargetMachineTriple(tm);
  LLVMSetModuleDataLayout(m, layout);
  LLVMSetTarget(m, triple);
  LLVMDisposeMessage(triple);
  LLVMDisposeTargetData(layout);
  if (emit_program(c, m, p, out->scratch, e) == ST_OK && optimise(m, tm, e) == ST_OK) {
    generate(safe, m, p->ngroup, out, tm, e); /* and the machine */
  } else {
    LLVMDisposeModule(m);
    LLVMOrcDisposeThreadSafeContext(safe);
    LLVMDisposeTargetMachine(tm);
  }
  if (e->code != ST_OK)
    release(out);
  return e->code;
}

extern const JitModule cml_jit_module;
__attribute__((visibility("default"))) const JitModule cml_jit_module = {
    .abi = JIT_ABI,
    .version = version,
    .compile = compile,
    .release = release,
};
