# Sourced by ./blanket and ./test: what a Debian host needs, and the build of the command.

say() { printf ':: %s\n' "$*" >&2; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    else
        fail "this needs root or sudo: $*"
    fi
}

require_sdk() {
    command -v dotnet > /dev/null || fail 'the .NET SDK 10 is not on PATH: install it (https://dotnet.microsoft.com) and add its directory to PATH'
    local answer
    answer=$(cd "$ROOT" && dotnet --version 2>&1) || fail "the .NET SDK on PATH does not work here or is older than global.json asks for: $answer"
}

# Names of the Debian packages whose programs are not there.
missing_packages() {
    while read -r program package _; do
        case "$program" in
            '' | '#'*) ;;
            /*) [ -e "$program" ] || echo "$package" ;;
            *) command -v "$program" > /dev/null || [ -x "/usr/sbin/$program" ] || echo "$package" ;;
        esac
    done < "$ROOT/build/host-packages.txt" | sort -u
}

install_packages() {
    local missing
    missing=$(missing_packages | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    command -v apt-get > /dev/null || fail "missing: $missing(Debian packages), and there is no apt-get"
    say "installing Debian packages: $missing"
    # shellcheck disable=SC2086 # one word each
    apt_install $missing || {
        say 'updating the list of Debian packages'
        as_root apt-get -q update >&2 || fail 'apt-get update failed'
        # shellcheck disable=SC2086
        apt_install $missing || fail "cannot install: $missing"
    }
}

# Quiet about the first try: without a list of packages it is expected to fail.
apt_install() {
    local log status
    log=$(mktemp)
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "$@" > "$log" 2>&1
    status=$?
    [ "$status" -eq 0 ] || tail -n 3 "$log" >&2
    rm -f "$log"
    return "$status"
}

CLI_PROJECT=src/Blanket.Cli
CLI_DLL=$CLI_PROJECT/bin/host/Debug/net10.0/blanket.dll

# Whether a file that the command is made of is newer than the last build of it.
cli_is_stale() {
    local stamp=$ROOT/artifacts/cli.stamp
    [ -f "$stamp" ] && [ -f "$ROOT/$CLI_DLL" ] || return 0
    [ -n "$(find "$ROOT"/src/Blanket.{Abi,Core,Lab,Cli} "$ROOT"/Directory.* "$ROOT/global.json" \
        \( -name obj -o -name bin \) -prune -o -type f -newer "$stamp" -print -quit)" ]
}

# The first errors of a build, each once; the end of the output when it has none.
build_errors() {
    grep -E ': error' "$1" | sort -u | head -n 20 | grep . || tail -n 20 "$1"
}

build_cli() {
    cli_is_stale || return 0
    say 'building the command'
    local log start
    log=$(mktemp)
    mkdir -p "$ROOT/artifacts"
    start=$(mktemp)
    if ! dotnet build "$ROOT/$CLI_PROJECT" --nologo -v:quiet > "$log" 2>&1; then
        build_errors "$log" >&2
        rm -f "$log" "$start"
        fail 'the build of the command failed'
    fi
    # Dated at the start, so that what is edited during the build counts as newer.
    mv "$start" "$ROOT/artifacts/cli.stamp"
    rm -f "$log"
}
