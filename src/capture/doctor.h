/*
 * What this host and a process allow: asked before attaching, and told at length by `cf-observe doctor`. Features are
 * tried, never judged by the kernel's version.
 */
#ifndef CF_CAPTURE_DOCTOR_H
#define CF_CAPTURE_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0, or -EPERM (privilege), -ENOENT (no BTF), -ENOTSUP (anything else) and `why` says what is missing and what to do. */
int host_check(char *why, size_t len);
/* 0, or -ESRCH and `why`, which names the host's number when `pid` is one inside a container. */
int target_check(uint32_t pid, char *why, size_t len);

/* The command. Gives an exit code. */
int doctor_run(const uint32_t *pids, size_t n_pids, bool json);

#endif
