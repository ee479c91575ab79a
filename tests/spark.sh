#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# spark.sh [NAME ...]: cmlc run --executor spark on a cluster of Spark that this starts (spark/cluster.sh): a master and two
# workers, each a JVM of its own. Prints TAP. NAME is a part below, without its "part_"; all of them otherwise.
#
#   library    what executors are sent needs no other library and no newer C library than is promised
#   frames     the Java side by itself, over the frames that cmlc speaks (spark/test_frames.py; needs the oracle's Python)
#   examples   every example has the bytes of a local run: bundle, predictions, report; the JVM looks at each native call
#   sources    what Spark alone reads, and text, has the rows of what is read at home; rows go to a table
#   hdfs       so has a file of HDFS, a name node and a data node of which are started; predictions go back there
#   same       so has the largest one with one worker and with two, in 3 and in 17 partitions
#   lost       executors that are killed or halted while a model is trained change nothing
#   broken     bad rows and damaged files are told as a local run tells them; nothing is left of the outputs
#   full       so is a scratch disk that is full
#   stopped    Ctrl-C, and the end of cmlc or of the driver, leave no process and no file
#
# SPARK_HOME names the Spark, CML_HADOOP the jar of Hadoop's servers (default: those of scripts/setup --spark). CML_NO_SPARK=1 skips all.
set -u

root=${CML_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${CML_BUILDDIR:-$root/build}
data=${CML_DATA:-$root/examples/data}
CMLC=${CMLC:-$build/cmlc}
skip() { echo "1..0 # SKIP $*"; exit 0; }
[ -z "${CML_NO_SPARK:-}" ] || skip "CML_NO_SPARK is set"
[ -f "$build/spark/cml-spark.jar" ] || skip "this build has no Spark (configure --with-spark)"
[ -d "$data" ] || skip "the examples' data are not here (scripts/setup fetches them)"
if [ -z "${SPARK_HOME:-}" ]; then
  for SPARK_HOME in "$root"/deps/spark-venv/lib/python3*/site-packages/pyspark; do :; done
fi
hdfs_jar=${CML_HADOOP:-$root/deps/hadoop-client-minicluster.jar}
[ -x "$SPARK_HOME/bin/spark-class" ] || skip "there is no Spark to test with (scripts/setup --spark, or SPARK_HOME)"
export SPARK_HOME

work=$(mktemp -d) || exit 99
mark=${work##*.}$$
CML_SPARK_TEST=$mark
export CML_SPARK_TEST
. "$root/tests/spark/cluster.sh"
trap 'end_cluster; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work" || exit 99
ln -s "$data" data
n=0
failed=0

ok() {  # ok STATUS WHAT [FILE]: FILE says why not
  n=$((n + 1))
  if [ "$1" -eq 0 ]; then
    echo "ok $n - $2"
  else
    echo "not ok $n - $2"
    [ ! -f "${3:-}" ] || tail -n 12 "$3" | sed 's/^/# /'
    failed=$((failed + 1))
  fi
}

# ---- Runs. Each is a folder with a program in it, below which nothing else may be when it has ended.

folder() {  # folder NAME PROGRAM: a fresh one; PROGRAM reads ../data
  rm -rf "${work:?}/$1"
  mkdir -p "$work/$1"
  cp "$2" "$work/$1/program.cml"
}

start() {  # start NAME OPTION ...: a run in that folder; $run is its process
  cd "$work/$1" || exit 99
  name=$1
  shift
  "$CMLC" run program.cml --json "$work/$name.json" "$@" >"$work/$name.out" 2>"$work/$name.err" &
  run=$!
  cd "$work" || exit 99
}

finish() {  # waits for $run; its status is $status. A run that hangs is killed.
  hung=$run
  (sleep 400 && kill -9 "$hung") >/dev/null 2>&1 &
  alarm=$!
  wait "$run" 2>/dev/null
  status=$?
  kill "$alarm" 2>/dev/null
  wait "$alarm" 2>/dev/null
}

on_spark() {  # on_spark NAME OPTION ...: a whole run
  name=$1
  shift
  start "$name" --executor spark --master "$master" "$@"
  finish
}

at_home() {  # at_home NAME: the local run that others are held against
  start "$1" --threads 2
  finish
}

# What must be equal of two reports: all but times, and what Spark wrote in another form of file.
reports_equal() {
  python3 - "$work/$1.json" "$work/$2.json" <<'END'
import json, sys
a, b = (json.load(open(name)) for name in sys.argv[1:])
for report in a, b:
    for key in "timings", "seconds", "jit":
        report.pop(key, None)
    for export in report.get("exports", []):
        if export.get("path", "").endswith(".parquet"):
            for key in "bytes", "digest":
                export.pop(key, None)
if a != b:
    sys.exit("reports differ in " + ", ".join(k for k in sorted(set(a) | set(b)) if a.get(k) != b.get(k)))
END
}

learned_equal() {  # models and metrics alone
  python3 -c 'import json, sys
a, b = (json.load(open(name)) for name in sys.argv[1:])
sys.exit(a["models"] != b["models"] or a["evaluations"] != b["evaluations"])' "$work/$1.json" "$work/$2.json"
}

# The rows of a Parquet file, or of a folder of them, as text: the columns that every prediction has.
rows_of() {  # rows_of PATH AS
  [ ! -d "$1" ] || set -- "$1/*.parquet" "$2"
  cat >rows.cml <<END
data d {
    from   parquet("$1")
    schema { probability: float }
}
features f of d { probability = probability }
export f { features of d to "$2" }
END
  "$CMLC" run -q rows.cml
}

files_equal() {  # files_equal NAME OF-NAME: whatever is in the two folders
  for file in $(cd "$work" && ls "$1" "$2" | grep -v ':$' | sort -u); do
    case $file in
      *.parquet)
        rows_of "$work/$1/$file" one.csv && rows_of "$work/$2/$file" other.csv && cmp one.csv other.csv || return 1 ;;
      *) cmp "$work/$1/$file" "$work/$2/$file" || return 1 ;;
    esac
  done
}

