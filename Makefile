# cf-observe. `make help` lists what there is; all output goes under build/.
B := build
CC ?= cc
CLANG ?= clang
# Debian has it in sbin, which sudo's PATH knows and a user's does not; Ubuntu among the kernel's tools.
BPFTOOL ?= $(firstword $(wildcard /usr/lib/linux-tools/*/bpftool /usr/sbin/bpftool /sbin/bpftool) bpftool)
PKGS := libbpf libelf zlib libcjson libbrotlidec libzstd libnghttp2 libseccomp
VERSION := $(shell cat VERSION 2>/dev/null || echo 0.1.0)
ARCH := $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')

CPPFLAGS += -D_GNU_SOURCE -DCF_VERSION='"$(VERSION)"' -Isrc -Ibpf -Iinclude -I$(B)/gen
CFLAGS ?= -O2 -g
WARN := -std=gnu11 -Wall -Wextra -Wshadow -Wvla -Wmissing-prototypes -Wno-missing-field-initializers
LDLIBS = $(shell pkg-config --libs $(PKGS)) -lm
ALL_CFLAGS = $(WARN) $(CFLAGS) $(shell pkg-config --cflags $(PKGS)) -MMD -MP

# `make V=1` shows the commands.
Q := $(if $(V),,@)
ROOMS := base feed capture stream proto dialect trace otlp sink serve
SRC := $(wildcard $(addprefix src/,$(addsuffix /*.c,$(ROOMS))) src/*/*/*.c src/*.c)
MAIN := src/main.c
OBJ := $(SRC:%.c=$(B)/%.o)
LIBOBJ := $(filter-out $(B)/$(MAIN:.c=.o),$(OBJ))
# The maps first: the static linker resolves the others against them.
BPF := bpf/maps.bpf.c $(filter-out bpf/maps.bpf.c,$(wildcard bpf/*.bpf.c))
UNIT := $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))

FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
MAN := $(B)/cf-observe.8
prefix ?= /usr/local
FUZZ_SECONDS ?= 20
# Under sudo only the observer and the package manager run as root; what is built belongs to the owner of the tree.
AS_OWNER := tools/as-owner
BUILD = +@$(AS_OWNER) $(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: all help deps unit programs test test-long check fuzz fuzzers bench demo verify man install uninstall clean
.DELETE_ON_ERROR:
## make             build everything under build/ (build/cf-observe)
all: $(if $(wildcard $(MAIN)),$(B)/cf-observe $(MAN)) $(B)/libcf-all.a

## make help        this list
help:
	@sed -n 's/^## //p' $(firstword $(MAKEFILE_LIST))

## make deps        install what building and testing need (as root; Debian 12, Ubuntu 24.04)
deps:
	@tools/deps build test

$(B)/cf-observe: $(B)/$(MAIN:.c=.o) $(B)/libcf-all.a
	$(if $(V),,@echo "  LD    $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/libcf-all.a: $(LIBOBJ)
	$(if $(V),,@echo "  AR    $@")
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/%.o: %.c | $(if $(BPF),$(B)/gen/observe.skel.h)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC    $<")
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# One skeleton from all the BPF objects.
$(B)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h vmlinux/*.h)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  BPF   $<")
	$(Q)$(CLANG) -target bpf -mcpu=v3 -D__TARGET_ARCH_$(ARCH) -g -O2 -Wall -Ivmlinux -Ibpf -c -o $@ $<
$(B)/gen/observe.bpf.o: $(BPF:%.c=$(B)/%.o)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  BPF   $@")
	$(Q)$(BPFTOOL) gen object $@ $^
$(B)/gen/observe.skel.h: $(B)/gen/observe.bpf.o
	$(if $(V),,@echo "  SKEL  $@")
	$(Q)$(BPFTOOL) gen skeleton $< name observe_bpf > $@

man: $(MAN)
$(MAN): $(B)/cf-observe
	$(Q)$< --man > $@

## make demo        (sudo) watch a small agent and show its trace
demo:
	@tools/deps build test
	$(BUILD) all
	@tests/demo/demo

## make test        (sudo) every check and every suite; without root those that need it are skipped
test: deps
	$(BUILD) all programs $(if $(FUZZ),fuzzers)
	@tests/run $(if $(FUZZ),--fuzz $(FUZZ)) $(SUITES)

## make test-long   (sudo) also the suites that take long
test-long: deps
	$(BUILD) all programs fuzzers
	@tests/run --long --fuzz $(FUZZ_SECONDS) $(SUITES)

## make check       layout, layers, banned calls, complexity, words
check: all
	@tests/run check

## make fuzz        every fuzzer for FUZZ_SECONDS each
fuzz: fuzzers
	@for f in $(notdir $(FUZZERS)); do tools/fuzz $$f $(FUZZ_SECONDS) || exit 1; done
fuzzers: $(FUZZERS)
FUZZ_FLAGS := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -O1 -g
# All of the program once more under the sanitizers, without main.
FUZZ_OBJ := $(filter-out $(B)/fuzz/obj/$(MAIN:.c=.o),$(SRC:%.c=$(B)/fuzz/obj/%.o))
$(B)/fuzz/obj/%.o: %.c | $(if $(BPF),$(B)/gen/observe.skel.h)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  FUZZ  $<")
	$(Q)$(CLANG) $(CPPFLAGS) -std=gnu11 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -O1 -g \
		-MMD -MP -c -o $@ $<
$(B)/fuzz/all.a: $(FUZZ_OBJ)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
$(B)/fuzz/%: tests/fuzz/%.c $(B)/fuzz/all.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  FUZZ  $@")
	$(Q)$(CLANG) $(CPPFLAGS) -std=gnu11 -Itests/support $(FUZZ_FLAGS) -o $@ $< $(B)/fuzz/all.a $(LDLIBS)

## make bench       (sudo) what it costs, as ratios
bench: deps
	$(BUILD) all programs bench-programs
	@for b in $(wildcard tests/bench/run*); do $$b || exit 1; done

## make verify      (sudo) load every BPF program and print what the verifier counted
verify:
	$(BUILD) all
	@tools/verify $(BPFTOOL) $(B)/gen/observe.bpf.o

## make install     into $(DESTDIR)$(prefix)
install: all
	install -D -m 755 $(B)/cf-observe $(DESTDIR)$(prefix)/bin/cf-observe
	install -D -m 644 $(MAN) $(DESTDIR)$(prefix)/share/man/man8/cf-observe.8
uninstall:
	rm -f $(DESTDIR)$(prefix)/bin/cf-observe $(DESTDIR)$(prefix)/share/man/man8/cf-observe.8

## make unit        build and run the unit tests
unit: all programs
	@tests/run unit
programs: $(UNIT)
$(B)/tests/%: tests/unit/%.c $(B)/libcf-all.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC    $<")
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -Itests/support -o $@ $< $(B)/libcf-all.a $(LDLIBS) $(shell pkg-config --libs check libbrotlienc)

## make clean       remove build/
clean:
	rm -rf $(B)

include src/tracer/tracer.mk
# Suites bring what they must build as fragments: prerequisites of `programs`.
-include $(wildcard tests/*/*.mk)
-include $(OBJ:.o=.d) $(FUZZ_OBJ:.o=.d)
