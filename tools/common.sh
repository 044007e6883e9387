# Sourced by tools/*: progress lines, packages, builds. Needs bash, and root or sudo where something is installed.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top"

say() { printf '\n== %s\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Debian packages: what a build needs, what running and importing images needs, what the tests compare with.
build_packages="g++ cmake ninja-build pkg-config ccache libluajit-5.1-dev lua-argparse libspdlog-dev libfmt-dev nlohmann-json3-dev
  libseccomp-dev libarchive-dev libzstd-dev liblzma-dev libbz2-dev zlib1g-dev libacl1-dev catch2"
demo_packages="mmdebstrap"
test_packages="busybox-static nftables iproute2 strace python3 attr libcap2-bin util-linux procps tmux lua-check clang-format clang-tidy
  xz-utils zstd bzip2"
bench_packages="bubblewrap crun runc busybox-static iproute2 python3 gcc libc6-dev"

# Installs those of the packages that are missing.
need() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return
  say "installing ${missing[*]}"
  as_root apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# build DIRECTORY [CMAKE-OPTION...]
build() {
  local directory=$1
  shift
  say "building luabox in $directory"
  cmake -S . -B "$directory" -G Ninja "$@" >/dev/null
  ninja -C "$directory"
}
