/* Where the maps and the load-time constants are. */
#define MAP
#include "common.bpf.h"

const volatile unsigned long long wake_at = 1 << 20;
const volatile unsigned long long sample_limit = 4 << 20;

char LICENSE[] SEC("license") = "GPL";
