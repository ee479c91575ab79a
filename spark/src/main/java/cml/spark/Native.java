// SPDX-License-Identifier: Apache-2.0
// The native library as Java sees it: vm/site.h through spark/jni.c. Requests, results and records are
// bytes that only native code reads, but for the head of a record (Record.java) and the first word of a
// result (troubled()). Every one may throw NativeException; what the iterator of records throws goes through
// unchanged. Load the library first: Library.java.
package cml.spark;

import java.io.InputStream;
import java.util.Iterator;

final class Native {
  private Native() {}

  /** Positions of a block. */
  static native int block();

  /** One Site per JVM and application. */
  static native long open(byte[] program, long memory, String spillDir);

  static native void close(long site);

  /** kind 0: the fitted value `id`; kind 1: the source of stage `id`. */
  static native void put(long site, int kind, int id, long version, byte[] value);

  /** The version that is there; 0: none. */
  static native long version(long site, int kind, int id);

  static native byte[] scan(long site, byte[] request, int part, Iterator<byte[]> records);

  /** Several results of neighbours, in order, to one. */
  static native byte[] merge(long site, byte[] request, byte[][] results);

  /** A writer: rows to be written, as records. */
  static native long write(long site, byte[] request, int part, Iterator<byte[]> records);

  /** A record of columns; null: the end. */
  static native byte[] writeNext(long writer);

  /** The result of a writer, which is gone then: to be called once, after a failure too. */
  static native byte[] writeEnd(long writer);

  /** A text file to records; `in` gives its bytes as they are stored, even when compressed. */
  static native long split(long site, int stage, int file, String path, InputStream in);

  /** Reads all and counts. */
  static native long splitRows(long splitter);

  /** A record of text, of one block; null: the end. */
  static native byte[] splitNext(long splitter);

  static native void splitEnd(long splitter);

  static native void drop(long site, int stage);

  /** Bytes in memory, bytes spilled, blocks. */
  static native long[] held(long site);

  /** Does a result tell of bad rows? Its first word counts the kinds of trouble. */
  static boolean troubled(byte[] result) {
    return result.length >= 4 && (result[0] | result[1] | result[2] | result[3]) != 0;
  }
}
