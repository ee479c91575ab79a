// SPDX-License-Identifier: Apache-2.0
// What every task carries: which libraries to load, the program, and the values that native code must have.
// The values themselves go by broadcast, once to an executor.
package cml.spark;

import java.io.Serializable;
import org.apache.spark.broadcast.Broadcast;

final class App implements Serializable {
  /** A value of Native.put. */
  static final class Value implements Serializable {
    final int kind, id;
    final long version;
    final Broadcast<byte[]> bytes;

    Value(int kind, int id, long version, Broadcast<byte[]> bytes) {
      this.kind = kind;
      this.id = id;
      this.version = version;
      this.bytes = bytes;
    }
  }

  final String[] libraries; // names of files that came with the job
  final Broadcast<byte[]> program;
  final long memory; // of native code in each executor
  final int[] dropped; // stages, in order
  final Value[] values;

  App(String[] libraries, Broadcast<byte[]> program, long memory, int[] dropped, Value[] values) {
    this.libraries = libraries;
    this.program = program;
    this.memory = memory;
    this.dropped = dropped;
    this.values = values;
  }

  /** In a task: the Site, with all that is named here. */
  long site() {
    return Library.site(this);
  }
}
