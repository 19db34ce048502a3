/* The least that an entry and a return probe can cost: they do nothing. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("uprobe")
int empty_enter(void *ctx)
{
	return 0;
}

SEC("uretprobe")
int empty_return(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
