#define _GNU_SOURCE
#include "CPosternSandbox.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// The limit of processes is checked against a count that the kernel keeps for each user across all namespaces, zombies included. With a
// limit of two, this process and one child fit, and a third process of the user makes the fork fail.
static int is_alone(void) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    if (child < 0) return 0;
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    return 1;
}

static int sweep(uid_t uid, int kill_all) {
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    struct rlimit two = {.rlim_cur = 2, .rlim_max = 2};
    uid_t real, effective, saved;
    if (uid == 0 || setrlimit(RLIMIT_NPROC, &two) < 0 || syscall(SYS_setgroups, 0, NULL) < 0) return 1;
    if (syscall(SYS_setresgid, uid, uid, uid) < 0 || syscall(SYS_setresuid, uid, uid, uid) < 0) return 1;
    if (syscall(SYS_getresuid, &real, &effective, &saved) < 0 || real != uid || effective != uid || saved != uid) return 1;
    const struct timespec pause = {.tv_nsec = 2000000};
    for (int attempt = 0; attempt < 500; attempt++) {
        // As this user a signal reaches this user's processes only.
        if (kill_all) kill(-1, SIGKILL);
        if (is_alone()) return 0;
        if (!kill_all) return 1;
        nanosleep(&pause, NULL);
    }
    return 1;
}

int psb_sweep_user(uid_t uid, int kill_all, pid_t *child) {
    pid_t pid = fork();
    if (pid < 0) return -errno;
    if (pid == 0) _exit(sweep(uid, kill_all));
    if (child != NULL) {
        *child = pid;
        return 0;
    }
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) return -errno;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}
