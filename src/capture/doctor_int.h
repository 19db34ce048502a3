/* Shared by the files of the doctor. */
#ifndef CF_CAPTURE_DOCTOR_INT_H
#define CF_CAPTURE_DOCTOR_INT_H

#include "base/buf.h"
#include "capture/doctor.h"
#include "capture/locate.h"

enum verdict {
	VERDICT_FINE,
	VERDICT_LIMITED, /* works, with less */
	VERDICT_MISSING,
	VERDICT_UNKNOWN, /* cannot be asked as who we are */
};

struct finding {
	const char *name;
	enum verdict verdict;
	bool required;
	int error;	  /* host_check's answer when it is required and missing */
	char text[256];	  /* what was found */
	char advice[256]; /* what to do; empty when there is nothing to do */
};

enum { HOST_FINDINGS = 10 };
size_t host_look(struct finding out[HOST_FINDINGS]);

/* One file with a TLS library in it that the process maps. */
struct target_file {
	char path[256];
	int result; /* of locate_file */
	struct locate_result found;
};

enum { TARGET_FILES = 32 };

struct target {
	uint32_t pid;
	uint32_t inner_pid; /* in its innermost namespace */
	uint32_t uid;
	char comm[64];
	char exe[256];
	char container[80]; /* as its cgroup names it; empty: none */
	bool seccomp;
	bool io_uring;	 /* has a ring open: what goes through it is not seen */
	int maps_error;	 /* -errno: its mappings could not be read */
	size_t n_mapped; /* executable files that it maps */
	size_t n_unread; /* of them, could not be opened */
	size_t n_files;
	struct target_file *files; /* TARGET_FILES */
	size_t n_hookable;	   /* libraries with something to hook */
};

/* 0 or -ESRCH. target_free in both cases. */
int target_look(uint32_t pid, struct target *out);
void target_free(struct target *t);

/* True when uretprobes would end a process under seccomp (x86-64 kernels with the uretprobe system call and without its
 * exemption). */
bool host_seccomp_kills(void);

#endif
