# SPDX-License-Identifier: Apache-2.0
# What the scripts share: saying what happens, stopping with a remedy, finding the toolchain and the binary.
# shellcheck shell=bash
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch=${APUS_SCRATCH:-$top/.build}
venv=${APUS_VENV:-$top/.venv}

export APUS_BEGAN=${APUS_BEGAN:-$EPOCHSECONDS}

# say TEXT...: one line of progress, with the seconds since the outermost script began
say() { printf '%4d s  %s\n' "$((EPOCHSECONDS - APUS_BEGAN))" "$*"; }

# fail WHAT REMEDY: what is wrong, what to do, and out
fail() {
    printf '\n%s: %s\n' "${0##*/}" "$1" >&2
    [ $# -lt 2 ] || printf '  what to do: %s\n' "$2" >&2
    exit 1
}

# as_root WHY COMMAND: refuses to go on without root
as_root() {
    [ "$EUID" = 0 ] || fail "$1 needs root" "run: sudo $2"
}

# pip_venv FOLDER LIST...: what the lists name of the Python package index, in a virtual environment that is made anew
# when they have changed; false when it could not be had
pip_venv() {
    local folder=$1 wanted list arguments=() python=python3
    shift
    wanted=$(cat "$@" | sha256sum)
    [ "$(cat "$folder/.wanted" 2> /dev/null)" = "$wanted" ] && "$folder/bin/python" -c '' 2> /dev/null && return
    for list; do arguments+=(-r "$list"); done
    # Modules that come with the system's Python want that one.
    [ -x /usr/bin/python3 ] && python=/usr/bin/python3
    say "installing what ${*#"$top/"} names in ${folder#"$top/"}"
    rm -rf "$folder"
    mkdir -p "${folder%/*}"
    "$python" -m venv "$folder" && "$folder/bin/pip" install -q --disable-pip-version-check "${arguments[@]}" &&
        echo "$wanted" > "$folder/.wanted"
}

# free_ports COUNT: ports of the loopback address that nobody has
free_ports() {
    /usr/bin/env python3 - "$1" << 'PYTHON'
import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(each.getsockname()[1] for each in held))
PYTHON
}

swift_remedy="install Swift 6.3 for Debian 12, see https://www.swift.org/install/linux/, and put its usr/bin on PATH"

[ ! -d /opt/swift/usr/bin ] || PATH=$PATH:/opt/swift/usr/bin

# find_swift: a toolchain is on the path or in /opt/swift, or the message says where it comes from
find_swift() {
    command -v swift > /dev/null || fail "no Swift toolchain found" "$swift_remedy"
}

# need_swift: it is there, it runs, and it is 6.3 or newer
need_swift() {
    local version
    find_swift
    version=$(swift --version 2> /dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
    [ -n "$version" ] || fail "swift does not run here: $(swift --version 2>&1 | head -n 1)" \
        "a library of its may be missing: sudo scripts/setup build, then again"
    [ "$(printf '6.3\n%s\n' "$version" | sort -V | head -n 1)" = 6.3 ] ||
        fail "Swift $version is too old" "$swift_remedy"
}

# swift_build ARGUMENT...: every build of ours, with the check for undeclared imports
swift_build() {
    swift build --package-path "$top" --scratch-path "$scratch" --explicit-target-dependency-import-check error "$@"
}

# apus_binary: prints the binary to run: $APUS, else the release (BUILD=release), else the debug build
apus_binary() {
    if [ -n "${APUS:-}" ]; then
        [ -x "$APUS" ] || fail "APUS=$APUS is not a program" "unset APUS or name the binary"
        echo "$APUS"
    elif [ "${BUILD:-debug}" = release ]; then
        echo "$top/dist/apus"
    else
        echo "$scratch/debug/apus"
    fi
}

# build_apus: what apus_binary names, built
build_apus() {
    [ -z "${APUS:-}" ] || return 0
    need_swift
    if [ "${BUILD:-debug}" = release ]; then "$top/scripts/release"; else swift_build --product apus; fi
}
