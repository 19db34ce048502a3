/* What a descriptor of the running process stands for. */
#ifndef CF_FD_BPF_H
#define CF_FD_BPF_H

#include "common.bpf.h"

#define S_IFMT 0170000
#define S_IFSOCK 0140000

static __always_inline struct file *file_at(u32 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file *file = NULL;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	struct file **slot = BPF_CORE_READ(table, fd) + fd;
	return bpf_probe_read_kernel(&file, sizeof(file), slot) ? NULL : file;
}

#endif
