// SPDX-License-Identifier: Apache-2.0
// Frames over the socket to cmlc: u32 n = the bytes that follow, u8 kind, body; little-endian. Reading is one
// thread's; any thread may send. The kinds are those of vm/exec/channel.h.
package cml.spark;

import java.io.EOFException;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

final class Channel implements AutoCloseable {
  /* From cmlc. */
  static final int OPEN = 1, SOURCE = 2, PUT = 3, REDUCE = 4, WRITE = 5, DROP = 6, FILES = 7, RANGE = 8,
      SCHEMA = 9, CANCEL = 10, BYE = 11, PLAIN = 12, TAILS = 13;
  /* To cmlc. */
  static final int OK = 0, ERROR = 1, PROGRESS = 2, NOTE = 3, ROWS = 4;

  record Frame(int kind, byte[] body) {}

  private final SocketChannel socket;

  Channel(String path) throws IOException {
    socket = SocketChannel.open(UnixDomainSocketAddress.of(Path.of(path)));
  }

  private byte[] read(int n) throws IOException {
    ByteBuffer b = ByteBuffer.allocate(n);
    while (b.hasRemaining()) {
      if (socket.read(b) < 0) throw new EOFException();
    }
    return b.array();
  }

  Frame receive() throws IOException {
    ByteBuffer head = ByteBuffer.wrap(read(5)).order(ByteOrder.LITTLE_ENDIAN);
    int n = head.getInt();
    if (n < 1) throw new IOException("a frame of " + Integer.toUnsignedString(n) + " bytes");
    return new Frame(head.get() & 0xff, read(n - 1));
  }

  synchronized void send(int kind, Out body) throws IOException {
    long n = 1;
    List<ByteBuffer> all = new ArrayList<>();
    ByteBuffer head = ByteBuffer.allocate(5).order(ByteOrder.LITTLE_ENDIAN);
    all.add(head);
    for (ByteBuffer part : body.parts()) {
      n += part.remaining();
      all.add(part);
    }
    if (n > Integer.MAX_VALUE) {
      throw new CmlException(CmlException.RESOURCE, "CML0532", "", "an answer of " + n
          + " bytes is too large to be handed over", "");
    }
    head.putInt((int) n).put((byte) kind).flip();
    ByteBuffer[] parts = all.toArray(new ByteBuffer[0]);
    for (int first = 0; first < parts.length; ) {
      socket.write(parts, first, Math.min(parts.length - first, 1024));
      while (first < parts.length && !parts[first].hasRemaining()) first++;
    }
  }

  @Override
  public void close() throws IOException {
    socket.close();
  }
}
