#define _GNU_SOURCE
#include "CPosternSandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x00000004
#endif

pid_t psb_fork(void) {
    pid_t pid = fork();
    return pid < 0 ? -errno : pid;
}

int psb_watch_children(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) return -errno;
    int descriptor = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return descriptor < 0 ? -errno : descriptor;
}

void psb_clear_children(int descriptor) {
    struct signalfd_siginfo information[8];
    while (read(descriptor, information, sizeof information) > 0) {}
}

void psb_unblock_signals(void) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

int psb_pidfd_open(pid_t pid) {
    int descriptor = (int)syscall(SYS_pidfd_open, pid, 0);
    return descriptor < 0 ? -errno : descriptor;
}

int psb_pidfd_kill(int descriptor, int signal) {
    return syscall(SYS_pidfd_send_signal, descriptor, signal, NULL, 0) < 0 ? -errno : 0;
}

enum { most_descriptors = 8, scratch = 16 };

// What `prepare` calls runs in the child of vfork, which borrows the parent's memory until execve: system calls and locals only, and raw
// calls where the C library would talk to the other threads of the parent (setresuid).

static int become_user(const struct psb_process *process) {
    if (process->uid == 0) return 0;
    if (syscall(SYS_setgroups, 0, NULL) < 0) return -errno;
    if (syscall(SYS_setresgid, process->gid, process->gid, process->gid) < 0) return -errno;
    if (syscall(SYS_setresuid, process->uid, process->uid, process->uid) < 0) return -errno;
    // Believe the kernel's answer, not the call's.
    uid_t real, effective, saved;
    if (syscall(SYS_getresuid, &real, &effective, &saved) < 0) return -errno;
    return real == process->uid && effective == process->uid && saved == process->uid ? 0 : -EPERM;
}

enum birth { born_here, born_in_group };

