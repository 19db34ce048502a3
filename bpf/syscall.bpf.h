/*
 * System calls, seen where they end: all arguments are still in the saved registers then, and a path or buffer that the
 * call has just used is in memory (at entry an untouched page could not be read).
 */
#ifndef CF_SYSCALL_BPF_H
#define CF_SYSCALL_BPF_H

#include "common.bpf.h"
#include "sysnr.h"

#if defined(__TARGET_ARCH_x86)
#define SYSCALL_NR(r) ((r)->orig_ax)
#define SYSCALL_ARG1(r) ((r)->di)
#define SYSCALL_ARG2(r) ((r)->si)
#define SYSCALL_ARG3(r) ((r)->dx)
#define SYSCALL_ARG4(r) ((r)->r10)
#define SYSCALL_ARG5(r) ((r)->r8)
#elif defined(__TARGET_ARCH_arm64)
#define SYSCALL_NR(r) ((unsigned long)(r)->syscallno)
#define SYSCALL_ARG1(r) ((r)->orig_x0) /* x0 holds the result already */
#define SYSCALL_ARG2(r) ((r)->regs[1])
#define SYSCALL_ARG3(r) ((r)->regs[2])
#define SYSCALL_ARG4(r) ((r)->regs[3])
#define SYSCALL_ARG5(r) ((r)->regs[4])
#endif

#endif
