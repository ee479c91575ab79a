// SPDX-License-Identifier: Apache-2.0
// A wanted column of a source: its name, and, once the source is known, where its values are in the batches
// that Spark reads: a vector, or a field of a struct's.
package cml.spark;

import java.io.Serializable;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DecimalType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

final class Column implements Serializable {
  final String name;
  final int kind;
  final boolean nullable;

  Column(String name, int kind, boolean nullable) {
    this.name = name;
    this.kind = kind;
    this.nullable = nullable;
  }

  static Column[] read(In in) {
    Column[] all = new Column[in.count(6)];
    for (int i = 0; i < all.length; i++) all[i] = new Column(in.str(), in.u8(), in.u8() != 0);
    return all;
  }

  /** The names on the way to the column in a schema: itself, or "a.b" as b of a. Null: there is none. */
  static String[] path(String name, StructType schema) {
    if (field(schema, name) != null) return new String[] {name};
    for (int dot = name.indexOf('.'); dot > 0; dot = name.indexOf('.', dot + 1)) {
      StructField f = field(schema, name.substring(0, dot));
      if (f == null || !(f.dataType() instanceof StructType inner)) continue;
      String[] rest = path(name.substring(dot + 1), inner);
      if (rest == null) continue;
      String[] all = new String[rest.length + 1];
      all[0] = f.name();
      System.arraycopy(rest, 0, all, 1, rest.length);
      return all;
    }
    return null;
  }

  private static StructField field(StructType s, String name) {
    for (StructField f : s.fields()) {
      if (f.name().equals(name)) return f;
    }
    return null;
  }

  /** Where the values of one column are in a batch. */
  static final class Place implements Serializable {
    final int vector; // of the batch
    final int[] inner; // fields of structs, from the outside in
    final int type, extra; // of records
    final int precision; // of a decimal
    final boolean nanos; // a timestamp that Spark reads as a whole number of nanoseconds

    private Place(Place p) {
      vector = p.vector;
      inner = p.inner;
      type = Records.TIMESTAMP;
      extra = precision = 0;
      nanos = true;
    }

    Place nanos() {
      return new Place(this);
    }

    Place(int vector, DataType t, String[] path) {
      this.vector = vector;
      inner = new int[path.length - 1];
      for (int i = 1; i < path.length; i++) {
        StructType s = (StructType) t;
        inner[i - 1] = s.fieldIndex(path[i]);
        t = s.fields()[inner[i - 1]].dataType();
      }
      type = Types.stored(t);
      extra = t instanceof DecimalType d ? d.scale() : 0;
      nanos = false;
      precision = t instanceof DecimalType d ? d.precision() : 0;
    }
  }
}
