// SPDX-License-Identifier: Apache-2.0
// FILES, RANGE and TAILS: files of Hadoop's file systems for cmlc, which has no way to them of its own. A path is as
// Hadoop writes it: percent signs mean themselves.
package cml.spark;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.IntFunction;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.PathFilter;

final class Files {
  private static final PathFilter ALL = p -> true;
  private static final int THREADS = 32, FOOTER_MOST = 1 << 28;

  private Files() {}

  /** The files of a pattern (of a folder: those in it), sorted bytewise by path. */
  static Out list(String pattern, Configuration conf) {
    try {
      Path path = new Path(pattern);
      FileSystem fs = path.getFileSystem(conf);
      List<FileStatus> all = new ArrayList<>();
      FileStatus[] found = fs.globStatus(path, ALL);
      for (FileStatus s : found == null ? new FileStatus[0] : found) {
        if (s.isFile() && (isHidden(path) || !isHidden(s.getPath()))) all.add(s);
        if (!s.isDirectory()) continue;
        for (FileStatus in : fs.listStatus(s.getPath())) {
          if (in.isFile() && !isHidden(in.getPath())) all.add(in);
        }
      }
      all.sort((a, b) -> Arrays.compareUnsigned(bytes(a), bytes(b)));
      Out out = new Out().u32(all.size());
      for (FileStatus s : all) out.str(s.getPath().toString()).u64(s.getLen());
      return out;
    } catch (IOException | IllegalArgumentException e) {
      throw unreadable(pattern, e);
    }
  }

  /* What writers leave beside the data; found only where the pattern says so. */
  private static boolean isHidden(Path p) {
    return p.getName().startsWith("_") || p.getName().startsWith(".");
  }

  private static byte[] bytes(FileStatus s) {
    return s.getPath().toString().getBytes(StandardCharsets.UTF_8);
  }

  interface Action<T> {
    T of(int i) throws IOException;
  }

  /** Many requests at once, since each waits for a name node or a store. */
  static <T> T[] each(int n, IntFunction<T[]> make, Action<T> action) {
    T[] all = make.apply(n);
    ExecutorService pool = Executors.newFixedThreadPool(Math.max(1, Math.min(n, THREADS)));
    try {
      List<Future<T>> wait = new ArrayList<>();
      for (int i = 0; i < n; i++) {
        int k = i;
        wait.add(pool.submit(() -> action.of(k)));
      }
      for (int i = 0; i < n; i++) all[i] = wait.get(i).get();
      return all;
    } catch (ExecutionException | InterruptedException e) {
      CmlException own = CmlException.in(e);
      throw own != null ? own : new CmlException(CmlException.DATA, "CML0533", "", "Spark cannot read it: "
          + Reasons.brief(e.getCause() == null ? e : e.getCause()), "");
    } finally {
      pool.shutdownNow();
    }
  }

  /** The last bytes of Parquet files: the whole footer, and `least` bytes where there are so many. */
  static Out tails(String[] path, long least, Configuration conf) {
    byte[][] tail = each(path.length, byte[][]::new, i -> {
      try {
        return tail(new Path(path[i]), least, conf);
      } catch (IOException | IllegalArgumentException e) {
        throw unreadable(path[i], e);
      }
    });
    Out out = new Out().u32(tail.length);
    for (byte[] t : tail) out.blob(t);
    return out;
  }

  private static byte[] tail(Path path, long least, Configuration conf) throws IOException {
    FileSystem fs = path.getFileSystem(conf);
    long size = fs.getFileStatus(path).getLen();
    byte[] last = new byte[(int) Math.min(size, least)];
    try (FSDataInputStream in = fs.open(path)) {
      in.readFully(size - last.length, last);
      long want = last.length < 8 ? 0 : 8 + Integer.toUnsignedLong((int) Records.INT.get(last, last.length - 8));
      if (want <= last.length || want > size || want > FOOTER_MOST) return last;
      byte[] all = new byte[(int) want];
      in.readFully(size - want, all, 0, (int) want - last.length);
      System.arraycopy(last, 0, all, (int) want - last.length, last.length);
      return all;
    }
  }

  /** At most n bytes of a file, from `from` on. */
  static Out range(String file, long from, long n, Configuration conf) {
    try {
      Path path = new Path(file);
      FileSystem fs = path.getFileSystem(conf);
      long size = fs.getFileStatus(path).getLen();
      long some = from < 0 || from > size ? 0 : Math.min(n < 0 ? Long.MAX_VALUE : n, size - from);
      if (some > Integer.MAX_VALUE - 1024) throw new IOException("a range of more than 2 GB");
      byte[] bytes = new byte[(int) some];
      try (FSDataInputStream in = fs.open(path)) {
        in.readFully(from, bytes);
      }
      return new Out().blob(bytes);
    } catch (IOException | IllegalArgumentException e) {
      throw unreadable(file, e);
    }
  }

  private static CmlException unreadable(String where, Exception e) {
    String cause = e instanceof FileNotFoundException ? "there is no such file"
        : "it cannot be read: " + Reasons.brief(e);
    return new CmlException(CmlException.DATA, "CML0533", where, cause, "");
  }
}
