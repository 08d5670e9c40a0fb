#!/usr/bin/env bash
# Packs the program that was built, its plugins, the libraries that a bare GPU machine lacks, configurations and whatever
# else is named, so that run_engine.sh runs it there.
#
#   tests/device/pack_engine.sh OUT.tar.xz [FILE]...
#
# BUILD: the build folder (default build). Pack a large model by itself.
set -euo pipefail
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build}
[ $# -ge 1 ] || { echo 'usage: tests/device/pack_engine.sh OUT.tar.xz [FILE]...'; exit 2; }
[ -x "$BUILD/serveloop" ] || { echo "$BUILD/serveloop: expected the built program; run ./dev build"; exit 2; }
out=$(realpath -m "$1")
shift
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
root=$work/engine
mkdir -p "$root/lib" "$root/configs" "$root/plugins"
cp "$BUILD/serveloop" "$root/"
strip "$root/serveloop"
# Plugins as they are: their manifests state their sha256.
(cd "$BUILD/plugins" && find . \( -name '*.so' -o -name plugin.toml \) -print0 | tar cf - --null -T -) | tar xf - -C "$root/plugins"
cp -r configs/. "$root/configs/"
ldd "$BUILD/serveloop" | awk '/=> \//{print $1, $3}' | grep -vE '^(libc|libm|libstdc\+\+|libgcc_s|ld-linux)' |
  while read -r name path; do cp -L "$path" "$root/lib/$name"; done
for file in "$@"; do cp -L "$file" "$root/"; done
tar cJf "$out" -C "$work" engine
echo "$out: $(du -h "$out" | cut -f1)"
