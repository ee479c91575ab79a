// SPDX-License-Identifier: Apache-2.0
// Spark's types beside those of records, the kinds of cml and the words DuckDB has for them. Which kind may
// be read of which type is as in vm/engine/reader_parquet.c.
package cml.spark;

import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.BinaryType;
import org.apache.spark.sql.types.BooleanType;
import org.apache.spark.sql.types.ByteType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.DateType;
import org.apache.spark.sql.types.DayTimeIntervalType;
import org.apache.spark.sql.types.DecimalType;
import org.apache.spark.sql.types.DoubleType;
import org.apache.spark.sql.types.FloatType;
import org.apache.spark.sql.types.IntegerType;
import org.apache.spark.sql.types.LongType;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.ShortType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.types.TimestampNTZType;
import org.apache.spark.sql.types.TimestampType;
import org.apache.spark.sql.types.YearMonthIntervalType;

final class Types {
  /* Kind of vm/column.h. */
  static final int BOOL = 0, INT = 1, FLOAT = 2, STRING = 3, CATEGORY = 4, TIMESTAMP = 5, DATE = 6,
      DURATION = 7;
  private static final String[] KIND = {"bool", "int", "float", "string", "category", "timestamp", "date",
      "duration"};
  static final int DIGITS_MOST = 18; // of a decimal

  private Types() {}

  static String kind(int kind) {
    return kind >= 0 && kind < KIND.length ? KIND[kind] : "kind " + kind;
  }

  /** The type in records, or 0: cml does not read it. */
  static int stored(DataType t) {
    if (t instanceof BooleanType) return Records.BOOL;
    if (t instanceof ByteType) return Records.I8;
    if (t instanceof ShortType) return Records.I16;
    if (t instanceof IntegerType) return Records.I32;
    if (t instanceof LongType) return Records.I64;
    if (t instanceof FloatType) return Records.F32;
    if (t instanceof DoubleType) return Records.F64;
    if (t instanceof DateType) return Records.DATE;
    if (t instanceof TimestampType || t instanceof TimestampNTZType) return Records.TIMESTAMP;
    if (t instanceof DecimalType d) return d.precision() <= DIGITS_MOST ? Records.DECIMAL : 0;
    return t instanceof StringType ? Records.STRING : 0;
  }

  /** May a value of this type of records be read as that kind? */
  static boolean fits(int stored, int kind) {
    boolean bool = stored == Records.BOOL;
    boolean whole = stored >= Records.I8 && stored <= Records.I64;
    return switch (kind) {
      case BOOL -> bool;
      case INT -> whole || bool;
      case FLOAT -> whole || stored == Records.F32 || stored == Records.F64 || stored == Records.DECIMAL;
      case STRING -> stored == Records.STRING;
      case CATEGORY -> stored == Records.STRING || whole || bool;
      case TIMESTAMP -> stored == Records.TIMESTAMP || stored == Records.DATE;
      case DATE -> stored == Records.DATE;
      case DURATION -> whole;
      default -> false;
    };
  }

  /** A column that is written. */
  static DataType written(int kind) {
    return switch (kind) {
      case BOOL -> DataTypes.BooleanType;
      case INT, DURATION -> DataTypes.LongType;
      case FLOAT -> DataTypes.DoubleType;
      case TIMESTAMP -> DataTypes.TimestampType;
      case DATE -> DataTypes.DateType;
      default -> DataTypes.StringType;
    };
  }

  /** As DuckDB writes the type. */
  static String duck(DataType t) {
    if (t instanceof BooleanType) return "BOOLEAN";
    if (t instanceof ByteType) return "TINYINT";
    if (t instanceof ShortType) return "SMALLINT";
    if (t instanceof IntegerType) return "INTEGER";
    if (t instanceof LongType) return "BIGINT";
    if (t instanceof FloatType) return "FLOAT";
    if (t instanceof DoubleType) return "DOUBLE";
    if (t instanceof DateType) return "DATE";
    if (t instanceof TimestampType) return "TIMESTAMP WITH TIME ZONE";
    if (t instanceof TimestampNTZType) return "TIMESTAMP";
    if (t instanceof DecimalType d) return "DECIMAL(" + d.precision() + "," + d.scale() + ")";
    if (t instanceof StringType) return "VARCHAR";
    if (t instanceof BinaryType) return "BLOB";
    if (t instanceof DayTimeIntervalType || t instanceof YearMonthIntervalType) return "INTERVAL";
    if (t instanceof ArrayType a) return duck(a.elementType()) + "[]";
    if (t instanceof MapType m) return "MAP(" + duck(m.keyType()) + ", " + duck(m.valueType()) + ")";
    if (t instanceof StructType s) return struct(s);
    return t.sql();
  }

  private static String struct(StructType s) {
    StringBuilder b = new StringBuilder("STRUCT(");
    for (StructField f : s.fields()) {
      b.append(b.length() > 7 ? ", " : "").append('"').append(f.name().replace("\"", "\"\"")).append("\" ");
      b.append(duck(f.dataType()));
    }
    return b.append(')').toString();
  }
}
