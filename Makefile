# cf-observe. `make help` lists what there is; all output goes under build/.
B := build
CC ?= cc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /sbin/bpftool) bpftool)
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
BPF := $(wildcard bpf/*.bpf.c)
UNIT := $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))

.PHONY: all help unit clean
.DELETE_ON_ERROR:
all: $(if $(wildcard $(MAIN)),$(B)/cf-observe) $(B)/libcf-all.a

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

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

## make unit        build and run the unit tests
unit: all $(UNIT)
	@for t in $(UNIT); do echo "== $$t"; $$t || exit 1; done
$(B)/tests/%: tests/unit/%.c $(B)/libcf-all.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC    $<")
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -Itests/support -o $@ $< $(B)/libcf-all.a $(LDLIBS) $(shell pkg-config --libs check)

## make clean       remove build/
clean:
	rm -rf $(B)

-include $(OBJ:.o=.d)
