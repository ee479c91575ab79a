# SPDX-License-Identifier: Apache-2.0
# Sourced by spark.sh: a standalone cluster of Spark on this machine, each part a JVM of its own, and what can happen to
# it. Everything lies in $work; all processes carry $mark in their environment, by which they are found and ended.

# wait_for SECONDS COMMAND ...: until it succeeds; fails after that time.
wait_for() {
  limit=$(($1 * 10))
  shift
  while ! "$@" >/dev/null 2>&1; do
    limit=$((limit - 1))
    [ "$limit" -gt 0 ] || return 1
    sleep 0.1
  done
}

# marked TEXT: the processes of this test whose command line has TEXT in it.
marked() {
  for environ in $(grep -l -s -z -x "CML_SPARK_TEST=$mark" /proc/[0-9]*/environ); do
    process=${environ%/environ}
    if { tr '\0' ' ' <"$process/cmdline"; } 2>/dev/null | grep -q -F -e "$1"; then echo "${process#/proc/}"; fi
  done
}

executors() { marked CoarseGrainedExecutorBackend; }
drivers() { marked cml.spark.Main; }
none_left() { [ -z "$(executors)$(drivers)" ]; }

# send SIGNAL PID ...: to those that are still there.
send() {
  signal=$1
  shift
  for pid in "$@"; do kill "-$signal" "$pid" 2>/dev/null; done
}

# java_class NAME CLASS ARGUMENT ...: a daemon of Spark; $daemon is its process, $work/NAME.log what it says. With
# in_small_disk=yes it has a scratch disk of its own, of 64 MB.
java_class() {
  log=$work/$1.log
  shift
  set -- "$SPARK_HOME/bin/spark-class" "$@"
  [ -z "${in_small_disk:-}" ] ||
    set -- unshare -rm sh -c 'mount -t tmpfs -o size=64m tmpfs "$SPARK_LOCAL_DIRS" && exec "$@"' sh "$@"
  "$@" >"$log" 2>&1 &
  daemon=$!
}

start_master() {  # start_master NAME; $master is its URL
  java_class "$1" org.apache.spark.deploy.master.Master --host 127.0.0.1 --port 0 --webui-port 0
  wait_for 60 grep -q 'I have been elected leader' "$work/$1.log" || return 1
  master=$(sed -n 's,.*\(spark://127.0.0.1:[0-9]*\).*,\1,p' "$work/$1.log" | head -n 1)
  [ -n "$master" ]
}

# start_worker NAME: one executor of one thread at a time; $daemon is its process.
start_worker() {
  java_class "$1" org.apache.spark.deploy.worker.Worker --host 127.0.0.1 --port 0 --webui-port 0 --cores 1 \
    --memory 1g --work-dir "$work/$1" "$master"
  wait_for 60 grep -q 'Successfully registered with master' "$work/$1.log"
}

# The configuration of every application; what is for tests alone is small machines and short patience.
configure_spark() {
  mkdir -p "$work/conf" "$work/events" "$work/local" "$work/tmp"
  cat >"$work/conf/spark-defaults.conf" <<END
spark.ui.enabled              false
spark.driver.host             127.0.0.1
spark.driver.bindAddress      127.0.0.1
spark.driver.memory           512m
spark.executor.memory         512m
spark.driver.extraJavaOptions   -XX:+UseSerialGC -XX:TieredStopAtLevel=1
spark.executor.extraJavaOptions -XX:+UseSerialGC -XX:TieredStopAtLevel=1
spark.eventLog.enabled        true
spark.eventLog.dir            file:$work/events
spark.eventLog.rolling.enabled false
spark.eventLog.compress       false
END
  SPARK_CONF_DIR=$work/conf SPARK_LOCAL_DIRS=$work/local SPARK_LOCAL_IP=127.0.0.1 TMPDIR=$work/tmp
  SPARK_DAEMON_MEMORY=192m SPARK_DAEMON_JAVA_OPTS="-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
  SPARK_NO_DAEMONIZE=1 SPARK_LOG_DIR=$work
  export SPARK_CONF_DIR SPARK_LOCAL_DIRS SPARK_LOCAL_IP TMPDIR SPARK_DAEMON_MEMORY SPARK_DAEMON_JAVA_OPTS
  export SPARK_NO_DAEMONIZE SPARK_LOG_DIR
}

# jobs_begun TEXT N: has the application that runs now begun N jobs whose description begins with TEXT?
jobs_begun() {
  begun=$(cat "$work"/events/*.inprogress 2>/dev/null |
    grep -c '"Event":"SparkListenerJobStart".*"spark.job.description":"'"$1")
  [ "$begun" -ge "$2" ]
}

end_cluster() {
  pids=$(marked '')
  # shellcheck disable=SC2086
  send CONT $pids
  # shellcheck disable=SC2086
  send KILL $pids
  wait 2>/dev/null
}
