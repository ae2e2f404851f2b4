#!/bin/sh
# Prints the path of the first interpreter that fits and exits 0, or prints nothing and exits 1.
#
#   find-python.sh            any Python from 3.11 on
#   find-python.sh 3.12       that version
#
# A name on PATH may be a shim of pyenv which refuses to run, or a Debian python without `venv`, so every candidate is
# asked to prove itself. What PATH does not offer is looked for among pyenv's versions.

wanted=${1:-}

fits() {
    "$1" - "$wanted" >/dev/null 2>&1 <<'PROOF'
import sys, ensurepip, venv
own = "%d.%d" % sys.version_info[:2]
sys.exit(0 if own == sys.argv[1] or (not sys.argv[1] and sys.version_info >= (3, 11)) else 1)
PROOF
}

candidates() {
    if [ -n "$wanted" ]; then
        versions=$wanted
    else
        versions="3.11 3.12 3.13 3.14"
    fi
    for version in $versions; do echo "python$version"; done
    echo python3
    root=$(pyenv root 2>/dev/null) || root=${PYENV_ROOT:-$HOME/.pyenv}
    for version in $versions; do
        for path in "$root/versions/$version"*/bin/"python$version"; do
            [ -x "$path" ] && echo "$path"
        done
    done
}

candidates | while read -r candidate; do
    if fits "$candidate"; then
        command -v "$candidate"
        break
    fi
done | grep .
