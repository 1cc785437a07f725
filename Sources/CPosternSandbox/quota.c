#define _GNU_SOURCE
#include "CPosternSandbox.h"

#include <errno.h>
#include <linux/quota.h>
#include <sys/syscall.h>
#include <unistd.h>

int psb_set_user_quota(int directory, uid_t uid, uint64_t bytes, uint64_t inodes) {
    enum { nr_quotactl_fd = 443 };
    struct if_dqblk quota = {
        .dqb_bhardlimit = (bytes + QIF_DQBLKSIZE - 1) / QIF_DQBLKSIZE,
        .dqb_ihardlimit = inodes,
        .dqb_valid = QIF_LIMITS,
    };
    // Command in the upper bits, the kind of quota in the lower eight: QCMD of the kernel, which the C library's own header redefines.
    unsigned command = ((unsigned)Q_SETQUOTA << 8) | USRQUOTA;
    return syscall(nr_quotactl_fd, directory, command, uid, &quota) < 0 ? -errno : 0;
}