same_as() {  # same_as LOCAL NAME WHAT: the status of the run, its files and its report
  if [ "$status" -ne 0 ]; then
    ok 1 "$3 (it ended with status $status)" "$work/$2.err"
    return
  fi
  { files_equal "$1" "$2" && reports_equal "$1" "$2"; } >differ 2>&1
  ok $? "$3" differ
}

# Nothing of a run that failed: no process, no output, no temporary file of cmlc's, of ours or of Spark's.
nothing_of() {  # nothing_of NAME WHAT
  wait_for 30 none_left
  wait_for 20 no_blocks
  {
    none_left || echo "processes: $(executors) $(drivers)"
    find "$work/$1" -mindepth 1 ! -name program.cml
    blocks
  } >left 2>&1
  [ ! -s left ]
  ok $? "$2" left
}

blocks() {
  find "$work/tmp" -mindepth 1 ! -path '*/hsperfdata*' 2>/dev/null
  find "$work/local" -name 'blockmgr-*' 2>/dev/null
}

no_blocks() { [ -z "$(blocks)" ]; }

# ---- Programs

flights=$root/examples/flights/flights.cml

# A training of many scans, to be disturbed: as the example, by L-BFGS, and not much is written.
long_program() {
  sed -e 's/l2 = ridge/l2 = ridge, solver = "lbfgs", tolerance = 1e-12, max_iterations = 25/' \
    -e '/expect/d' -e '/predictions/s/scored/long/' "$flights"
}

# ---- Parts

part_library() {
  library=$build/spark/libcml-spark.so
  if ! command -v readelf >/dev/null; then
    ok 0 "library # SKIP readelf is not here"
    return
  fi
  readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
    grep -v -x -E 'lib(c|m|pthread|dl)\.so\.[0-9]+|ld-linux-x86-64\.so\.2' >found
  [ ! -s found ]
  ok $? "libcml-spark.so needs the C library alone" found
  readelf -W --dyn-syms "$library" |
    awk '$5 == "GLOBAL" && $7 != "UND" && $8 !~ /^(JNI_OnLoad|Java_cml_spark_Native_[A-Za-z]+)$/ { print $8 }' >found
  [ ! -s found ]
  ok $? "it exports the native methods alone" found
  promised=$(sed -n 's/.*glibc \(2\.[0-9]*\) or newer.*/\1/p' "$root/spark/README.md")
  for file in "$build"/spark/lib*.so*; do
    newest=$(readelf -W -V "$file" | grep -o 'GLIBC_2\.[0-9.]*' | sed 's/GLIBC_//' | sort -u -V | tail -n 1)
    [ "$(printf '%s\n%s\n' "$promised" "$newest" | sort -V | tail -n 1)" = "$promised" ] ||
      echo "${file##*/} needs glibc $newest, and spark/README.md promises $promised"
  done >found
  [ ! -s found ]
  ok $? "what executors are sent needs no newer C library than is promised" found
}

