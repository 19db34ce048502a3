# The programs that the benchmarks run.
BENCH := $(B)/bench
BENCH_PROGRAMS := $(addprefix $(BENCH)/,bench_model tls_pair traffic probe_pair empty.bpf.o)

.PHONY: bench-programs
bench-programs: $(BENCH_PROGRAMS)
$(BENCH)/bench_model $(BENCH)/probe_pair: $(BENCH)/%: tests/bench/%.c $(B)/libcf-all.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC    $<")
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -o $@ $< $(B)/libcf-all.a $(LDLIBS)
$(BENCH)/tls_pair $(BENCH)/traffic: $(BENCH)/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC    $<")
	$(Q)$(CC) -D_GNU_SOURCE $(WARN) $(CFLAGS) -o $@ $< -lssl -lcrypto
$(BENCH)/empty.bpf.o: tests/bench/empty.bpf.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  BPF   $<")
	$(Q)$(CLANG) -target bpf -mcpu=v3 -g -O2 -Wall -I/usr/include/$(shell uname -m)-linux-gnu -c -o $@ $<