// Before anything else, so that all that the new process ever does is counted.
static int join_groups(const struct psb_process *process, enum birth birth) {
    for (int i = 0; i < process->group_count; i++) {
        if (write(process->groups[i], "0", 1) != 1) return -errno;
    }
    if (process->group_folder <= 0 || birth == born_in_group) return 0;
    int file = openat(process->group_folder, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (file < 0) return -errno;
    int error = write(file, "0", 1) == 1 ? 0 : -errno;
    close(file);
    return error;
}

static int place_overlay(const struct psb_process *process) {
    return process->overlay_point == NULL ? 0 : psb_mount_overlay(process->overlay_point, process->overlay_options);
}

static int place_mounts(const struct psb_process *process) {
    if (process->mount_namespace >= 0 && setns(process->mount_namespace, CLONE_NEWNS) < 0) return -errno;
    if (process->mount_count == 0) return 0;
    if (unshare(CLONE_NEWNS) < 0) return -errno;
    for (int i = 0; i < process->mount_count; i++) {
        if (syscall(SYS_move_mount, process->mounts[i], "", AT_FDCWD, process->mount_points[i], MOVE_MOUNT_F_EMPTY_PATH) < 0) return -errno;
    }
    return place_overlay(process);
}

static int place_descriptors(const struct psb_process *process) {
    int copies[most_descriptors];
    for (int i = 0; i < process->descriptor_count; i++) {
        copies[i] = fcntl(process->descriptors[i], F_DUPFD_CLOEXEC, scratch);
        if (copies[i] < 0) return -errno;
    }
    for (int i = 0; i < process->descriptor_count; i++) {
        if (dup2(copies[i], i) < 0) return -errno;
    }
    return syscall(SYS_close_range, process->descriptor_count, ~0U, 0) < 0 ? -errno : 0;
}

static int limit(int resource, uint64_t value) {
    if (value == 0) return 0;
    struct rlimit limit = {.rlim_cur = value, .rlim_max = value};
    return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

// What is allowed already is the most that there is to give.
static int limit_open_files(uint64_t value) {
    struct rlimit now;
    if (value == 0) return 0;
    if (getrlimit(RLIMIT_NOFILE, &now) < 0) return -errno;
    return limit(RLIMIT_NOFILE, now.rlim_max < value ? now.rlim_max : value);
}

static void reset_signals(void) {
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int signal = 1; signal < _NSIG; signal++) sigaction(signal, &standard, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void ignore_termination(void) {
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) sigaction(signals[i], &ignored, NULL);
}

static int prepare(const struct psb_process *process, pid_t parent, enum birth birth) {
    int error;
    if ((error = join_groups(process, birth)) < 0) return error;
    if (process->new_session && setsid() < 0) return -errno;
    if ((error = place_mounts(process)) < 0) return error;
    // After a change of namespace, which starts at its root.
    if (process->directory >= 0 && fchdir(process->directory) < 0) return -errno;
    if ((error = become_user(process)) < 0) return error;
    if (process->die_with_parent) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return -errno;
        // The parent may have died before the line above.
        if (getppid() != parent) return -ESRCH;
    }
    if ((error = limit(RLIMIT_NPROC, process->process_limit)) < 0) return error;
    if ((error = limit_open_files(process->open_files_limit)) < 0) return error;
    if ((error = limit(RLIMIT_AS, process->address_space_limit)) < 0) return error;
    if ((error = limit(RLIMIT_CPU, process->cpu_limit)) < 0) return error;
    if ((error = limit(RLIMIT_DATA, process->data_limit)) < 0) return error;
    if ((error = place_descriptors(process)) < 0) return error;
    reset_signals();
    if (process->ignore_termination) ignore_termination();
    return 0;
}

static void run(const struct psb_process *process, pid_t parent, enum birth birth, volatile int *failure) {
    *failure = prepare(process, parent, birth);
    if (*failure == 0) {
        execve(process->path, process->arguments, process->environment);
        *failure = -errno;
    }
    _exit(127);
}

static pid_t spawn_here(const struct psb_process *process, pid_t parent, volatile int *failure) {
    pid_t pid = vfork();
    if (pid == 0) run(process, parent, born_here, failure);
    return pid < 0 ? -errno : pid;
}

// A process that moves into a group of version 2 waits for a grace period of the kernel, 10 ms and more; one that is born there does not.
// It has a copy of the parent's memory, since clone3 would need a stack of its own to share it; the parent waits for execve all the same.
static pid_t spawn_in_group(const struct psb_process *process, pid_t parent, volatile int *failure) {
    volatile int *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return -errno;
    struct clone_args how = {.flags = CLONE_INTO_CGROUP | CLONE_VFORK, .exit_signal = SIGCHLD, .cgroup = (uint64_t)process->group_folder};
    pid_t pid = (pid_t)syscall(SYS_clone3, &how, sizeof how);
    if (pid == 0) run(process, parent, born_in_group, shared);
    int error = errno;
    *failure = *shared;
    munmap((void *)shared, sizeof *shared);
    return pid < 0 ? -error : pid;
}

static pid_t spawn(const struct psb_process *process, pid_t parent, volatile int *failure) {
    if (process->group_folder > 0) {
        pid_t pid = spawn_in_group(process, parent, failure);
        // A container's filter or a kernel before 5.7 does not know the call; what else is wrong shows once more.
        if (pid > 0) return pid;
    }
    return spawn_here(process, parent, failure);
}

pid_t psb_spawn(const struct psb_process *process) {
    if (process->descriptor_count > most_descriptors) return -EINVAL;
    volatile int failure = 0;
    pid_t parent = getpid();
    sigset_t all, before;
    // No handler of the parent may run in the child while they share memory.
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = spawn(process, parent, &failure);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) return pid;
    if (failure != 0) {
        // The caller must never see the stillborn child.
        siginfo_t ignored;
        while (syscall(SYS_waitid, 1 /* P_PID */, pid, &ignored, 4 /* WEXITED */, NULL) < 0 && errno == EINTR) {}
        return failure;
    }
    return pid;
}
