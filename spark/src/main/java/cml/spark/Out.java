// SPDX-License-Identifier: Apache-2.0
// Writes the body of a frame: little-endian numbers, texts, blobs. Blobs are not copied: a body is a list of
// parts. Used by one thread.
package cml.spark;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

final class Out {
  private final List<ByteBuffer> parts = new ArrayList<>();
  private ByteBuffer last = ByteBuffer.allocate(256).order(ByteOrder.LITTLE_ENDIAN);

  private ByteBuffer room(int n) {
    if (last.remaining() < n) {
      flush();
      last = ByteBuffer.allocate(Math.max(n, 4096)).order(ByteOrder.LITTLE_ENDIAN);
    }
    return last;
  }

  private void flush() {
    if (last.position() > 0) {
      ByteBuffer rest = last.slice().order(ByteOrder.LITTLE_ENDIAN);
      parts.add(last.flip());
      last = rest;
    }
  }

  Out u8(int v) {
    room(1).put((byte) v);
    return this;
  }

  Out u32(int v) {
    room(4).putInt(v);
    return this;
  }

  Out u64(long v) {
    room(8).putLong(v);
    return this;
  }

  Out str(String s) {
    byte[] b = s.getBytes(StandardCharsets.UTF_8);
    u32(b.length);
    room(b.length).put(b);
    return this;
  }

  Out blob(byte[] b) {
    u64(b.length);
    flush();
    parts.add(ByteBuffer.wrap(b));
    return this;
  }

  Out blobs(byte[][] all) {
    u32(all.length);
    for (byte[] b : all) blob(b);
    return this;
  }

  /** All that was written, in order. */
  List<ByteBuffer> parts() {
    flush();
    return parts;
  }
}
