// SPDX-License-Identifier: Apache-2.0
// What native code reports: an Err of base/err.h. Made by spark/jni.c.
package cml.spark;

final class NativeException extends CmlException {
  NativeException(int status, String id, String where, String cause, String remedy) {
    super(status, id, where, cause, remedy);
  }
}
