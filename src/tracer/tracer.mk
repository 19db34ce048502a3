# libcontextforge: shared and static, only cf_ names visible, nothing needed but libc. Its objects are its own: position
# independent, and with allocation that may fail (src/tracer/mem.c instead of base/mem.c).
TRACER_SRC := $(wildcard src/tracer/*.c) $(wildcard src/trace/model*.c src/trace/check*.c src/trace/write*.c) \
	src/trace/read.c src/trace/sorter.c \
	$(addprefix src/base/,arena.c buf.c json.c json_write.c map.c redact.c redact_find.c span.c text.c timefmt.c)
TRACER_OBJ := $(TRACER_SRC:%.c=$(B)/tracer/%.o)
TRACER_CFLAGS := $(WARN) $(CFLAGS) -fPIC -fvisibility=hidden -ffunction-sections -fdata-sections -pthread -MMD -MP
LIBCF := $(B)/lib/libcontextforge
SO_VERSION := 0

.PHONY: tracer
all: tracer
## make tracer      libcontextforge.so, .a and contextforge.pc in build/lib
tracer: $(LIBCF).so $(LIBCF).a $(B)/lib/contextforge.pc

$(B)/tracer/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC    $< (tracer)")
	$(Q)$(CC) $(CPPFLAGS) $(TRACER_CFLAGS) -c -o $@ $<

$(LIBCF).so.$(SO_VERSION): $(TRACER_OBJ) src/tracer/contextforge.map
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LD    $@")
	$(Q)$(CC) $(LDFLAGS) -shared -pthread -Wl,-soname,$(@F) -Wl,--version-script=src/tracer/contextforge.map \
		-Wl,--gc-sections -Wl,-z,defs -Wl,-z,now -o $@ $(TRACER_OBJ) -lm
$(LIBCF).so: $(LIBCF).so.$(SO_VERSION)
	$(Q)ln -sf $(<F) $@

# One object, so that hidden names can become local.
$(LIBCF).a: $(TRACER_OBJ)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  AR    $@")
	$(Q)$(LD) -r -o $(B)/tracer/contextforge.o $^ && objcopy --localize-hidden $(B)/tracer/contextforge.o
	$(Q)rm -f $@ && $(AR) rcs $@ $(B)/tracer/contextforge.o

.PHONY: $(B)/lib/contextforge.pc
$(B)/lib/contextforge.pc: src/tracer/contextforge.pc.in
	@mkdir -p $(@D)
	$(Q)sed 's|@prefix@|$(prefix)|; s|@version@|$(VERSION)|' $< > $@ # the prefix may be another each time

# Tests of the library see it as its users do.
$(B)/tests/test_tracer $(B)/tests/test_tracer_threads: LDLIBS += $(LIBCF).so -Wl,-rpath,$(abspath $(B)/lib) -pthread
$(B)/tests/test_tracer $(B)/tests/test_tracer_threads: $(LIBCF).so

install: install-tracer
.PHONY: install-tracer
install-tracer: tracer
	install -D -m 755 $(LIBCF).so.$(SO_VERSION) $(DESTDIR)$(prefix)/lib/libcontextforge.so.$(SO_VERSION)
	ln -sf libcontextforge.so.$(SO_VERSION) $(DESTDIR)$(prefix)/lib/libcontextforge.so
	install -D -m 644 $(LIBCF).a $(DESTDIR)$(prefix)/lib/libcontextforge.a
	install -D -m 644 $(B)/lib/contextforge.pc $(DESTDIR)$(prefix)/lib/pkgconfig/contextforge.pc
	install -D -m 644 include/contextforge/tracer.h $(DESTDIR)$(prefix)/include/contextforge/tracer.h

-include $(TRACER_OBJ:.o=.d)

# The same sources once more under ThreadSanitizer, for tests/tracer.
$(B)/tsan/test_tracer_threads: tests/unit/test_tracer_threads.c $(TRACER_SRC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu11 -O1 -g -fsanitize=thread -pthread -o $@ $^ $(shell pkg-config --libs check) -lm
