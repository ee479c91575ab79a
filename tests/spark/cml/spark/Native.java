// SPDX-License-Identifier: Apache-2.0
// Stands in for the native library in test_frames.py: results are the very records that came, so that what
// Java made is seen; behind a record of kind 3 are the bytes of its file. A request is a word:
//   records   the result: u32 0, u32 n, n times {u32 length, record}
//   bad       as that, but the first word is 1: bad rows
//   data      a final error; twice: an error of one attempt, which is made again (a file says that)
//   sleep     waits half a minute
package cml.spark;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

final class Native {
  private static final int BLOCK = 5000;
  private static final Map<Long, Long> version = new ConcurrentHashMap<>();
  private static final Map<Long, Object> handles = new ConcurrentHashMap<>();
  private static final AtomicLong last = new AtomicLong();

  private Native() {}

  static int block() {
    return BLOCK;
  }

  static long open(byte[] program, long memory, String spillDir) {
    if (!new File(spillDir).isDirectory()) throw new IllegalStateException("no folder " + spillDir);
    return 1;
  }

  static void close(long site) {}

  static void put(long site, int kind, int id, long v, byte[] value) {
    version.put((long) kind << 32 | id, v);
  }

  static long version(long site, int kind, int id) {
    return version.getOrDefault((long) kind << 32 | id, 0L);
  }

  private static long handle(Object o) {
    long h = last.incrementAndGet();
    handles.put(h, o);
    return h;
  }

  private static ByteBuffer buffer(int n) {
    return ByteBuffer.allocate(n).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static byte[] pack(int trouble, List<byte[]> all) {
    ByteBuffer b = buffer(8 + all.stream().mapToInt(r -> 4 + r.length).sum()).putInt(trouble).putInt(all.size());
    for (byte[] r : all) b.putInt(r.length).put(r);
    return b.array();
  }

  private static List<byte[]> unpack(byte[] result) {
    ByteBuffer b = ByteBuffer.wrap(result).order(ByteOrder.LITTLE_ENDIAN).position(4);
    List<byte[]> all = new ArrayList<>();
    for (int n = b.getInt(); n > 0; n--) {
      byte[] r = new byte[b.getInt()];
      b.get(r);
      all.add(r);
    }
    return all;
  }

  static byte[] scan(long site, byte[] request, int part, Iterator<byte[]> records) {
    String word = new String(request, StandardCharsets.UTF_8);
    if (word.equals("data")) throw new NativeException(4, "CML0401", "f.csv, record 3", "it is bad", "Mend it.");
    if (word.equals("resource")) throw new NativeException(5, "CML0501", "", "out of memory", "Give more.");
    try {
      if (word.startsWith("twice") && new File(word.substring(5)).createNewFile()) {
        throw new NativeException(5, "CML0501", "", "out of memory", "");
      }
      if (word.equals("sleep")) Thread.sleep(30_000);
    } catch (IOException | InterruptedException e) {
      throw new IllegalStateException(e);
    }
    List<byte[]> all = new ArrayList<>();
    records.forEachRemaining(r -> all.add(Records.kind(r) == 3 ? whole(r) : r));
    return pack(word.equals("bad") ? 1 : 0, all);
  }

  /* What native code does with a run: it asks for bytes, here for all, in odd pieces. */
  private static byte[] whole(byte[] record) {
    ByteBuffer head = ByteBuffer.wrap(record).order(ByteOrder.LITTLE_ENDIAN);
    long handle = head.getLong(24), size = head.getLong(32);
    ByteBuffer all = buffer(record.length + (int) size).put(record);
    for (int at = 0, n; at < size; at += n) {
      n = (int) Math.min(size - at, 1 + at % 3001);
      all.put(Fetch.read(handle, at, n), 0, n);
    }
    return all.array();
  }

  static byte[] merge(long site, byte[] request, byte[][] results) {
    List<byte[]> all = new ArrayList<>();
    for (byte[] r : results) all.addAll(unpack(r));
    return pack(0, all);
  }

  static long write(long site, byte[] request, int part, Iterator<byte[]> records) {
    return handle(new Object[] {records, request});
  }

  @SuppressWarnings("unchecked")
  static byte[] writeNext(long writer) {
    Iterator<byte[]> it = (Iterator<byte[]>) ((Object[]) handles.get(writer))[0];
    return it.hasNext() ? it.next() : null;
  }

  static byte[] writeEnd(long writer) {
    byte[] request = (byte[]) ((Object[]) handles.remove(writer))[1];
    return pack(new String(request, StandardCharsets.UTF_8).equals("bad") ? 1 : 0, List.of());
  }

  /* Lines, BLOCK in a record. */
  static long split(long site, int stage, int file, String path, InputStream in) {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    try {
      in.transferTo(all);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
    List<byte[]> records = new ArrayList<>();
    String[] line = all.size() == 0 ? new String[0] : all.toString(StandardCharsets.UTF_8).split("\n");
    for (int at = 0; at < line.length; at += BLOCK) {
      int n = Math.min(BLOCK, line.length - at);
      byte[] text = String.join("\n", List.of(line).subList(at, at + n)).getBytes(StandardCharsets.UTF_8);
      records.add(buffer(24 + text.length).putInt(2).putInt(file).putLong(at).putInt(n).putInt(0).put(text).array());
    }
    return handle(records.iterator());
  }

  @SuppressWarnings("unchecked")
  static byte[] splitNext(long splitter) {
    Iterator<byte[]> it = (Iterator<byte[]>) handles.get(splitter);
    return it.hasNext() ? it.next() : null;
  }

  static long splitRows(long splitter) {
    long n = 0;
    for (byte[] r; (r = splitNext(splitter)) != null; ) n += Records.rows(r);
    return n;
  }

  static void splitEnd(long splitter) {
    handles.remove(splitter);
  }

  static void drop(long site, int stage) {
    version.remove(1L << 32 | stage);
  }

  static long[] held(long site) {
    return new long[3];
  }

  static boolean troubled(byte[] result) {
    return result[0] != 0;
  }
}
