# SPDX-License-Identifier: Apache-2.0
# Sourced by the other scripts: where the source is, messages, and packages of the system.
# After it: $root is the source tree, and the current directory.

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

say() {  # progress of work that is really done; silent when nothing is
  printf '%s\n' "$*" >&2
}

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# need_packages PACKAGE ...: installs those Debian packages that are missing. Quick when there are none.
need_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "This is no Debian system: please make sure that the equivalents of these are installed: $*"
    return 0
  fi
  missing=
  installed=" $(dpkg-query -W -f='${db:Status-Abbrev}:${Package} ' "$@" 2>/dev/null || true) "
  for wanted in "$@"; do
    case $installed in
      *" ii :$wanted "*) ;;
      *) missing="$missing $wanted" ;;
    esac
  done
  [ -n "$missing" ] || return 0
  as_root=
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "these packages are missing, and there is no sudo to install them:$missing"
    as_root=sudo
  fi
  say "installing packages:$missing"
  apt_log=$(mktemp)
  # shellcheck disable=SC2086
  if ! { $as_root apt-get update -qq &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
  } >"$apt_log" 2>&1; then
    cat "$apt_log" >&2
    rm -f "$apt_log"
    die "apt could not install:$missing"
  fi
  rm -f "$apt_log"
}

# run_logged LOG COMMAND ...: the output goes to LOG, and to the terminal only when the command fails.
run_logged() {
  log=$1
  shift
  if ! "$@" >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    die "\"$*\" failed; all of its output is in $log"
  fi
}

# new_venv DIR LOG REQUIREMENTS: Python packages in a folder of their own; the copy of REQUIREMENTS there comes last.
new_venv() {
  need_packages python3 python3-venv
  mkdir -p "${2%/*}"
  rm -rf "$1"
  # The system's own python3, not one that a version manager puts before it.
  python=/usr/bin/python3
  [ -x "$python" ] || python=python3
  run_logged "$2" "$python" -m venv "$1"
  run_logged "$2" "$1/bin/pip" install --disable-pip-version-check -r "$3"
  cp "$3" "$1/requirements.txt"
}

jobs() {
  n=$(nproc 2>/dev/null || echo 2)
  echo "$n"
}

# ---- what comes from npm, pinned by version and digest of the tarball

need_npm() {
  command -v npm >/dev/null || need_packages npm nodejs
  command -v npm >/dev/null || die "npm is needed to fetch DuckDB and the examples' data"
}

# fetch "PACKAGE VERSION DIGEST" DIR: the package's tarball as DIR/package.tgz, its digest verified.
fetch() {
  # shellcheck disable=SC2086
  set -- $1 "$2"
  package=$1 version=$2 digest=$3 into=$4
  tarball=$(printf '%s' "$package" | sed 's/^@//; s|/|-|')-$version.tgz
  if [ -n "${CML_PACKAGES:-}" ] && [ -f "$CML_PACKAGES/$tarball" ]; then
    cp "$CML_PACKAGES/$tarball" "$into/package.tgz"
  else
    need_npm
    say "fetching $package $version"
    (cd "$into" && npm pack --silent "$package@$version" >npm.log 2>&1) || {
      cat "$into/npm.log" >&2
      die "npm could not fetch $package $version"
    }
    mv "$into/$tarball" "$into/package.tgz"
  fi
  actual=$(sha256sum "$into/package.tgz" | cut -d ' ' -f 1)
  [ "$actual" = "$digest" ] || die "$package $version has digest $actual, but $digest is expected; not used"
}

# A stamp holds what a directory was made from, and is written last.
stamp_is() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

temporary=
trap '[ -z "$temporary" ] || rm -rf "$temporary"' EXIT
trap 'exit 1' INT TERM
new_temporary() {
  mkdir -p deps
  temporary=$(mktemp -d deps/tmp.XXXXXX)
}
