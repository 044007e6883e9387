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
  libseccomp-dev libarchive-dev libzstd-dev liblzma-dev libbz2-dev zlib1g-dev libacl1-dev libedit-dev libncurses-dev libbsd-dev libmd-dev catch2"
demo_packages="mmdebstrap"
test_packages="apparmor busybox-static nftables iproute2 strace python3 attr libcap2-bin util-linux procps uidmap passt perl-base tmux lua-check clang-format clang-tidy
  xz-utils zstd bzip2 man-db groff-base mandoc hostname zsh fish"
vm_packages="qemu-system-x86 gcc libc6-dev cpio kmod e2fsprogs perl xz-utils zstd lz4 apparmor"
bench_packages="bubblewrap crun runc busybox-static iproute2 iptables python3 gcc libc6-dev"

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

golang_tar=${LUABOX_GOLANG_TAR:-${LUABOX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/luabox}/golang.tar}

# A golang root file system as `docker export` would give it, made once and kept.
make_golang_tar() {
  [ -s "$golang_tar" ] && { say "using $golang_tar"; return; }
  say "making a golang root file system (some minutes, 650 MB): $golang_tar"
  mkdir -p "$(dirname "$golang_tar")"
  as_root mmdebstrap --variant=apt --include=golang-go,ca-certificates,bash bookworm "$golang_tar.partial.tar" 2>&1 |
    grep --line-buffered -vE '^(I: (chroot|automatically|using|skipping)|W:)' || true
  [ -s "$golang_tar.partial.tar" ] && as_root mv "$golang_tar.partial.tar" "$golang_tar"
}

# build DIRECTORY [CMAKE-OPTION...]
build() {
  local directory=$1
  shift
  say "building luabox in $directory"
  cmake -S . -B "$directory" -G Ninja "$@" >/dev/null
  ninja -C "$directory"
}
