// SPDX-License-Identifier: Apache-2.0
// What the footers of Parquet files say, read in a job of Spark's: rows, row groups, and which of the wanted
// columns are timestamps in nanoseconds. Spark reads those as whole numbers (Session.java), so all files must agree.
package cml.spark;

import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.column.ColumnDescriptor;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.metadata.BlockMetaData;
import org.apache.parquet.hadoop.util.HadoopInputFile;
import org.apache.parquet.schema.LogicalTypeAnnotation.TimeUnit;
import org.apache.parquet.schema.LogicalTypeAnnotation.TimestampLogicalTypeAnnotation;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.util.SerializableConfiguration;

final class Footers {
  /** Of one file. */
  static final class One implements Serializable {
    final int file;
    final long rows;
    final long[] group, start; // of each row group: rows; where it begins in the file
    final HashSet<String> nanos = new HashSet<>(); // columns, "a.b" for b of a

    One(int file, long rows, List<BlockMetaData> groups) {
      this.file = file;
      this.rows = rows;
      group = groups.stream().mapToLong(BlockMetaData::getRowCount).toArray();
      start = groups.stream().mapToLong(BlockMetaData::getStartingPos).toArray();
    }

    /** Do the groups follow each other? */
    boolean ascends() {
      for (int i = 1; i < start.length; i++) {
        if (start[i] <= start[i - 1]) return false;
      }
      return true;
    }
  }

  final List<One> files; // in their order
  final Set<String> nanos;

  private Footers(List<One> files, Set<String> nanos) {
    this.files = files;
    this.nanos = nanos;
  }

  static Footers read(JavaSparkContext sc, SerializableConfiguration conf, Input in, Column[] column) {
    List<Integer> file = new ArrayList<>();
    List<String> path = in.files;
    for (int i = 0; i < path.size(); i++) file.add(i);
    int tasks = Math.min(file.size(), Math.max(sc.defaultParallelism(), file.size() / 64));
    Set<String> some = new HashSet<>();
    List<One> all = sc.parallelize(file, tasks).map(i -> one(i, new Path(path.get(i)), conf.value())).collect();
    for (One o : all) some.addAll(o.nanos);
    Set<String> wanted = new HashSet<>();
    for (Column c : column) wanted.add(c.name);
    some.retainAll(wanted);
    for (One o : all) {
      for (String name : some) {
        if (o.rows > 0 && !o.nanos.contains(name)) {
          throw in.unreadable("the column `" + name + "` has nanoseconds in some files, and not in "
              + path.get(o.file), "Write all files with one type.");
        }
      }
    }
    return new Footers(all, some);
  }

  /** Rows of a file. */
  static long rows(Path file, Configuration conf) {
    return one(0, file, conf).rows;
  }

  private static One one(int i, Path file, Configuration conf) {
    try (var r = ParquetFileReader.open(HadoopInputFile.fromPath(file, conf))) {
      One o = new One(i, r.getRecordCount(), r.getFooter().getBlocks());
      for (ColumnDescriptor c : r.getFileMetaData().getSchema().getColumns()) {
        if (c.getPrimitiveType().getLogicalTypeAnnotation() instanceof TimestampLogicalTypeAnnotation t
            && t.getUnit() == TimeUnit.NANOS) {
          o.nanos.add(String.join(".", c.getPath()));
        }
      }
      return o;
    } catch (IOException | RuntimeException e) {
      throw new CmlException(CmlException.DATA, "CML0533", file.toString(), "Spark cannot read it: "
          + Reasons.brief(e), "");
    }
  }
}
