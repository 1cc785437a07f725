// The seccomp program of every process in a sandbox, as data: nothing is generated at run time, what stands here is what runs.
//
// Its shape: foreign architectures are killed; system calls newer than this file do not exist; then one line per refused call
// (DENY) and one block per call whose arguments decide; everything else is allowed. The kernel caches the verdict of calls that are
// allowed whatever their arguments (since 5.11), so the length of the list costs the common calls nothing.
//
// EPERM is the answer to what is forbidden. ENOSYS is the answer where programs know how to do without: clone3 hides its flags
// behind a pointer (libc falls back to clone), openat2 its mode, and io_uring does every forbidden thing without a system call.
#define _GNU_SOURCE
#include "CPosternSandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "no filter has been written for this architecture"
#endif

// Where the C library's headers are older than the kernel. Numbers from 424 on are the same on every architecture.
enum {
    nr_pidfd_getfd = 438, nr_openat2 = 437, nr_process_madvise = 440, nr_mount_setattr = 442, nr_quotactl_fd = 443,
    nr_memfd_secret = 447, nr_set_mempolicy_home_node = 450, nr_fchmodat2 = 452, nr_statmount = 457, nr_listmount = 458,
    nr_newest = 462,  // mseal, Linux 6.10
};

enum {
    namespace_flags = 0x00020000 /* NEWNS */ | 0x02000000 /* NEWCGROUP */ | 0x04000000 /* NEWUTS */ | 0x08000000 /* NEWIPC */
        | 0x10000000 /* NEWUSER */ | 0x20000000 /* NEWPID */ | 0x40000000 /* NEWNET */,
    set_id_bits = S_ISUID | S_ISGID,
    creating_flags = O_CREAT | 020000000 /* __O_TMPFILE */,
    tiocsti = 0x5412, tioclinux = 0x541C, tiocsetd = 0x5423,
    x32_bit = 0x40000000,
};

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
// The low half of an argument: both architectures are little-endian, and the kernel ignores the high half of each one used here.
#define ARGUMENT(index) LOAD(args[index])
#define MASK(bits) BPF_STMT(BPF_ALU | BPF_AND | BPF_K, bits)
#define IF_EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define IF_ANY(bits, yes, no) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, yes, no)
#define IF_AT_LEAST(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, value, yes, no)
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define ALLOW RETURN(SECCOMP_RET_ALLOW)
#define REFUSE(error) RETURN(SECCOMP_RET_ERRNO | (error))
#define KILL RETURN(SECCOMP_RET_KILL_PROCESS)

// One line each: this call is refused, whatever its arguments.
#define DENY(number) IF_EQUAL(number, 0, 1), REFUSE(EPERM)
#define ABSENT(number) IF_EQUAL(number, 0, 1), REFUSE(ENOSYS)

// Refused when argument `index` has one of `bits`.
#define DENY_BITS(number, index, bits) IF_EQUAL(number, 0, 4), ARGUMENT(index), IF_ANY(bits, 0, 1), REFUSE(EPERM), ALLOW

// Refused when the call may create a file and asks for set-id bits; without a creating flag the mode is garbage and not looked at.
#define DENY_CREATING_SET_ID(number, flags, mode) \
    IF_EQUAL(number, 0, 6), ARGUMENT(flags), IF_ANY(creating_flags, 0, 3), ARGUMENT(mode), IF_ANY(set_id_bits, 0, 1), REFUSE(EPERM), ALLOW

// Refused for set-id bits and for device nodes; FIFOs, sockets and regular files pass.
#define DENY_DEVICES(number, mode)                                                                                                     \
    IF_EQUAL(number, 0, 7), ARGUMENT(mode), IF_ANY(set_id_bits, 4, 0), MASK(S_IFMT), IF_EQUAL(S_IFCHR, 2, 0), IF_EQUAL(S_IFBLK, 1, 0), \
        ALLOW, REFUSE(EPERM)

// AF_UNIX; AF_NETLINK for routes only; AF_INET and AF_INET6 as plain TCP and UDP: no raw, ICMP, SCTP or MPTCP sockets. The jumps
// count instructions: 15 is ALLOW, 16 is REFUSE.
#define ONLY_PLAIN_SOCKETS(number)                                                                                              \
    IF_EQUAL(number, 0, 17),                                                                                                    \
        /* 0 */ ARGUMENT(0), IF_EQUAL(AF_UNIX, 13, 0), IF_EQUAL(AF_NETLINK, 10, 0), IF_EQUAL(AF_INET, 1, 0),                    \
        /* 4 */ IF_EQUAL(AF_INET6, 0, 11), ARGUMENT(1), MASK(0xf), IF_EQUAL(SOCK_STREAM, 1, 0), IF_EQUAL(SOCK_DGRAM, 0, 7),     \
        /* 9 */ ARGUMENT(2), IF_EQUAL(0, 4, 0), IF_EQUAL(6 /* TCP */, 3, 0), IF_EQUAL(17 /* UDP */, 2, 3),                      \
        /* 13 */ ARGUMENT(2), IF_EQUAL(0 /* NETLINK_ROUTE */, 0, 1), ALLOW, REFUSE(EPERM)

