// SPDX-License-Identifier: Apache-2.0
// An error as cmlc reports it: a status of base/err.h, the id of its page, where, cause and remedy. What is
// thrown in a task comes to the driver as it is.
package cml.spark;

class CmlException extends RuntimeException {
  static final int DATA = 4, RESOURCE = 5, FAULT = 6, CANCEL = 7;

  final int status;
  final String id, where, cause, remedy;

  CmlException(int status, String id, String where, String cause, String remedy) {
    super((where.isEmpty() ? "" : where + ": ") + cause);
    this.status = status;
    this.id = id;
    this.where = where;
    this.cause = cause;
    this.remedy = remedy;
  }

  /** Would another attempt end in the same way? */
  boolean isFinal() {
    return status != RESOURCE;
  }

  /** The first one among `t` and its causes, or null. */
  static CmlException in(Throwable t) {
    for (int depth = 0; t != null && depth < 32; depth++, t = t.getCause()) {
      if (t instanceof CmlException e) return e;
    }
    return null;
  }
}
