#!/usr/bin/env bash
# Makes a release: version, changelog, release binaries, SBOM, checksums, commit and tag. docs/releasing.md explains it.
#
#   scripts/release.sh [--dry-run] VERSION
#
#   --dry-run   do everything, but leave the branch as it is and set no tag
#
# Everything happens in a temporary worktree. The branch and the tag change only when all of it has succeeded, and
# nothing is pushed. The files are in target/dist/VERSION.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

CYCLONEDX_VERSION=0.5.9

say() { echo "==> $*" >&2; }

die() {
  say "$*"
  exit 1
}

usage() {
  sed -n '/^#   scripts/,/^set/{ /^set/!s/^# \{0,1\}//p; }' "$0"
}

wrong_usage() {
  usage >&2
  exit 2
}

dry_run=''
case ${1:-} in
-h | --help)
  usage
  exit
  ;;
--dry-run)
  dry_run=yes
  shift
  ;;
esac
[ $# -eq 1 ] || wrong_usage
case $1 in -*) wrong_usage ;; esac
version=$1
tag=v$version
[[ $version =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$ ]] ||
  die "$version is not a semantic version such as 1.2.3 or 1.2.3-rc.1"

# --- Checks ---------------------------------------------------------------------------------------------------------

cd "$root"
[ -z "$(git status --porcelain)" ] || die "the working tree has changes: commit or stash them"
branch=$(git symbolic-ref --quiet --short HEAD) || die "HEAD is not on a branch"
if git rev-parse --quiet --verify "refs/tags/$tag" >/dev/null; then die "the tag $tag exists"; fi
grep -q "^## \[$version\]" CHANGELOG.md || die "CHANGELOG.md has no section \"## [$version] – unreleased\""
cargo cyclonedx --version >/dev/null 2>&1 ||
  die "cargo-cyclonedx is missing: cargo install cargo-cyclonedx --version $CYCLONEDX_VERSION --locked"

version_of() { # Cargo.toml
  sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' "$1"
}
old=$(version_of Cargo.toml)
[ -n "$old" ] || die "Cargo.toml has no version in [workspace.package]"

# --- The commit -----------------------------------------------------------------------------------------------------

tree=$(mktemp -d)/atode
clean_up() {
  local status=$?
  trap - EXIT
  git -C "$root" worktree remove --force "$tree" 2>/dev/null || true
  rm -rf "$(dirname "$tree")"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
git worktree add --quiet --detach "$tree" HEAD
cd "$tree"

edit() { # SED-SCRIPT FILE: sed -i differs between systems
  sed "$1" "$2" >"$2.new"
  # Keeps the mode of the file.
  cat "$2.new" >"$2"
  rm "$2.new"
}

say "$old -> $version"
edit "/^\[workspace.package\]/,/^\[/s/^version = \".*\"$/version = \"$version\"/" Cargo.toml
[ "$(version_of Cargo.toml)" = "$version" ] || die "the version in Cargo.toml could not be set"
# Only the versions of the workspace's own crates change. The second lock belongs to a workspace that uses one
# of them.
cargo update --quiet --workspace --offline
edit "/^name = \"peer-protocol\"$/{
n
s/^version = .*/version = \"$version\"/
}" bench/peers/rust/Cargo.lock
if git diff --unified=0 Cargo.lock | grep '^[-+]' | grep -Ev '^(\+\+\+|---) |^[-+]version = "('"${old//./\\.}|${version//./\\.}"')"$'; then
  die "Cargo.lock changed beyond the versions of the workspace's crates"
fi
edit "s/^## \[$version\].*/## [$version] – $(date -u +%Y-%m-%d)/" CHANGELOG.md

# Versions and image tags of what is deployed.
if [ -d deploy ]; then
  while IFS= read -r file; do
    edit "/^version:/s/${old//./\\.}/$version/; /^appVersion:/s/${old//./\\.}/$version/; /atode/s/${old//./\\.}/$version/g; /newTag:/s/${old//./\\.}/$version/; /VERSION/s/${old//./\\.}/$version/g; /ATODE_/s/${old//./\\.}/$version/g" "$file"
  done < <(git grep -lF -e "$old" -- deploy || true)
  if [ "$old" != "$version" ] && git grep -nF -e "$old" -- deploy; then
    say "WARNING: these lines of deploy/ still have $old. Check them."
  fi
