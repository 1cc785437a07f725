# Shared by the scripts in this folder; sourced, not run.
# shellcheck shell=bash

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export LC_ALL=C.UTF-8

# Bold on a terminal only.
say() { if [[ -t 2 ]]; then printf "\033[1m==> %s\033[0m\n" "$*" >&2; else printf "==> %s\n" "$*" >&2; fi; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# need_swift: Swift 6.2 or later, which nothing here can install for you.
need_swift() {
    command -v swift >/dev/null || die "Swift is missing: install 6.2 or later from https://www.swift.org/install"
    local version
    version="$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -1)"
    case "$version" in
        6.[2-9] | 6.[1-9][0-9] | [7-9].* | [1-9][0-9].*) ;;
        *) die "Swift $version is too old: 6.2 or later is needed, from https://www.swift.org/install" ;;
    esac
}

# need_packages NAME...: the Debian packages that are missing are named and installed: without a question when root or CI=true, after one on a
# terminal; else the command is printed.
need_packages() {
    command -v dpkg-query >/dev/null || { say "not a Debian: make sure that these are installed: $*"; return 0; }
    local missing=() name
    for name in "$@"; do
        [[ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" == installed ]] || missing+=("$name")
    done
    [[ ${#missing[@]} -eq 0 ]] && return 0
    local sudo=()
    if [[ "$(id -u)" -ne 0 ]]; then
        sudo=(sudo)
        if [[ "${CI:-}" != true ]]; then
            local command="sudo apt-get install --yes ${missing[*]}" answer=n
            say "missing packages: ${missing[*]}"
            if [[ -t 0 && -t 2 ]]; then read -r -p "Install them with sudo? [Y/n] " answer; fi
            [[ "$answer" =~ ^([Yy].*)?$ ]] || die "install them with: $command"
        fi
    fi
    say "installing: ${missing[*]}"
    "${sudo[@]}" apt-get update --quiet >&2
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "${missing[@]}" >&2
}

# What the control plane and the worker need at run time and to be built; see docs/.
RUNTIME_PACKAGES=(bubblewrap libsqlite3-dev ripgrep)

# wait_for_line FILE PATTERN PID SECONDS: returns when a line of FILE matches; fails when the process ends or the time is up.
wait_for_line() {
    local file="$1" pattern="$2" pid="$3" ends=$((SECONDS + $4))
    until grep -qE "$pattern" "$file" 2>/dev/null; do
        kill -0 "$pid" 2>/dev/null || return 1
        [[ $SECONDS -lt $ends ]] || return 1
        sleep 0.05
    done
}
