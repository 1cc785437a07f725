#define _GNU_SOURCE
#include "CPosternSandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int drop_bounding_set(void) {
    for (unsigned capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) return -errno;
    }
    return 0;
}

static int become(uid_t uid, gid_t gid, const gid_t *groups, size_t count) {
    if (syscall(SYS_setgroups, count, groups) < 0) return -errno;
    if (syscall(SYS_setresgid, gid, gid, gid) < 0) return -errno;
    if (syscall(SYS_setresuid, uid, uid, uid) < 0) return -errno;
    // Believe the kernel's answer, not the call's.
    uid_t real, effective, saved;
    if (syscall(SYS_getresuid, &real, &effective, &saved) < 0) return -errno;
    if (real != uid || effective != uid || saved != uid) return -EPERM;
    if (syscall(SYS_getresgid, &real, &effective, &saved) < 0) return -errno;
    return real == gid && effective == gid && saved == gid ? 0 : -EPERM;
}

static int clear_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

int psb_give_up_privileges(uid_t uid, gid_t gid, const gid_t *groups, size_t count) {
    if (uid == 0 || gid == 0) return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        if (groups[i] == 0) return -EINVAL;
    }
    int error;
    const struct rlimit no_core = {0};
    if (setrlimit(RLIMIT_CORE, &no_core) < 0) return -errno;
    // What root possesses of the kernel's key service stays with root.
    if ((error = psb_join_fresh_keyring()) < 0) return error;
    // A container's root may lack the right to (CAP_SETPCAP). Without new privileges the set is of no use to anybody either way.
    if ((error = drop_bounding_set()) < 0 && error != -EPERM) return error;
    if ((error = become(uid, gid, groups, count)) < 0) return error;
    if ((error = clear_capabilities()) < 0) return error;
    if ((error = psb_set_no_new_privs()) < 0) return error;
    // There must be no way back.
    return syscall(SYS_setresuid, 0, 0, 0) == 0 ? -EPERM : 0;
}
