#define _GNU_SOURCE
#include "CPosternSandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

// Declared here and not taken from <linux/mount.h>, which quarrels with <sys/mount.h> in glibc 2.36.
struct mount_attributes {
    uint64_t set, clear, propagation, user_namespace;
};
enum { clone_tree = 1, attribute_idmap = 0x00100000 };

int psb_private_mounts(void) {
    int outer = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (outer < 0) return -errno;
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        int error = errno;
        close(outer);
        return -error;
    }
    return outer;
}

int psb_mount_tmpfs(const char *path, const char *options) {
    return mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0 ? -errno : 0;
}

int psb_bind(const char *source, const char *target) { return mount(source, target, NULL, MS_BIND, NULL) < 0 ? -errno : 0; }

int psb_mount_overlay(const char *path, const char *options) {
    return mount("overlay", path, "overlay", MS_NOSUID | MS_NODEV, options) < 0 ? -errno : 0;
}

static int write_own(const char *file, const char *text) {
    int descriptor = open(file, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) return -errno;
    int error = write(descriptor, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;
    close(descriptor);
    return error;
}

int psb_enter_user_namespace(void) {
    char uids[32], gids[32];
    snprintf(uids, sizeof uids, "%u %u 1", geteuid(), geteuid());
    snprintf(gids, sizeof gids, "%u %u 1", getegid(), getegid());
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) return -errno;
    int error = write_own("/proc/self/setgroups", "deny");
    if (error == 0) error = write_own("/proc/self/uid_map", uids);
    if (error == 0) error = write_own("/proc/self/gid_map", gids);
    if (error == 0 && mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) error = -errno;
    return error;
}

struct step {
    int directory;
    const char *path, *below;
    int flags;
};

// Does `act` in the mount namespace `outer` and comes back; what `act` returned.
static int do_outside(int outer, int (*act)(const struct step *), const struct step *step) {
    int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (own < 0) return -errno;
    if (setns(outer, CLONE_NEWNS) < 0) {
        int error = errno;
        close(own);
        return -error;
    }
    int result = act(step);
    // To go on in the wrong namespace is worse than to end.
    if (setns(own, CLONE_NEWNS) < 0) abort();
    close(own);
    return result;
}

static int clone_tree_of(const struct step *step) {
    int tree = (int)syscall(SYS_open_tree, step->directory, "", AT_EMPTY_PATH | clone_tree | O_CLOEXEC);
    return tree < 0 ? -errno : tree;
}

int psb_clone_mount(int directory, int outer) {
    struct step step = {.directory = directory};
    return do_outside(outer, clone_tree_of, &step);
}

static int open_below(const struct step *step) {
    const char *path = step->path, *below = step->below;
    int flags = step->flags;
    if (below == NULL) {
        int descriptor = open(path, flags | O_NOFOLLOW | O_CLOEXEC);
        return descriptor < 0 ? -errno : descriptor;
    }
    int folder = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return -errno;
    struct open_how how = {.flags = (uint64_t)(flags | O_NOFOLLOW | O_CLOEXEC), .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    int descriptor = (int)syscall(SYS_openat2, folder, below, &how, sizeof how);
    int error = errno;
    close(folder);
    return descriptor < 0 ? -error : descriptor;
}

int psb_open_outside(int outer, const char *path, const char *below, int flags) {
    struct step step = {.path = path, .below = below, .flags = flags};
    return do_outside(outer, open_below, &step);
}

static int write_map(pid_t pid, const char *file, unsigned inside, unsigned outside) {
    char path[64], line[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    int length = snprintf(line, sizeof line, "%u %u 1\n", inside, outside);
    int descriptor = open(path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) return -errno;
    ssize_t written = write(descriptor, line, (size_t)length);
    int error = written == length ? 0 : -errno;
    close(descriptor);
    return error;
}

// A user namespace exists only with a process in it: a child enters one, waits until it has been opened, and is killed.
static int mapped_user_namespace(uid_t disk_uid, gid_t disk_gid, uid_t shown_uid, gid_t shown_gid) {
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) < 0) return -errno;
    pid_t child = fork();
    if (child < 0) {
        int error = errno;
        close(ready[0]);
        close(ready[1]);
        return -error;
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        char state = unshare(CLONE_NEWUSER) < 0 ? (char)errno : 0;
        if (write(ready[1], &state, 1) == 1 && state == 0) {
            for (;;) pause();
        }
        _exit(1);
    }
    close(ready[1]);
    char state = (char)EIO;
    int namespace = -EIO;
    if (read(ready[0], &state, 1) == 1 && state == 0) {
        int error = write_map(child, "uid_map", disk_uid, shown_uid);
        if (error == 0) error = write_map(child, "gid_map", disk_gid, shown_gid);
        if (error == 0) {
            char path[64];
            snprintf(path, sizeof path, "/proc/%d/ns/user", child);
            namespace = open(path, O_RDONLY | O_CLOEXEC);
            if (namespace < 0) namespace = -errno;
        } else {
            namespace = error;
        }
    } else {
        namespace = -(int)state;
    }
    close(ready[0]);
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    return namespace;
}

int psb_map_owner(int mount, uid_t disk_uid, gid_t disk_gid, uid_t shown_uid, gid_t shown_gid) {
    int namespace = mapped_user_namespace(disk_uid, disk_gid, shown_uid, shown_gid);
    if (namespace < 0) return namespace;
    struct mount_attributes attributes = {.set = attribute_idmap, .user_namespace = (uint64_t)namespace};
    long status = syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &attributes, sizeof attributes);
    int error = status < 0 ? -errno : 0;
    close(namespace);
    return error;
}

int psb_attribute_is(int file, const char *name, char value) {
    char found;
    return fgetxattr(file, name, &found, 1) == 1 && found == value;
}
