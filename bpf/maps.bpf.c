/* Where the maps and the load-time constants are. */
#define MAP
#include "common.bpf.h"

const volatile u64 wake_at = 1 << 20;
const volatile u64 sample_limit = 4 << 20;
const volatile u32 own_pid = 0;

char LICENSE[] SEC("license") = "GPL";
