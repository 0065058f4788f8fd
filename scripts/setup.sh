#!/bin/sh
# Make the virtual environment $1 hold exactly what the lock file $2 names, and compile what would slow the first start.
set -eu
venv=$1
lock=$2
python=${PYTHON:-python3}

"$python" - <<'PY' || { echo "setup: Python 3.11 or newer is needed, found $("$python" --version 2>&1)" >&2; exit 1; }
import sys
sys.exit(sys.version_info < (3, 11))
PY

if [ ! -x "$venv/bin/python" ]; then
  rm -rf "$venv"
  if ! "$python" -m venv "$venv"; then
    # Debian ships venv as a package of its own.
    rm -rf "$venv"
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    version=$("$python" -c 'import sys; print(f"{sys.version_info[0]}.{sys.version_info[1]}")')
    echo "setup: installing python$version-venv" >&2
    $as_root apt-get update -qq && $as_root apt-get install -y -qq "python$version-venv"
    "$python" -m venv "$venv"
  fi
fi

echo "setup: installing $lock into $venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$lock"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
"$venv/bin/python" -m compileall -q aione flows tasks blocks config deployments || true
echo "setup: compiling the numeric kernels"
"$venv/bin/python" -m aione warm-up

case $lock in
  *-dev.lock) touch "$venv/test.stamp" "$venv/run.stamp" ;;
  *) touch "$venv/run.stamp" ;;
esac
