#!/bin/sh
# Make this machine able to run tests/scale: PostgreSQL, Redis, and the tools that check deployments/.
# As root on Debian what is missing is installed; elsewhere the error names it.
set -eu
PATH=$PATH:/usr/sbin # where Debian keeps haproxy, for everybody

missing=
need() { # package, then a command that succeeds where its program is there
  package=$1
  shift
  "$@" >/dev/null 2>&1 || missing="$missing $package"
}
has_postgres() { ls /usr/lib/postgresql/*/bin/postgres || command -v postgres; }
has_compose() { docker compose version || docker-compose version; }

look() {
  missing=
  need postgresql has_postgres
  need redis-server redis-server --version
  need haproxy haproxy -v
  need prometheus promtool --version
  need docker-compose has_compose
  need systemd systemd-analyze --version
}

look
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "setup-scale: installing$missing" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # shellcheck disable=SC2086  # a list of package names
  apt-get install -y -qq --no-install-recommends $missing >/dev/null
  look
fi
if [ -n "$missing" ]; then
  echo "setup-scale: missing Debian packages:$missing; install them as root: apt-get install$missing" >&2
  exit 1
fi
