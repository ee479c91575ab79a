// SPDX-License-Identifier: Apache-2.0
// The head of a record (vm/engine.h): what Java knows of its bytes.
//   u32 kind: 1 columns, 2 text, 3 blocks of a file (behind the head: u64 handle of Fetch); u32 ordinal of the file; u64 position of the first row; u32 n; u32 flags
package cml.spark;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

final class Records {
  static final int COLUMNS = 1, HEAD = 24, GAPS = 1;

  /* Types of columns. */
  static final int BOOL = 1, I8 = 2, I16 = 3, I32 = 4, I64 = 5, F32 = 6, F64 = 7, DATE = 8, TIMESTAMP = 9,
      DECIMAL = 10, STRING = 11;
  private static final int[] WIDTH = {0, 1, 1, 2, 4, 8, 4, 8, 4, 8, 8, 0};

  static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  static final VarHandle LONG =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

  private Records() {}

  static int width(int type) {
    return WIDTH[type];
  }

  /** The next multiple of 8. */
  static int align(int at) {
    return (at + 7) & ~7;
  }

  static void head(byte[] r, int file, long pos, int n) {
    INT.set(r, 0, COLUMNS);
    INT.set(r, 4, file);
    LONG.set(r, 8, pos);
    INT.set(r, 16, n);
  }

  static int kind(byte[] r) {
    return (int) INT.get(r, 0);
  }

  static int file(byte[] r) {
    return (int) INT.get(r, 4);
  }

  static long position(byte[] r) {
    return (long) LONG.get(r, 8);
  }

  static int rows(byte[] r) {
    return (int) INT.get(r, 16);
  }

  static int flags(byte[] r) {
    return (int) INT.get(r, 20);
  }
}
