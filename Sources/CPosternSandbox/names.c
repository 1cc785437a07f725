// Names of the system calls that filter.c speaks of, for the listing of the filter. A call is missing here only if it is missing there.
#define _GNU_SOURCE
#include "CPosternSandbox.h"

#include <stddef.h>
#include <sys/syscall.h>

static const struct {
    uint32_t number;
    const char *name;
} names[] = {
#ifdef __NR_ptrace
    {__NR_ptrace, "ptrace"},
#endif
#ifdef __NR_process_vm_readv
    {__NR_process_vm_readv, "process_vm_readv"},
#endif
#ifdef __NR_process_vm_writev
    {__NR_process_vm_writev, "process_vm_writev"},
#endif
#ifdef __NR_kcmp
    {__NR_kcmp, "kcmp"},
#endif
#ifdef __NR_unshare
    {__NR_unshare, "unshare"},
#endif
#ifdef __NR_setns
    {__NR_setns, "setns"},
#endif
#ifdef __NR_clone
    {__NR_clone, "clone"},
#endif
#ifdef __NR_clone3
    {__NR_clone3, "clone3"},
#endif
#ifdef __NR_mount
    {__NR_mount, "mount"},
#endif
#ifdef __NR_umount2
    {__NR_umount2, "umount2"},
#endif
#ifdef __NR_pivot_root
    {__NR_pivot_root, "pivot_root"},
#endif
#ifdef __NR_chroot
    {__NR_chroot, "chroot"},
#endif
#ifdef __NR_fsopen
    {__NR_fsopen, "fsopen"},
#endif
#ifdef __NR_fsmount
    {__NR_fsmount, "fsmount"},
#endif
#ifdef __NR_fsconfig
    {__NR_fsconfig, "fsconfig"},
#endif
#ifdef __NR_fspick
    {__NR_fspick, "fspick"},
#endif
#ifdef __NR_open_tree
    {__NR_open_tree, "open_tree"},
#endif
#ifdef __NR_move_mount
    {__NR_move_mount, "move_mount"},
#endif
#ifdef __NR_bpf
    {__NR_bpf, "bpf"},
#endif
#ifdef __NR_perf_event_open
    {__NR_perf_event_open, "perf_event_open"},
#endif
#ifdef __NR_userfaultfd
    {__NR_userfaultfd, "userfaultfd"},
#endif
#ifdef __NR_fanotify_init
    {__NR_fanotify_init, "fanotify_init"},
#endif
#ifdef __NR_fanotify_mark
    {__NR_fanotify_mark, "fanotify_mark"},
#endif
#ifdef __NR_io_uring_setup
    {__NR_io_uring_setup, "io_uring_setup"},
#endif
#ifdef __NR_io_uring_enter
    {__NR_io_uring_enter, "io_uring_enter"},
#endif
#ifdef __NR_io_uring_register
    {__NR_io_uring_register, "io_uring_register"},
#endif
#ifdef __NR_keyctl
    {__NR_keyctl, "keyctl"},
#endif
#ifdef __NR_add_key
    {__NR_add_key, "add_key"},
#endif
#ifdef __NR_request_key
    {__NR_request_key, "request_key"},
#endif
#ifdef __NR_open_by_handle_at
    {__NR_open_by_handle_at, "open_by_handle_at"},
#endif
#ifdef __NR_name_to_handle_at
    {__NR_name_to_handle_at, "name_to_handle_at"},
#endif
#ifdef __NR_kexec_load
    {__NR_kexec_load, "kexec_load"},
#endif
#ifdef __NR_init_module
    {__NR_init_module, "init_module"},
#endif
#ifdef __NR_finit_module
    {__NR_finit_module, "finit_module"},
#endif
#ifdef __NR_delete_module
    {__NR_delete_module, "delete_module"},
#endif
#ifdef __NR_reboot
    {__NR_reboot, "reboot"},
#endif
#ifdef __NR_swapon
    {__NR_swapon, "swapon"},
#endif
#ifdef __NR_swapoff
    {__NR_swapoff, "swapoff"},
#endif
#ifdef __NR_syslog
    {__NR_syslog, "syslog"},
#endif
#ifdef __NR_acct
    {__NR_acct, "acct"},
#endif
#ifdef __NR_quotactl
    {__NR_quotactl, "quotactl"},
#endif
#ifdef __NR_settimeofday
    {__NR_settimeofday, "settimeofday"},
#endif
#ifdef __NR_clock_settime
    {__NR_clock_settime, "clock_settime"},
#endif
#ifdef __NR_adjtimex
    {__NR_adjtimex, "adjtimex"},
#endif
#ifdef __NR_clock_adjtime
    {__NR_clock_adjtime, "clock_adjtime"},
#endif
#ifdef __NR_sethostname
    {__NR_sethostname, "sethostname"},
#endif
#ifdef __NR_setdomainname
    {__NR_setdomainname, "setdomainname"},
#endif
#ifdef __NR_vhangup
    {__NR_vhangup, "vhangup"},
#endif
#ifdef __NR_nfsservctl
    {__NR_nfsservctl, "nfsservctl"},
#endif
#ifdef __NR_lookup_dcookie
    {__NR_lookup_dcookie, "lookup_dcookie"},
#endif
#ifdef __NR_kexec_file_load
    {__NR_kexec_file_load, "kexec_file_load"},
#endif
#ifdef __NR_iopl
    {__NR_iopl, "iopl"},
#endif
#ifdef __NR_ioperm
    {__NR_ioperm, "ioperm"},
#endif
#ifdef __NR_modify_ldt
    {__NR_modify_ldt, "modify_ldt"},
#endif
#ifdef __NR_uselib
    {__NR_uselib, "uselib"},
#endif
#ifdef __NR_ustat
    {__NR_ustat, "ustat"},
#endif
#ifdef __NR_sysfs
    {__NR_sysfs, "sysfs"},
#endif
#ifdef __NR__sysctl
    {__NR__sysctl, "_sysctl"},
#endif
#ifdef __NR_create_module
    {__NR_create_module, "create_module"},
#endif
#ifdef __NR_get_kernel_syms
    {__NR_get_kernel_syms, "get_kernel_syms"},
#endif
#ifdef __NR_query_module
    {__NR_query_module, "query_module"},
#endif
#ifdef __NR_personality
    {__NR_personality, "personality"},
#endif
#ifdef __NR_mbind
    {__NR_mbind, "mbind"},
#endif
#ifdef __NR_set_mempolicy
    {__NR_set_mempolicy, "set_mempolicy"},
#endif
#ifdef __NR_get_mempolicy
    {__NR_get_mempolicy, "get_mempolicy"},
#endif
#ifdef __NR_migrate_pages
    {__NR_migrate_pages, "migrate_pages"},
#endif
#ifdef __NR_move_pages
    {__NR_move_pages, "move_pages"},
#endif
#ifdef __NR_ioctl
    {__NR_ioctl, "ioctl"},
#endif
#ifdef __NR_fchmod
    {__NR_fchmod, "fchmod"},
#endif
#ifdef __NR_fchmodat
    {__NR_fchmodat, "fchmodat"},
#endif
#ifdef __NR_openat
    {__NR_openat, "openat"},
#endif
#ifdef __NR_mknodat
    {__NR_mknodat, "mknodat"},
#endif
#ifdef __NR_chmod
    {__NR_chmod, "chmod"},
#endif
#ifdef __NR_creat
    {__NR_creat, "creat"},
#endif
#ifdef __NR_open
    {__NR_open, "open"},
#endif
#ifdef __NR_mknod
    {__NR_mknod, "mknod"},
#endif
#ifdef __NR_socket
    {__NR_socket, "socket"},
#endif
#ifdef __NR_socketpair
    {__NR_socketpair, "socketpair"},
#endif
    // Newer than some headers; the numbers are those of every architecture.
    {438, "pidfd_getfd"},
    {437, "openat2"},
    {440, "process_madvise"},
    {442, "mount_setattr"},
    {443, "quotactl_fd"},
    {447, "memfd_secret"},
    {450, "set_mempolicy_home_node"},
    {452, "fchmodat2"},
    {457, "statmount"},
    {458, "listmount"},
};

const char *psb_system_call_name(uint32_t number) {
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].number == number) return names[i].name;
    }
    return NULL;
}
