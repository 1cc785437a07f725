// The seccomp program of the egress proxy, which reads what a hostile sandbox sends: only what a program needs that reads its
// configuration, makes threads, resolves names and moves bytes between sockets. Everything else answers EPERM; nothing is ever executed,
// traced, created, written or mounted.
#define _GNU_SOURCE
#include "CPosternSandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "no filter has been written for this architecture"
#endif

enum { x32_bit = 0x40000000, nr_clone3 = 435, nr_close_range = 436, nr_openat2 = 437 };

// A thread, and nothing but a thread: the C library's flags. A process without CLONE_THREAD could not be executed into, but is not needed.
enum { clone_thread = 0x00010000 };

// Opening for writing, creating, truncating, unnamed files.
enum { writing_flags = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | 020000000 /* __O_TMPFILE */ };

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ARGUMENT(index) LOAD(args[index])
#define IF_EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define IF_ANY(bits, yes, no) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, yes, no)
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define REFUSE RETURN(SECCOMP_RET_ERRNO | EPERM)
#define PASS RETURN(SECCOMP_RET_ALLOW)

#define ALLOW(number) IF_EQUAL(number, 0, 1), PASS
#define ABSENT(number) IF_EQUAL(number, 0, 1), RETURN(SECCOMP_RET_ERRNO | ENOSYS)
// Allowed only when argument `index` has none of `bits`.
#define ALLOW_WITHOUT(number, index, bits) IF_EQUAL(number, 0, 4), ARGUMENT(index), IF_ANY(bits, 0, 1), REFUSE, PASS
// Allowed only when argument `index` has one of `bits`.
#define ALLOW_WITH(number, index, bits) IF_EQUAL(number, 0, 4), ARGUMENT(index), IF_ANY(bits, 1, 0), REFUSE, PASS

// Allowed only when argument `index` is `value`.
#define ALLOW_EQUAL(number, index, value) IF_EQUAL(number, 0, 4), ARGUMENT(index), IF_EQUAL(value, 1, 0), REFUSE, PASS

// Stands for the id of the process that installs the filter; no process has it.
enum { own_process = 0x7FFFFFFF };

// The one of termios with speeds as numbers, which newer C libraries ask a terminal with.
enum { tcgets2 = 0x802C542A };

static const struct sock_filter program[] = {
    LOAD(arch), IF_EQUAL(NATIVE_ARCH, 1, 0), RETURN(SECCOMP_RET_KILL_PROCESS),
    LOAD(nr),
#if defined(__x86_64__)
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, x32_bit, 0, 1), RETURN(SECCOMP_RET_KILL_PROCESS),
#endif

    // Bytes and readiness.
    ALLOW(__NR_read), ALLOW(__NR_write), ALLOW(__NR_readv), ALLOW(__NR_writev), ALLOW(__NR_recvfrom), ALLOW(__NR_recvmsg),
    ALLOW(__NR_sendto), ALLOW(__NR_sendmsg), ALLOW(__NR_recvmmsg), ALLOW(__NR_sendmmsg), ALLOW(__NR_epoll_pwait), ALLOW(__NR_epoll_ctl),
    ALLOW(__NR_epoll_create1), ALLOW(__NR_eventfd2), ALLOW(__NR_timerfd_create), ALLOW(__NR_timerfd_settime), ALLOW(__NR_ppoll),
    ALLOW(__NR_pread64), ALLOW(__NR_lseek), ALLOW(__NR_close), ALLOW(nr_close_range), ALLOW(__NR_shutdown), ALLOW(__NR_dup), ALLOW(__NR_dup3),
    ALLOW(__NR_pipe2),
    // Commands that make the kernel send a signal to a process of the caller's choice, or choose which, would be a way to others. (fcntl)
    IF_EQUAL(__NR_fcntl, 0, 6), ARGUMENT(1), IF_EQUAL(F_SETOWN, 2, 0), IF_EQUAL(F_SETOWN_EX, 1, 0), IF_EQUAL(F_SETSIG, 0, 1), REFUSE, PASS,
    // How much is there to read, whether a descriptor blocks or survives an exec, whether it is a terminal; nothing else that a device or a
    // socket does: FIOSETOWN and SIOCSPGRP are F_SETOWN by another name, TIOCSTI types into a terminal.
    IF_EQUAL(__NR_ioctl, 0, 8), ARGUMENT(1), IF_EQUAL(FIONREAD, 5, 0), IF_EQUAL(FIONBIO, 4, 0), IF_EQUAL(FIOCLEX, 3, 0), IF_EQUAL(TCGETS, 2, 0),
    IF_EQUAL(tcgets2, 1, 0), REFUSE, PASS,
#if defined(__x86_64__)
    ALLOW(__NR_epoll_wait), ALLOW(__NR_poll), ALLOW(__NR_select), ALLOW(__NR_dup2), ALLOW(__NR_eventfd), ALLOW(__NR_epoll_create),
