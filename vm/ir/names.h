/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the IR's text form that printer and reader share. */
#ifndef VM_IR_NAMES_H
#define VM_IR_NAMES_H

#include "base/buf.h"
#include "vm/ir.h"

enum { IR_TYPES = 11, IR_ROLES = 8, IR_STAGES = 9 };
extern const char *const ir_type_name[IR_TYPES];   /* by IrType */
extern const char *const ir_role_name[IR_ROLES];   /* by OutRole */
extern const char *const ir_stage_name[IR_STAGES]; /* by StageKind */

#endif
