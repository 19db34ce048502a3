/* System calls that we look at, by number. Source: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h. */
#ifndef CF_SYSNR_H
#define CF_SYSNR_H

#if defined(__TARGET_ARCH_x86)
#define NR_read 0
#define NR_write 1
#define NR_open 2
#define NR_mmap 9
#define NR_readv 19
#define NR_writev 20
#define NR_sendfile 40
#define NR_sendto 44
#define NR_recvfrom 45
#define NR_sendmsg 46
#define NR_recvmsg 47
#define NR_rename 82
#define NR_mkdir 83
#define NR_creat 85
#define NR_unlink 87
#define NR_openat 257
#define NR_mkdirat 258
#define NR_unlinkat 263
#define NR_renameat 264
#define NR_splice 275
#define NR_renameat2 316
#define NR_io_uring_setup 425
#define NR_openat2 437
#else /* the generic table: arm64, riscv64 */
#define NR_mkdirat 34
#define NR_unlinkat 35
#define NR_renameat 38
#define NR_openat 56
#define NR_read 63
#define NR_write 64
#define NR_readv 65
#define NR_writev 66
#define NR_sendfile 71
#define NR_splice 76
#define NR_sendto 206
#define NR_recvfrom 207
#define NR_sendmsg 211
#define NR_recvmsg 212
#define NR_mmap 222
#define NR_renameat2 276
#define NR_io_uring_setup 425
#define NR_openat2 437
#endif

#endif