part_frames() {
  python=${CML_PYTHON:-$build/venv/bin/python}
  if ! "$python" -c 'import pyarrow' 2>/dev/null; then
    ok 0 "frames # SKIP there is no Python with pyarrow (scripts/setup-oracle, or CML_PYTHON)"
    return
  fi
  "$python" "$root/tests/spark/test_frames.py" "$build/spark/cml-spark.jar" >frames.out 2>frames.err
  [ $? -eq 0 ] && [ "$(sed -n 's/^1\.\.//p' frames.out)" = "$(grep -c '^ok ' frames.out)" ]
  ok $? "frames: all tests are run" frames.err
  while read -r word number text; do
    case $word in
      ok) ok 0 "frames: ${text#- }" ;;
      not) sed -n "/^not ok ${text%% *} /,/^[on1]/p" frames.out >frames.one; ok 1 "frames: ${text#* - }" frames.one ;;
    esac
  done <frames.out
}

part_examples() {
  for program in "$root"/examples/*/*.cml; do
    example=$(basename "$program" .cml)
    [ "$program" != "$flights" ] || continue
    folder "home-$example" "$program"
    folder "$example" "$program"
    at_home "home-$example"
    on_spark "$example" --conf "spark.executor.extraJavaOptions=-Xcheck:jni -XX:+UseSerialGC"
    same_as "home-$example" "$example" "$example: the bytes of a local run"
  done
  grep -h -A 8 -E 'in native method|FATAL ERROR' one/*/*/std* two/*/*/std* >found
  [ ! -s found ]
  ok $? "the JVM finds nothing wrong in what native code does with it" found
}