fi

# The section of the changelog, without its heading and the blank lines around it.
notes=$(awk -v heading="## [$version]" '
  index($0, "## ") == 1 { inside = index($0, heading) == 1; next }
  inside && (NF || begun) { begun = 1; print }' CHANGELOG.md)
[ -n "${notes//[[:space:]]/}" ] || die "the section of $version in CHANGELOG.md is empty"

git add --all
# There is nothing to commit if the version was set before and its section had a date.
if ! git diff --cached --quiet; then git commit --quiet --message "release: $version"; fi
commit=$(git rev-parse HEAD)

# --- The files ------------------------------------------------------------------------------------------------------

target=$(rustc -vV | sed -n 's/^host: //p')
dist=$root/target/dist/$version
rm -rf "$dist"
mkdir -p "$dist"
export CARGO_TARGET_DIR=$root/target/release-build
# The same sources give the same names in panics, wherever they are built.
export RUSTFLAGS="--remap-path-prefix=$tree=/atode --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
# The build names itself after the commit.
unset ATODE_BUILD
SOURCE_DATE_EPOCH=$(git show --no-patch --format=%ct HEAD)
export SOURCE_DATE_EPOCH

say "building for $target"
cargo build --quiet --release --locked --package api-gateway --package worker --package atode --bins
name=atode-$version-$target
mkdir -p "$tree/../$name/bin"
for program in api-gateway worker atode; do
  cp "$CARGO_TARGET_DIR/release/$program" "$tree/../$name/bin/"
  "$CARGO_TARGET_DIR/release/$program" --version | grep -qF "$version+${commit:0:12}" ||
    die "$program --version is $("$CARGO_TARGET_DIR/release/$program" --version), not $version+${commit:0:12}"
done
say "writing man pages and completions"
atode=$CARGO_TARGET_DIR/release/atode
share=$tree/../$name/share
mkdir -p "$share/bash-completion/completions" "$share/zsh/site-functions" "$share/fish/vendor_completions.d"
"$atode" man "$share/man/man1"
"$atode" completions bash >"$share/bash-completion/completions/atode"
"$atode" completions zsh >"$share/zsh/site-functions/_atode"
"$atode" completions fish >"$share/fish/vendor_completions.d/atode.fish"
mkdir -p "$tree/../$name/scripts"
# compose.sh is read by deploy/compose/up.sh.
cp scripts/backup.sh scripts/restore.sh scripts/backup-drill.sh scripts/compose.sh "$tree/../$name/scripts/"
cp -R config deploy docs README.md CHANGELOG.md "$tree/../$name/"
tar -C "$tree/.." -czf "$dist/$name.tar.gz" "$name"

say "listing what is in each program"
# Writes one file beside each Cargo.toml of the workspace. The names of local crates contain the folder of the sources.
cargo cyclonedx --quiet --format json --spec-version 1.5 --target "$target" --override-filename bom.cdx
for program in api-gateway worker atode; do
  # The command line is the crate `atode` in crates/cli.
  sed "s|file://$tree|file:///atode|g" "crates/${program/#atode/cli}/bom.cdx.json" >"$dist/atode-$version-$program.cdx.json"
done

printf '%s\n' "$notes" >"$dist/NOTES.md"
(
  cd "$dist"
  # Not written to a file of this folder at once, which would then contain its own sum.
  sums=$(if command -v sha256sum >/dev/null 2>&1; then sha256sum -- *; else shasum -a 256 -- *; fi)
  printf '%s\n' "$sums" >SHA256SUMS
)

# --- The tag --------------------------------------------------------------------------------------------------------

cd "$root"
if [ -n "$dry_run" ]; then
  git --no-pager show --stat --format='%s' "$commit" >&2
  say "dry run: $branch is unchanged, there is no tag. The files are in $dist:"
else
  git merge --quiet --ff-only "$commit" || die "$branch has moved on since the start: run this again"
  # --cleanup=verbatim keeps the headings of the changelog, which look like comments.
  { printf 'atode %s\n\n' "$version"; printf '%s\n' "$notes"; } |
    git tag --annotate --cleanup=verbatim --file=- "$tag" "$commit"
  say "$branch is at the release, $tag is set. Nothing is pushed. Next: git push origin $branch $tag"
  say "The files are in $dist:"
fi
ls -l "$dist" >&2
