#define _GNU_SOURCE
#include "CPosternSandbox.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int result(long value) { return value < 0 ? -errno : (int)value; }

int psb_make_undumpable(void) { return result(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)); }

int psb_join_fresh_keyring(void) {
    long id = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0);
    // A kernel without keyrings has none to leak.
    if (id < 0) return errno == ENOSYS ? 0 : -errno;
    return 0;
}

int psb_close_from(int first) { return result(syscall(SYS_close_range, first, ~0U, 0)); }

int psb_set_no_new_privs(void) { return result(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }

int psb_become_subreaper(void) { return result(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)); }

int psb_seccomp_available(void) {
    uint32_t action = SECCOMP_RET_KILL_PROCESS;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

int psb_set_limit(int which, uint64_t value) {
    static const int resources[] = {
        [PSB_LIMIT_CORE] = RLIMIT_CORE,           [PSB_LIMIT_CPU] = RLIMIT_CPU,
        [PSB_LIMIT_FILE_SIZE] = RLIMIT_FSIZE,     [PSB_LIMIT_OPEN_FILES] = RLIMIT_NOFILE,
        [PSB_LIMIT_PROCESSES] = RLIMIT_NPROC,     [PSB_LIMIT_ADDRESS_SPACE] = RLIMIT_AS,
        [PSB_LIMIT_LOCKED] = RLIMIT_MEMLOCK,           [PSB_LIMIT_DATA] = RLIMIT_DATA,
    };
    if (which < 0 || (size_t)which >= sizeof resources / sizeof resources[0]) return -EINVAL;
    struct rlimit limit;
    if (getrlimit(resources[which], &limit) < 0) return -errno;
    if (limit.rlim_max != RLIM_INFINITY && value > limit.rlim_max) value = limit.rlim_max;
    limit.rlim_cur = limit.rlim_max = value;
    return result(setrlimit(resources[which], &limit));
}
