# SPDX-License-Identifier: Apache-2.0
# spark: what runs inside Apache Spark's JVMs (configure --with-spark). Maven makes the jar. Executors get
# libcml-spark.so, and OpenBLAS with what it needs: all of that is in spark/ of the build, and in $(pkglibdir)/spark.

spark_sources = \
  spark/jni.c
spark_java = \
  spark/src/main/java/cml/spark/App.java spark/src/main/java/cml/spark/Blocks.java \
  spark/src/main/java/cml/spark/Channel.java spark/src/main/java/cml/spark/CmlException.java \
  spark/src/main/java/cml/spark/Column.java spark/src/main/java/cml/spark/Cutter.java \
  spark/src/main/java/cml/spark/Direct.java spark/src/main/java/cml/spark/Encoder.java \
  spark/src/main/java/cml/spark/Fetch.java spark/src/main/java/cml/spark/Files.java \
  spark/src/main/java/cml/spark/Footers.java spark/src/main/java/cml/spark/Groups.java \
  spark/src/main/java/cml/spark/In.java spark/src/main/java/cml/spark/Input.java \
  spark/src/main/java/cml/spark/Jobs.java spark/src/main/java/cml/spark/Keys.java \
  spark/src/main/java/cml/spark/Library.java spark/src/main/java/cml/spark/Main.java \
  spark/src/main/java/cml/spark/Native.java spark/src/main/java/cml/spark/NativeException.java \
  spark/src/main/java/cml/spark/Out.java spark/src/main/java/cml/spark/Part.java \
  spark/src/main/java/cml/spark/Positions.java spark/src/main/java/cml/spark/Probe.java \
  spark/src/main/java/cml/spark/Query.java spark/src/main/java/cml/spark/Ranges.java \
  spark/src/main/java/cml/spark/Reading.java spark/src/main/java/cml/spark/Reasons.java \
  spark/src/main/java/cml/spark/RecordRows.java spark/src/main/java/cml/spark/Records.java \
  spark/src/main/java/cml/spark/Request.java spark/src/main/java/cml/spark/Rows.java \
  spark/src/main/java/cml/spark/Runs.java spark/src/main/java/cml/spark/Scan.java \
  spark/src/main/java/cml/spark/Session.java spark/src/main/java/cml/spark/Source.java \
  spark/src/main/java/cml/spark/Text.java spark/src/main/java/cml/spark/Types.java \
  spark/src/main/java/cml/spark/Values.java spark/src/main/java/cml/spark/Warm.java \
  spark/src/main/java/cml/spark/Write.java spark/src/main/java/cml/spark/Writer.java \
  spark/src/main/java/cml/spark/Written.java
spark_extra = \
  spark/README.md spark/make.sh spark/pom.xml spark/requirements.txt
EXTRA_DIST += $(spark_sources) $(spark_java) $(spark_extra)

if SPARK
sparkdir = $(pkglibdir)/spark
spark_PROGRAMS = spark/libcml-spark.so
spark_DATA = spark/cml-spark.jar
spark_libcml_spark_so_SOURCES = $(spark_sources)
spark_libcml_spark_so_CPPFLAGS = $(AM_CPPFLAGS) -isystem $(JDK_HOME)/include -isystem $(JDK_HOME)/include/linux
spark_libcml_spark_so_LDFLAGS = $(AM_LDFLAGS) -shared -Wl,--as-needed -Wl,--gc-sections -Wl,--exclude-libs,ALL -Wl,-z,defs \
  -Wl,--strip-debug
# zlib and libzstd are linked into it, and nothing reaches jansson and nettle: executors have the C library only.
spark_libcml_spark_so_LDADD = libstdlib.a libvm.a libkernel.a libbase.a $(SPARK_LIBS)

spark/cml-spark.jar: $(spark_java) spark/pom.xml spark/make.sh
	$(AM_V_GEN)$(SHELL) $(srcdir)/spark/make.sh jar '$(MVN)' '$(JDK_HOME)' '$(srcdir)/spark/pom.xml' spark

all-local: spark/.blas
spark/.blas: spark/make.sh
	$(AM_V_GEN)$(SHELL) $(srcdir)/spark/make.sh blas '$(CC)' spark && touch $@

install-data-local: spark/.blas
	$(MKDIR_P) '$(DESTDIR)$(sparkdir)'
	for file in spark/lib*.so.*; do $(INSTALL_DATA) $$file '$(DESTDIR)$(sparkdir)' || exit 1; done

uninstall-local:
	for file in spark/lib*.so.*; do rm -f "$(DESTDIR)$(sparkdir)/$${file##*/}"; done

CLEANFILES += spark/cml-spark.jar spark/.blas spark/maven.log spark/lib*.so.*
clean-local:
	rm -rf spark/maven
endif
