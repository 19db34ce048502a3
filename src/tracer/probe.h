/*
 * Static probes in the format that SystemTap defined and that perf, bpftrace and libbpf read: a nop in the code, and a
 * note in .note.stapsdt that says where it is and where its three arguments are. Without an observer it costs the nop.
 */
#ifndef CF_TRACER_PROBE_H
#define CF_TRACER_PROBE_H

#if defined(__x86_64__) || defined(__aarch64__)
#define PROBE(name, a, b, c)                                                                                            \
	__asm__ volatile("990:	nop\n"                                                                                  \
			 ".pushsection .note.stapsdt,\"\",\"note\"\n"                                                   \
			 ".balign 4\n"                                                                                  \
			 ".4byte 992f-991f, 994f-993f, 3\n"                                                             \
			 "991:	.asciz \"stapsdt\"\n"                                                                   \
			 "992:	.balign 4\n"                                                                            \
			 "993:	.8byte 990b\n"                                                                          \
			 ".8byte _.stapsdt.base\n"                                                                      \
			 ".8byte 0\n"                                                                                   \
			 ".asciz \"contextforge\"\n"                                                                    \
			 ".asciz \"" name "\"\n"                                                                        \
			 ".asciz \"8@%0 8@%1 8@%2\"\n"                                                                  \
			 "994:	.balign 4\n"                                                                            \
			 ".popsection\n"                                                                                \
			 ".ifndef _.stapsdt.base\n"                                                                     \
			 ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"                        \
			 ".weak _.stapsdt.base\n"                                                                       \
			 ".hidden _.stapsdt.base\n"                                                                     \
			 "_.stapsdt.base: .space 1\n"                                                                   \
			 ".size _.stapsdt.base, 1\n"                                                                    \
			 ".popsection\n"                                                                                \
			 ".endif\n"                                                                                     \
			 :                                                                                              \
			 : "r"((uint64_t)(uintptr_t)(a)), "r"((uint64_t)(uintptr_t)(b)), "r"((uint64_t)(c))             \
			 : "memory")
#else
#define PROBE(name, a, b, c) ((void)(a), (void)(b), (void)(c))
#endif

#endif
