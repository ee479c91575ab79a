// SPDX-License-Identifier: Apache-2.0
// Where the rows of Spark's batches are: the file and the position in it. Three ways:
//   by index    Parquet: the reader says the position of each row (_metadata.row_index)
//   by split    other files: the file and where the split of it begins (_metadata.file_block_start); the rows
//               before the split were counted by an earlier job over the same plan
//   by order    no files: the rows are sorted, those of earlier partitions were counted
// An object belongs to one task.
package cml.spark;

import java.io.Serializable;
import java.util.HashMap;
import java.util.Map;
import org.apache.spark.sql.execution.vectorized.ConstantColumnVector;
import org.apache.spark.sql.vectorized.ColumnVector;
import org.apache.spark.sql.vectorized.ColumnarBatch;
import org.apache.spark.unsafe.types.UTF8String;

final class Positions {
  /** What all tasks of a source know. */
  static final class Plan implements Serializable {
    final int file, start, index; // vectors of a batch: path, beginning of the split, position; -1: there is none
    final Map<String, Integer> ordinal; // of files, by the path as Spark writes it
    final Map<Unit, Long> before; // rows before a unit; null: to be counted

    Plan(int file, int start, int index, Map<String, Integer> ordinal, Map<Unit, Long> before) {
      this.file = file;
      this.start = start;
      this.index = index;
      this.ordinal = ordinal;
      this.before = before;
    }

    Plan with(Map<Unit, Long> before) {
      return new Plan(file, start, index, ordinal, before);
    }
  }

  /** A run of rows that is counted: a split of a file, or a partition (file -1). */
  static final class Unit implements Serializable, Comparable<Unit> {
    final int file;
    final long start;

    Unit(int file, long start) {
      this.file = file;
      this.start = start;
    }

    @Override
    public int compareTo(Unit u) {
      return file != u.file ? Integer.compare(file, u.file) : Long.compare(start, u.start);
    }

    @Override
    public boolean equals(Object o) {
      return o instanceof Unit u && u.file == file && u.start == start;
    }

    @Override
    public int hashCode() {
      return Long.hashCode(start) * 31 + file;
    }
  }

  private final Plan plan;
  private final int partition;
  private UTF8String path; // of the rows that were located last
  private int ordinal;
  private Unit unit;
  private long next; // position of the unit's next row
  private final Map<Unit, Long> seen = new HashMap<>(); // rows of units, when counting

  long at; // position of the first row of the run
  int file;

  Positions(Plan plan, int partition) {
    this.plan = plan;
    this.partition = partition;
  }

  /** Of the rows from `row` on, at most `most`: how many follow each other in one file. */
  int run(ColumnarBatch b, int row, int most) {
    if (plan.file < 0) return unit(new Unit(-1, partition), most);
    ColumnVector name = b.column(plan.file);
    file = ordinal(name.getUTF8String(row));
    most = same(name, row, most);
    if (plan.index >= 0) return indexed(b.column(plan.index), row, most);
    ColumnVector start = b.column(plan.start);
    long begin = start.getLong(row);
    if (!(start instanceof ConstantColumnVector)) {
      for (int n = 1; n < most; n++) {
        if (start.getLong(row + n) != begin) most = n;
      }
    }
    return unit(new Unit(file, begin), most);
  }

  private int unit(Unit u, int n) {
    if (!u.equals(unit)) {
      unit = u;
      Long before = plan.before == null ? Long.valueOf(0) : plan.before.get(u);
      if (before == null) throw changed();
      next = before;
    }
    file = Math.max(u.file, 0);
    at = next;
    return n;
  }

  /** n rows of the run were taken. */
  void taken(int n) {
    next += n;
    if (plan.before == null) seen.merge(unit, (long) n, Long::sum);
  }

  Map<Unit, Long> counts() {
    return seen;
  }

  private int ordinal(UTF8String p) {
    if (p.equals(path)) return ordinal;
    Integer o = plan.ordinal.get(plain(p.toString()));
    if (o == null) throw changed();
    path = p.clone();
    ordinal = o;
    return o;
  }

  /** A path as the key of `ordinal`: without an authority that is empty. */
  static String plain(String uri) {
    return uri.replaceFirst("^(\\w+):///+", "$1:/");
  }

  static CmlException changed() {
    return new CmlException(CmlException.DATA, "CML0533", "", "the files of the source changed while they were "
        + "read", "Run it again.");
  }

  private int same(ColumnVector name, int row, int most) {
    if (name instanceof ConstantColumnVector) return most;
    for (int n = 1; n < most; n++) {
      if (!name.getUTF8String(row + n).equals(path)) return n;
    }
    return most;
  }

  /* Positions ascend in a file. */
  private int indexed(ColumnVector index, int row, int most) {
    at = index.getLong(row);
    while (most > 1 && index.getLong(row + most - 1) != at + most - 1) most--;
    return most;
  }
}
