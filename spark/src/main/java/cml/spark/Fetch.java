// SPDX-License-Identifier: Apache-2.0
// In tasks: the bytes of files that native code reads itself. A handle stands for one file of one task, from
// open() to the task's end. A file is opened when its first bytes are asked for, and must be the one that
// the driver saw.
package cml.spark;

import java.io.IOException;
import java.io.Serializable;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FutureDataInputStreamBuilder;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.util.functional.FutureIO;

final class Fetch {
  /** A file as the driver saw it. */
  record File(String path, long bytes, long changed) implements Serializable {
    static File of(String path, FileStatus s) {
      return new File(path, s.getLen(), s.getModificationTime());
    }
  }

  private static final AtomicLong LAST = new AtomicLong();
  private static final Map<Long, Fetch> OPEN = new ConcurrentHashMap<>();

  private final File file;
  private final Configuration conf;
  private FSDataInputStream in;
  private byte[] room = {};

  private Fetch(File file, Configuration conf) {
    this.file = file;
    this.conf = conf;
  }

  static long open(File file, Configuration conf) {
    long handle = LAST.incrementAndGet();
    OPEN.put(handle, new Fetch(file, conf));
    return handle;
  }

  static void close(long handle) {
    Fetch f = OPEN.remove(handle);
    try {
      if (f != null && f.in != null) f.in.close();
    } catch (IOException e) {
      // all that was wanted of it was read
    }
  }

  /** n bytes, at the beginning of an array that is used again; called by native code. */
  static byte[] read(long handle, long at, int n) {
    Fetch f = OPEN.get(handle);
    if (f == null) throw new CmlException(CmlException.FAULT, "CML0601", "", "a file is read behind its task", "");
    try {
      return f.read(at, n);
    } catch (IOException | RuntimeException e) {
      CmlException own = CmlException.in(e);
      throw own != null ? own : new CmlException(CmlException.DATA, "CML0533", f.file.path,
          "Spark cannot read it: " + Reasons.brief(e), "");
    }
  }

  private byte[] read(long at, int n) throws IOException {
    if (in == null) in = opened();
    if (room.length < n) room = new byte[n];
    in.readFully(at, room, 0, n);
    return room;
  }

  private FSDataInputStream opened() throws IOException {
    Path path = new Path(file.path);
    FileSystem fs = path.getFileSystem(conf);
    FileStatus now = fs.getFileStatus(path);
    if (now.getLen() != file.bytes || now.getModificationTime() != file.changed) {
      throw new CmlException(CmlException.DATA, "CML0533", file.path, "the file changed while it was read",
          "Run it again.");
    }
    FutureDataInputStreamBuilder how = fs.openFile(path).opt("fs.option.openfile.read.policy", "random")
        .withFileStatus(now);
    return FutureIO.awaitFuture(how.build());
  }
}
