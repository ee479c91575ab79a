#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make.sh: two steps of the build that make itself cannot do. Called by local.mk, in the build folder.
#
#   jar MVN JDK POM FOLDER    FOLDER/cml-spark.jar by Maven, which works in FOLDER/maven; its log is FOLDER/maven.log
#   blas CC FOLDER            the OpenBLAS of this system into FOLDER, with what it needs and not every system has
set -eu

maven() {  # maven OPTION ...: nothing is written into the source tree
  "$mvn" -B -q "$@" -f "$pom" -Dcml.build="$PWD/$folder/maven" package >"$folder/maven.log" 2>&1
}

# Without asking the network where all was fetched before. The word is Maven's.
jar() {
  mvn=$1 JAVA_HOME=$2 pom=$3 folder=$4
  export JAVA_HOME
  mkdir -p "$folder"
  if ! maven --offline; then
    if ! grep -q -i 'offline' "$folder/maven.log" || ! maven; then
      tail -n 40 "$folder/maven.log" >&2
      echo "Maven could not make cml-spark.jar; all of its output is in $folder/maven.log" >&2
      exit 1
    fi
  fi
  place "$folder/maven/cml-spark.jar" "$folder/cml-spark.jar"
}

place() {  # place FILE AS: whole or not at all; a process that has the old one open keeps it
  cp -f "$1" "$2.new"
  mv -f "$2.new" "$2"
}

# libgcc_s is left out: that of the system is never older than what the Fortran libraries ask for.
blas() {
  cc=$1 folder=$2
  mkdir -p "$folder"
  blas=$($cc -print-file-name=libopenblas.so.0)
  case $blas in
    /*) ;;
    *) echo "libopenblas.so.0 was not found; install the package \"libopenblas0\"" >&2; exit 1 ;;
  esac
  place "$blas" "$folder/libopenblas.so.0"
  ldd "$blas" | sed -n 's/.*\(lib\(gfortran\|quadmath\)\.so\.[0-9]*\) => \(\/[^ ]*\).*/\1 \3/p' |
    while read -r name path; do place "$path" "$folder/$name"; done
}

"$@"
