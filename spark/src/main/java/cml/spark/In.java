// SPDX-License-Identifier: Apache-2.0
// Reads the body of a frame: little-endian numbers, texts, blobs. A body that ends too early, or is longer
// than what was read of it, is a fault of the other side.
package cml.spark;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

final class In {
  private static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle LONG =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

  private final byte[] b;
  private int at;

  In(byte[] body) {
    b = body;
  }

  private int take(long n) {
    if (n < 0 || n > b.length - at) {
      throw new CmlException(CmlException.FAULT, "CML0612", "", "a frame ends too early", "");
    }
    int from = at;
    at += (int) n;
    return from;
  }

  int u8() {
    return b[take(1)] & 0xff;
  }

  int u32() {
    return (int) INT.get(b, take(4));
  }

  /** A number of things that are at least `least` bytes each. */
  int count(int least) {
    int n = u32();
    if (n < 0 || (long) n * least > b.length - at) take(-1);
    return n;
  }

  long u64() {
    return (long) LONG.get(b, take(8));
  }

  String str() {
    int n = u32();
    int from = take(Integer.toUnsignedLong(n));
    return new String(b, from, n, StandardCharsets.UTF_8);
  }

  byte[] blob() {
    long n = u64();
    int from = take(n);
    return Arrays.copyOfRange(b, from, from + (int) n);
  }

  void end() {
    if (at != b.length) {
      throw new CmlException(CmlException.FAULT, "CML0612", "", "a frame is longer than its body", "");
    }
  }
}