static const struct sock_filter program[] = {
    LOAD(arch), IF_EQUAL(NATIVE_ARCH, 1, 0), KILL,
    LOAD(nr),
#if defined(__x86_64__)
    IF_AT_LEAST(x32_bit, 0, 1), KILL,
#endif
    IF_AT_LEAST(nr_newest + 1, 0, 1), REFUSE(ENOSYS),

    // Other processes: their memory, registers, descriptors.
    DENY(__NR_ptrace), DENY(__NR_process_vm_readv), DENY(__NR_process_vm_writev), DENY(nr_pidfd_getfd), DENY(__NR_kcmp),
    DENY(nr_process_madvise),

    // Namespaces. clone by argument, clone3 not at all.
    DENY(__NR_unshare), DENY(__NR_setns), DENY_BITS(__NR_clone, 0, namespace_flags), ABSENT(__NR_clone3),

    // Mounts, by the old and the new interface.
    DENY(__NR_mount), DENY(__NR_umount2), DENY(__NR_pivot_root), DENY(__NR_chroot), DENY(__NR_fsopen), DENY(__NR_fsmount),
    DENY(__NR_fsconfig), DENY(__NR_fspick), DENY(__NR_open_tree), DENY(__NR_move_mount), DENY(nr_mount_setattr), ABSENT(nr_statmount),
    ABSENT(nr_listmount),

    // Kernel surface that tools have no use for.
    DENY(__NR_bpf), DENY(__NR_perf_event_open), DENY(__NR_userfaultfd), DENY(__NR_fanotify_init), DENY(__NR_fanotify_mark),
    ABSENT(nr_memfd_secret), ABSENT(__NR_io_uring_setup), ABSENT(__NR_io_uring_enter), ABSENT(__NR_io_uring_register),

    // Keys belong to uids, not to namespaces.
    DENY(__NR_keyctl), DENY(__NR_add_key), DENY(__NR_request_key),

    // Files by handle, round every path.
    DENY(__NR_open_by_handle_at), DENY(__NR_name_to_handle_at),

    // The machine.
    DENY(__NR_kexec_load), DENY(__NR_init_module), DENY(__NR_finit_module), DENY(__NR_delete_module), DENY(__NR_reboot),
    DENY(__NR_swapon), DENY(__NR_swapoff), DENY(__NR_syslog), DENY(__NR_acct), DENY(__NR_quotactl), DENY(nr_quotactl_fd),
    DENY(__NR_settimeofday), DENY(__NR_clock_settime), DENY(__NR_adjtimex), DENY(__NR_clock_adjtime), DENY(__NR_sethostname),
    DENY(__NR_setdomainname), DENY(__NR_vhangup), DENY(__NR_nfsservctl), DENY(__NR_lookup_dcookie),
#if defined(__NR_kexec_file_load)
    DENY(__NR_kexec_file_load),
#endif
#if defined(__x86_64__)
    DENY(__NR_iopl), DENY(__NR_ioperm), DENY(__NR_modify_ldt), DENY(__NR_uselib), DENY(__NR_ustat), DENY(__NR_sysfs),
    DENY(__NR__sysctl), DENY(__NR_create_module), DENY(__NR_get_kernel_syms), DENY(__NR_query_module),
#endif

    // Other personalities than Linux's own, with or without 32 bits' names: executable data, old bugs. Asking is allowed.
    IF_EQUAL(__NR_personality, 0, 8), ARGUMENT(0), IF_EQUAL(0xffffffff, 5, 0), IF_EQUAL(0, 4, 0), IF_EQUAL(0x8 /* PER_LINUX32 */, 3, 0),
    IF_EQUAL(0x20000 /* UNAME26 */, 2, 0), IF_EQUAL(0x20008, 1, 0), REFUSE(EPERM), ALLOW,

    // NUMA placement.
    DENY(__NR_mbind), DENY(__NR_set_mempolicy), DENY(__NR_get_mempolicy), DENY(__NR_migrate_pages), DENY(__NR_move_pages),
    DENY(nr_set_mempolicy_home_node),

    // Terminals: typing into one, pasting through a console, loading line disciplines.
    IF_EQUAL(__NR_ioctl, 0, 6), ARGUMENT(1), IF_EQUAL(tiocsti, 3, 0), IF_EQUAL(tioclinux, 2, 0), IF_EQUAL(tiocsetd, 1, 0), ALLOW, REFUSE(EPERM),

    // Set-id bits and devices, by every call that can make them.
    DENY_BITS(__NR_fchmod, 1, set_id_bits), DENY_BITS(__NR_fchmodat, 2, set_id_bits), DENY_BITS(nr_fchmodat2, 2, set_id_bits),
    DENY_CREATING_SET_ID(__NR_openat, 2, 3), ABSENT(nr_openat2), DENY_DEVICES(__NR_mknodat, 2),
#if defined(__x86_64__)
    DENY_BITS(__NR_chmod, 1, set_id_bits), DENY_BITS(__NR_creat, 1, set_id_bits), DENY_CREATING_SET_ID(__NR_open, 1, 2),
    DENY_DEVICES(__NR_mknod, 1),
#endif

    // Socket families autoload modules and some of them leave the network namespace (vsock).
    ONLY_PLAIN_SOCKETS(__NR_socket), ONLY_PLAIN_SOCKETS(__NR_socketpair),

    ALLOW,
};

size_t psb_filter_length(void) { return sizeof program / sizeof program[0]; }

struct psb_instruction psb_filter_instruction(size_t index) {
    struct psb_instruction none = {0};
    if (index >= psb_filter_length()) return none;
    return (struct psb_instruction){program[index].code, program[index].jt, program[index].jf, program[index].k};
}

uint32_t psb_filter_architecture(void) { return NATIVE_ARCH; }

int psb_install_filter(void) {
    struct sock_fprog filter = {.len = (unsigned short)psb_filter_length(), .filter = (struct sock_filter *)program};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0 ? -errno : 0;
}