#endif
    ALLOW(__NR_pselect6),

    // Sockets: TCP and UDP outwards, the control socket that is open already. A unix socket could reach a daemon of the host.
    IF_EQUAL(__NR_socket, 0, 5), ARGUMENT(0), IF_EQUAL(AF_INET, 2, 0), IF_EQUAL(AF_INET6, 1, 0), REFUSE, PASS,
    ALLOW(__NR_connect), ALLOW(__NR_accept), ALLOW(__NR_accept4), ALLOW(__NR_bind), ALLOW(__NR_getsockname), ALLOW(__NR_getpeername),
    ALLOW(__NR_getsockopt), ALLOW(__NR_setsockopt), ALLOW(__NR_listen),

    // Reading configuration: roots, resolv.conf, hosts, locale.
    ALLOW_WITHOUT(__NR_openat, 2, writing_flags), ABSENT(nr_openat2), ALLOW(__NR_newfstatat), ALLOW(__NR_fstat), ALLOW(__NR_statx),
    ALLOW(__NR_getdents64), ALLOW(__NR_faccessat), ALLOW(__NR_readlinkat), ALLOW(__NR_getcwd), ALLOW(__NR_statfs), ALLOW(__NR_fstatfs),
#if defined(__x86_64__)
    ALLOW_WITHOUT(__NR_open, 1, writing_flags), ALLOW(__NR_stat), ALLOW(__NR_lstat), ALLOW(__NR_access), ALLOW(__NR_readlink),
#endif

    // Memory that is never executable.
    ALLOW_WITHOUT(__NR_mmap, 2, PROT_EXEC), ALLOW_WITHOUT(__NR_mprotect, 2, PROT_EXEC), ALLOW(__NR_munmap), ALLOW(__NR_mremap),
    ALLOW(__NR_madvise), ALLOW(__NR_brk),

    // Threads. clone3 hides its flags behind a pointer; the C library falls back to clone.
    ALLOW_WITH(__NR_clone, 0, clone_thread), ABSENT(nr_clone3), ALLOW(__NR_futex), ALLOW(__NR_set_robust_list), ALLOW(__NR_get_robust_list),
    ALLOW(__NR_rseq), ALLOW(__NR_set_tid_address), ALLOW(__NR_sched_yield), ALLOW(__NR_sched_getaffinity), ALLOW(__NR_sched_getparam),
    ALLOW(__NR_sched_getscheduler), ALLOW(__NR_sched_setaffinity), ALLOW(__NR_exit), ALLOW(__NR_exit_group), ALLOW(__NR_gettid), ALLOW(__NR_getpid),
    ALLOW(__NR_membarrier),
    // Names of threads, and nothing else that prctl does.
    IF_EQUAL(__NR_prctl, 0, 5), ARGUMENT(0), IF_EQUAL(PR_SET_NAME, 2, 0), IF_EQUAL(PR_GET_NAME, 1, 0), REFUSE, PASS,

    // Signals to itself (abort), clocks, chance, identity.
    ALLOW(__NR_rt_sigaction), ALLOW(__NR_rt_sigprocmask), ALLOW(__NR_rt_sigreturn), ALLOW(__NR_sigaltstack), ALLOW_EQUAL(__NR_tgkill, 0, own_process),
    ALLOW(__NR_restart_syscall), ALLOW(__NR_clock_gettime), ALLOW(__NR_clock_getres), ALLOW(__NR_clock_nanosleep), ALLOW(__NR_nanosleep),
    ALLOW(__NR_gettimeofday), ALLOW(__NR_getrandom), ALLOW(__NR_getuid), ALLOW(__NR_geteuid), ALLOW(__NR_getgid), ALLOW(__NR_getegid),
    ALLOW(__NR_uname), ALLOW(__NR_getrusage), ALLOW(__NR_sysinfo),
    // Reading limits; setting them needs a pointer in argument 2.
    IF_EQUAL(__NR_prlimit64, 0, 4), ARGUMENT(2), IF_EQUAL(0, 0, 1), PASS, REFUSE,
#if defined(__x86_64__)
    ALLOW(__NR_time), ALLOW(__NR_getrlimit), ALLOW(__NR_arch_prctl),
#endif

    REFUSE,
};

int psb_install_egress_filter(void) {
    enum { length = sizeof program / sizeof program[0] };
    struct sock_filter own[length];
    memcpy(own, program, sizeof program);
    int places = 0;
    for (size_t i = 0; i < length; i++) {
        if (own[i].code != (BPF_JMP | BPF_JEQ | BPF_K) || own[i].k != own_process) continue;
        own[i].k = (uint32_t)getpid();
        places++;
    }
    if (places != 1) return -EINVAL;
    struct sock_fprog filter = {.len = length, .filter = own};
    // On every thread: the runtime has some already. A positive answer is the id of a thread that could not follow.
    long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
    return result < 0 ? -errno : result > 0 ? -EAGAIN : 0;
}