# The same rows in several forms. Derby, which every Spark has, is the database.
make_sources() {
  mkdir -p sources
  cat >sources/make.sql <<END
CREATE TEMPORARY VIEW made AS SELECT id, id % 97 / 7.0D AS x, if(id % 11 = 0, null, cast(id % 83 AS float)) AS z,
  concat('town ', id * 7 % 13) AS town, date_add(date'2001-01-01', cast(id % 700 AS int)) AS day,
  timestamp_seconds(1000000000 + id * 61) AS made_at, id % 3 = 0 AS late, cast(id % 89 AS decimal(9, 2)) AS price,
  id * id % 1009 / 3.0D AS y FROM range(0, 100000, 1, 1);
CREATE TABLE as_parquet USING parquet LOCATION '$work/sources/parquet' AS SELECT * FROM made;
CREATE TABLE as_orc USING orc LOCATION '$work/sources/orc' AS SELECT * FROM made;
CREATE TABLE as_json USING json LOCATION '$work/sources/json' AS SELECT * FROM made;
END
  (cd sources && "$SPARK_HOME/bin/spark-sql" --master 'local[1]' --conf spark.sql.catalogImplementation=in-memory \
    --conf spark.sql.session.timeZone=UTC --conf spark.ui.enabled=false -f make.sql) >sources/log 2>&1
  ok $? "Spark makes rows in several forms" sources/log
  mv sources/parquet/*.parquet sources/rows.parquet
  mv sources/orc/*.orc sources/rows.orc
  mv sources/json/*.json sources/rows.json
  (echo 'ID,X,Y' && awk 'BEGIN { for (i = 0; i < 40; i++) print i "," i % 7 + 0.5 "," i * i % 11 }') >sources/values.csv
}

source_program() {  # source_program NAME FROM [TO]
  mkdir -p "$1"
  cat >"$1/program.cml" <<END
data d {
    from   $2
    schema {
        id: int, x: float, z: float?, town: category, day: date, made_at: timestamp, late: bool, price: float, y: float
    }
    split  train 80%, test 20% by hash(id)
}
features f of d {
    x     = standardize(x)
    z     = impute(z, mean(z))
    town  = one_hot(town)
    month = month(day)
    hour  = cyclic(hour(made_at), period = 24)
    price = price
    late  = if late then 1 else 0
}
model m = linear_regression(y ~ f, l2 = 1e-3)
export m { predictions of d.test keep [id, town, day, made_at] to "${3:-out.csv}" }
END
}

values_program() {  # values_program NAME FROM
  mkdir -p "$1"
  cat >"$1/program.cml" <<END
data d {
    from   $2
    schema { ID: int, X: float, Y: float }
    split  train 50%, test 50% by hash(ID)
}
features f of d { x = X }
model m = linear_regression(Y ~ f)
export m { predictions of d.test keep [ID] to "out.csv" }
END
}

as_home() {  # as_home HOME NAME WHAT
  [ "$status" -eq 0 ] && cmp "$1/out.csv" "$2/out.csv" >differ 2>&1
  ok $? "$3" "$work/$2.err"
}

part_sources() {
  make_sources
  source_program home-rows 'parquet("../sources/rows.parquet")'
  at_home home-rows
  source_program orc 'orc("../sources/rows.orc")'
  on_spark orc
  as_home home-rows orc "ORC: the rows of Parquet"
  source_program scheme "parquet(\"file://$work/sources/*.parquet\")"
  on_spark scheme
  as_home home-rows scheme "a path of Hadoop's file systems: the columns and rows of a path of this machine"
  source_program home-json 'json("../sources/rows.json")'
  at_home home-json
  source_program json 'json("../sources/rows.json")'
  on_spark json --conf spark.cml.partitions=3
  as_home home-json json "JSON: the rows of a local run"
  source_program home-sql "sql(\"select * from '../sources/rows.parquet'\")"
  at_home home-sql
  source_program table "table(\"parquet.\`$work/sources/rows.parquet\`\")"
  on_spark table
  as_home home-sql table "a table: sorted, and numbered, as a query is at home"
  source_program sql "sql(\"select * from parquet.\`$work/sources/rows.parquet\`\")"
  on_spark sql
  as_home home-sql sql "Spark SQL: likewise"
  values_program home-values 'csv("../sources/values.csv")'
  at_home home-values
  values=$(awk -F, 'NR > 1 { printf "%s(%s, cast(%s as double), cast(%s as double))", (NR > 2 ? ", " : ""), $1, $2, $3 }' \
    sources/values.csv)
  values_program jdbc "jdbc(\"jdbc:derby:memory:db;create=true\", dbtable = \"(values $values) as t (id, x, y)\",
           driver = \"org.apache.derby.iapi.jdbc.AutoloadedDriver\")"
  on_spark jdbc
  as_home home-values jdbc "JDBC: the rows of a file with the same values"
  source_program to-table 'parquet("../sources/rows.parquet")' 'table://scored'
  on_spark to-table --conf "spark.sql.warehouse.dir=$work/warehouse"
  rows=$(cat "$work"/warehouse/scored/*.parquet 2>/dev/null | wc -c)
  [ "$status" -eq 0 ] && [ "$rows" -gt 1000 ]
  ok $? "predictions go to a table ($rows bytes)" to-table.err
}

# hadoop LOG CLASS ARGUMENT ...: of the Hadoop that is tested with; $daemon is its process.
hadoop() {
  log=$work/$1.log
  shift
  java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$work/hdfs:$hdfs_jar:$SPARK_HOME/jars/*" "$@" >"$log" 2>&1 &
  daemon=$!
}

hadoop_end() { wait "$daemon"; }

start_hdfs() {
  mkdir -p hdfs
  hdfs=hdfs://127.0.0.1:$((20000 + $$ % 10000))
  property() { echo "<property><name>$1</name><value>$2</value></property>"; }
  (echo '<configuration>' && property fs.defaultFS "$hdfs" && echo '</configuration>') >hdfs/core-site.xml
  {
    echo '<configuration>'
    property dfs.replication 1
    property dfs.blocksize 1048576
    property dfs.namenode.name.dir "file:$work/hdfs/name"
    property dfs.datanode.data.dir "file:$work/hdfs/data"
    property dfs.datanode.hostname 127.0.0.1
    for what in namenode.http-address datanode.address datanode.ipc.address datanode.http.address; do
      property "dfs.$what" 127.0.0.1:0
    done
    echo '</configuration>'
  } >hdfs/hdfs-site.xml
  hadoop format org.apache.hadoop.hdfs.server.namenode.NameNode -format -nonInteractive
  hadoop_end || return 1
  hadoop namenode org.apache.hadoop.hdfs.server.namenode.NameNode
  hadoop datanode org.apache.hadoop.hdfs.server.datanode.DataNode
  wait_for 60 eval '[ -d "$(echo "$work"/hdfs/data/current/BP-*)" ]' # the data node is known to the name node
}

part_hdfs() {
  if [ ! -f "$hdfs_jar" ]; then
    ok 0 "hdfs # SKIP there is no Hadoop to test with (scripts/setup --spark)"
    return
  fi
  [ -f sources/rows.parquet ] || make_sources
  start_hdfs
  ok $? "a name node and a data node start" namenode.log
  hadoop put org.apache.hadoop.fs.FsShell -put sources/rows.parquet sources/rows.orc "$data/flights-3m.parquet" /
  hadoop_end
  ok $? "files go there" put.log
  source_program home-rows 'parquet("../sources/rows.parquet")'
  at_home home-rows
  for format in parquet orc; do
    source_program "hdfs-$format" "$format(\"$hdfs/rows.$format\")"
    on_spark "hdfs-$format"
    as_home home-rows "hdfs-$format" "$format of HDFS: the rows of a path of this machine"
  done
  flights=$root/examples/flights/flights.cml
  folder home-flights "$flights"
  at_home home-flights
  folder hdfs-flights "$flights"
  sed -i "s,parquet(\"[^\"]*\"),parquet(\"$hdfs/flights-3m.parquet\"),; s,\"scored.parquet\",\"$hdfs/scored.parquet\"," \
    hdfs-flights/program.cml
  on_spark hdfs-flights
  [ "$status" -eq 0 ] && learned_equal home-flights hdfs-flights
  ok $? "flights, from HDFS to HDFS: the models and metrics of a local run" hdfs-flights.err
  hadoop get org.apache.hadoop.fs.FsShell -get /scored.parquet hdfs-scored
  hadoop_end && rows_of hdfs-scored there.csv && rows_of home-flights/scored.parquet here.csv && cmp here.csv there.csv
  ok $? "its predictions: the rows of a local run" get.log
}

part_same() {
  folder home-flights "$flights"
  at_home home-flights
  for cores in 1 2; do
    for partitions in 3 17; do
      folder flights "$flights"
      on_spark flights --conf spark.cores.max=$cores --conf spark.cml.partitions=$partitions
      same_as home-flights flights "flights, $cores of 2 workers, $partitions partitions: the bytes of a local run"
    done
  done
}

home_long() {  # the local run of the long program, once
  if [ ! -d home-long ]; then
    folder home-long long.cml
    at_home home-long
  fi
}

started_long() {  # started_long OPTION ...: a run of it whose training has begun
  rm -f "$work"/events/*
  folder long long.cml
  start long --executor spark --master "$master" "$@"
  wait_for 200 jobs_begun train 3
}

writing_long() {  # one that writes predictions: the name of a partial output begins with a dot
  started_long
  wait_for 200 eval '[ -n "$(find "$work/long" -name ".long.parquet*" -print -quit)" ]' && kill -0 "$run" 2>/dev/null
}

part_lost() {
  home_long
  started_long
  first=$(executors | head -n 1)
  send KILL "$first"
  wait_for 100 jobs_begun train 8 && kill -0 "$run" 2>/dev/null
  ok $? "an executor is killed while a model is trained, and training goes on" long.err
  # shellcheck disable=SC2046
  send KILL $(executors)
  kill -0 "$run" 2>/dev/null
  ok $? "all executors are killed, later" long.err
  finish
  same_as home-long long "the bytes of a local run, with executors killed twice"

  started_long
  first=$(executors | head -n 1)
  send SEGV "$first" # as if native code had crashed: the JVM writes its report, and aborts
  wait_for 100 grep -q 'was lost.*134' long.err
  ok $? "a crash of an executor is told" long.err
  finish
  same_as home-long long "the bytes of a local run, with a crash"

  writing_long
  # shellcheck disable=SC2046
  send KILL $(executors)
  finish
  same_as home-long long "the bytes of a local run, with all executors killed while predictions are written"

  patience="--conf spark.network.timeout=12s --conf spark.executor.heartbeatInterval=2s --conf spark.network.timeoutInterval=3s
    --conf spark.storage.blockManagerHeartbeatTimeoutMs=12000"
  # shellcheck disable=SC2086
  started_long $patience
  first=$(executors | head -n 1)
  send STOP "$first"
  sleep 4
  send CONT "$first"
  wait_for 60 jobs_begun train 8 && kill -0 "$run" 2>/dev/null
  ok $? "an executor halts for seconds, and training goes on" long.err
  halted=$(executors | tail -n 1)
  send STOP "$halted"
  finish
  send CONT "$halted"
  send KILL "$halted"
  same_as home-long long "the bytes of a local run, with an executor that halted for good"
}

# told_alike NAME WHAT: both runs ended with this status, and in the same words.
told_alike() {
  { [ "$status" -eq 4 ] || echo "status $status"; diff "$work/home-$1.err" "$work/$1.err"; } >differ
  [ ! -s differ ]
  ok $? "$2: told in the words of a local run" differ
}

part_broken() {
  awk 'BEGIN {
    print "id,x,y"
    for (i = 1; i <= 200000; i++) print i "," (i % 977) / 7 "," (i == 70001 ? "none" : i == 199000 ? 5000 : i % 100)
  }' >bad.csv
  cat >bad.cml <<'END'
data d {
    from   csv("../bad.csv")
    schema { id: int, x: float, y: int in 0..100 }
    split  train 80%, test 20% by hash(id)
}
features f of d { x = standardize(x) }
model m = linear_regression(y ~ f)
export m {
    bundle "m.cmlm"
    predictions of d.test to "p.csv"
}
END
  for where in home-bad bad; do folder $where bad.cml; done
  at_home home-bad
  on_spark bad
  told_alike bad "bad rows of a text file"
  nothing_of bad "bad rows leave nothing"

  # A page of the column `delay`: what it holds is compressed, and cannot be zeros.
  cp "$data/flights-3m.parquet" damaged.parquet
  chmod u+w damaged.parquet
  dd if=/dev/zero of=damaged.parquet bs=1000 seek=5000 count=200 conv=notrunc 2>/dev/null
  sed 's,\.\./data/flights-3m,../damaged,' "$flights" >damaged.cml
  for where in home-damaged damaged; do folder $where damaged.cml; done
  at_home home-damaged
  home=$status
  on_spark damaged
  [ "$home $status" = "4 4" ] && grep -q 'damaged\.parquet' damaged.err
  ok $? "a damaged page of Parquet is an error of the data (status $status), which names the file" damaged.err
  nothing_of damaged "a damaged page leaves nothing"
}

# A cluster of its own, whose worker has a scratch disk of 64 MB.
part_full() {
  if ! unshare -rm mount -t tmpfs tmpfs "$work/tmp" 2>/dev/null; then
    ok 0 "a full scratch disk # SKIP a small one cannot be mounted here"
    return
  fi
  large=${master:-}
  in_small_disk=yes
  { start_master small-master && start_worker small; } || ok 1 "a worker with a small disk starts" small.log
  in_small_disk=
  folder full long.cml
  on_spark full --memory 64M
  [ "$status" -eq 5 ] && grep -q -i 'no space left' full.err
  ok $? "a full scratch disk is told as what it is, a resource used up (status $status)" full.err
  nothing_of full "a full scratch disk leaves nothing"
  master=$large
}

ends_within() {  # ends_within SECONDS WHAT: the run, from now on
  begin=$(date +%s)
  finish
  took=$(($(date +%s) - begin))
  [ "$took" -le "$1" ]
  ok $? "$2 (within $took seconds)" long.err
}

part_stopped() {
  started_long
  send INT "$run"
  ends_within 15 "Ctrl-C ends cmlc"
  [ "$status" -eq 130 ] && grep -q '^interrupted' long.err
  ok $? "that is told (status $status)" long.err
  nothing_of long "Ctrl-C leaves nothing"

  writing_long
  send INT "$run"
  ends_within 15 "Ctrl-C ends cmlc while Spark writes"
  nothing_of long "that leaves nothing"

  folder long long.cml
  start long --executor spark --master "$master"
  wait_for 60 eval '[ -n "$(drivers)" ]'
  send INT "$run"
  ends_within 15 "Ctrl-C ends cmlc while Spark starts"
  nothing_of long "that leaves nothing"

  writing_long
  send KILL "$run"
  finish
  nothing_of long "cmlc that is killed leaves nothing"

  started_long
  # shellcheck disable=SC2046
  send KILL $(drivers)
  ends_within 15 "cmlc ends when the driver is killed"
  [ "$status" -eq 5 ] && grep -q CML0530 long.err
  ok $? "that is told (status $status)" long.err
  rm -rf "$work"/local/blockmgr-* # nobody else knows of them
  nothing_of long "a driver that is killed leaves nothing but its own blocks"
}

configure_spark
[ $# -gt 0 ] || set -- library frames examples sources hdfs same lost broken full stopped
case " $* " in *" examples "* | *" sources "* | *" hdfs "* | *" same "* | *" lost "* | *" broken "* | *" stopped "*)
  if ! { start_master master && start_worker one && start_worker two; }; then
    ok 1 "a cluster of Spark starts" "$work/two.log"
    echo "1..$n"
    exit 1
  fi ;;
esac
long_program >long.cml
for part in "$@"; do "part_$part"; done
echo "1..$n"
[ "$failed" -eq 0 ]
