#!/bin/sh
# seeds.sh DIR: small ELF files with everything the finders look for, made by the local compiler.
# They are the fuzzer's seeds and the fixed answers of run.py: each defines its functions as symbols,
# NAME.sym keeps them, NAME is stripped of them.
set -eu
dir=${1:?usage: seeds.sh DIR}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$dir"

seed() { # name source flags...
	name=$1 src=$2
	shift 2
	${CC:-cc} -O2 -g0 -nostdlib -ffreestanding -fno-stack-protector -fno-builtin "$@" \
		-Wl,--build-id -o "$dir/$name.sym" "$here/$src"
	strip -o "$dir/$name" "$dir/$name.sym"
}

seed boringssl-exe seed_boringssl.c -no-pie -static -Wl,--eh-frame-hdr
seed boringssl-pie seed_boringssl.c -fPIE -static-pie -fno-omit-frame-pointer
seed boringssl-so seed_boringssl.c -fPIC -shared -fvisibility=hidden -fcf-protection
# as Bun is built: clang, frame pointers, aligned functions, no unwind entries
CC=clang seed boringssl-nofde seed_boringssl.c -fno-pie -static -fno-omit-frame-pointer \
	-falign-functions=16 -fno-asynchronous-unwind-tables
seed openssl3-pie seed_openssl3.c -fPIE -static-pie
seed openssl30-pie seed_openssl3.c -fPIE -static-pie -DOLD
seed openssl3-so seed_openssl3.c -fPIC -shared -fvisibility=hidden
seed openssl3-exported seed_openssl3.c -fPIC -shared
seed rustls-pie seed_rustls.c -fPIE -static-pie
seed rustls-so seed_rustls.c -fPIC -shared -fvisibility=hidden
seed go-exe seed_go.S -no-pie -static
seed go-pie seed_go.S -static-pie
