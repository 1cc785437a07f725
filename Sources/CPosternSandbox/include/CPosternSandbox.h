// The system calls that the sandbox needs and that Swift cannot make safely or at all. No policy lives here, except the seccomp
// program (filter.c), which has to be data. Every function that can fail returns a negative errno.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// ---- hardening.c: what a process does to itself

/// Makes this process undumpable: other processes of its uid can neither read /proc/PID/{mem,environ,fd,exe} nor trace it.
int psb_make_undumpable(void);

/// Replaces the session keyring inherited from the host by a new, empty one. Keyrings are not part of any namespace.
int psb_join_fresh_keyring(void);

/// Closes descriptor `first` and all above it.
int psb_close_from(int first);

/// Sets no_new_privs: set-id bits and file capabilities are without effect from here on, for all descendants.
int psb_set_no_new_privs(void);

/// Orphans of this process's descendants become its children, so that it can wait for them and kill them.
int psb_become_subreaper(void);

/// Installs the filter of filter.c on this process; descendants inherit it. Needs no_new_privs.
int psb_install_filter(void);

/// Number of instructions of the filter.
size_t psb_filter_length(void);

/// One instruction of classic BPF, as <linux/filter.h> has it.
struct psb_instruction {
    uint16_t code;
    uint8_t if_true, if_false;
    uint32_t value;
};

/// Instruction `index` of the filter as it is installed; zero beyond its end.
struct psb_instruction psb_filter_instruction(size_t index);

/// The architecture that the filter is for (AUDIT_ARCH_*).
uint32_t psb_filter_architecture(void);

/// The name of a system call that the filter speaks of, NULL for others (names.c).
const char *psb_system_call_name(uint32_t number);

/// 1 when the kernel has seccomp filters with the action "kill process".
int psb_seccomp_available(void);

enum {
    PSB_LIMIT_CORE, PSB_LIMIT_CPU, PSB_LIMIT_FILE_SIZE, PSB_LIMIT_OPEN_FILES, PSB_LIMIT_PROCESSES, PSB_LIMIT_ADDRESS_SPACE, PSB_LIMIT_LOCKED,
    PSB_LIMIT_DATA
};

/// Sets soft and hard limit `which` (PSB_LIMIT_*) of this process; never above the present hard limit.
int psb_set_limit(int which, uint64_t value);

// ---- privileges.c: from root to an ordinary user, for good

/// Makes the calling thread, and what it executes next, user `uid` with group `gid` and `groups`, none of them 0: without capabilities, now
/// or by a later execve, without core files, without root's session keyring. To be followed by execve at once, since other threads keep
/// what they were.
int psb_give_up_privileges(uid_t uid, gid_t gid, const gid_t *groups, size_t count);

// ---- landlock.c: what files, sockets and signals may be used for, whatever the mounts show

/// The kernel's Landlock ABI version, 0 where there is none.
int psb_landlock_abi(void);

/// PSB_MAY_MAKE: make, remove and rename entries, never devices. PSB_MAY_CONTROL: ioctl on devices.
enum { PSB_MAY_READ = 1, PSB_MAY_EXECUTE = 2, PSB_MAY_WRITE = 4, PSB_MAY_MAKE = 8, PSB_MAY_CONTROL = 16 };

/// What is allowed at and below `path`; a path that does not exist is passed over.
struct psb_path_rule {
    const char *path;
    int rights;
};

/// Restricts this process and its descendants to `rules`; abstract unix sockets and signals to each other (ABI 6). With `refuse_tcp` no
/// TCP port may be bound, and none connected to but `proxy_port` (0: none either). Needs no_new_privs. The ABI that is in force: the
/// kernel's, at most the newest that this knows and at most `newest_abi` unless that is 0; 0 where the kernel has none or only ABI 1, and nothing has been restricted.
int psb_restrict(const struct psb_path_rule *rules, size_t count, int refuse_tcp, uint16_t proxy_port, int newest_abi);

/// Restricts the calling thread, and every thread and process that it begins later, to reading files at and below `paths`; a path that
/// is not there is passed over. Nothing is listed, written, made or executed anywhere, no TCP port bound (ABI 4), no signal sent and no
/// abstract socket reached outside (ABI 6). Needs no_new_privs. The ABI in force, 0 where the kernel has no Landlock.
int psb_restrict_to_reading(const char *const *paths, size_t count);

// ---- egress_filter.c: the egress proxy's own confinement

/// Installs the egress proxy's filter on every thread of this process. Needs no_new_privs. The only process that may be sent a signal is
/// this one, by the id that it has now.
int psb_install_egress_filter(void);

// ---- process.c: making processes

/// fork(2), which Swift hides. For single-threaded callers only.
pid_t psb_fork(void);

/// Blocks SIGCHLD and gives a non-blocking descriptor that is readable when a child has ended.
int psb_watch_children(void);

/// Takes what psb_watch_children has reported.
void psb_clear_children(int descriptor);

/// Unblocks every signal, for a child that goes on without execve.
void psb_unblock_signals(void);

/// What a new process is to be. Everything not named here is closed or reset: descriptors, signal mask, handlers.
struct psb_process {
    const char *path;
    char *const *arguments;
    char *const *environment;
    /// Folder to start in, or -1.
    int directory;
    /// These become descriptors 0, 1, … of the new process; it gets no others.
    const int *descriptors;
    int descriptor_count;
    /// Start a session of its own, without a terminal.
    int new_session;
    /// RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_AS and RLIMIT_CPU of the new process; 0 leaves each.
    uint64_t process_limit;
    uint64_t open_files_limit;
    uint64_t address_space_limit;
    uint64_t cpu_limit;
    /// RLIMIT_DATA of the new process; 0 leaves it.
    uint64_t data_limit;
    /// Control groups that it is in from its first instruction on: descriptors of the files that take "0" for whoever writes. In version 1
    /// `tasks`, which moves one thread without waiting for the kernel's grace period, as cgroup.procs does.
    const int *groups;
    int group_count;
    /// Folder of the group of version 2 that it is born in where the kernel can (Linux 5.7), else moves to, or 0.
    int group_folder;
    /// Become this user, with the group of the same number given here and no other groups; 0 stays who it is.
    uid_t uid;
    gid_t gid;
    /// Die (SIGKILL) with the calling thread.
    int die_with_parent;
    /// Ignore SIGTERM, SIGINT and SIGHUP from the first instruction on: for what ends with its parent and not before it.
    int ignore_termination;
    /// Detached mounts (psb_clone_mount) put onto these folders, in a mount namespace of its own, before the uid changes.
    const int *mounts;
    const char *const *mount_points;
    int mount_count;
    /// Where an overlay (psb_mount_overlay) is mounted after these, or NULL; only together with `mounts`.
    const char *overlay_point;
    const char *overlay_options;
    /// Mount namespace to enter (a descriptor), or -1; not together with `mounts`.
    int mount_namespace;
};

/// Starts `process`; its pid, or the negative errno of what failed, execve included.
pid_t psb_spawn(const struct psb_process *process);

/// A pidfd for `pid`.
int psb_pidfd_open(pid_t pid);

/// Sends a signal through a pidfd.
int psb_pidfd_kill(int descriptor, int signal);

/// 1 when the extended attribute `name` of an open file is the one byte `value`.
int psb_attribute_is(int file, const char *name, char value);

// ---- quota.c: what a user may keep on a file system

/// Bounds what `uid` owns on the file system of `directory` to `bytes` and `inodes` (0: no bound). For root. -ESRCH where the file system
/// keeps no quota of users, -ENOSYS where the kernel is older than 5.14.
int psb_set_user_quota(int directory, uid_t uid, uint64_t bytes, uint64_t inodes);

// ---- users.c: whose processes there are

/// Whether a user has processes, by the kernel's own count, in whatever namespace. With `kill_all` they are killed first and waited for,
/// a second at most. 0: none is left. 1: there are some. For a single-threaded root; runs in a child of its own, which is waited for,
/// unless `child` is given: then its pid is put there and its exit status is the answer.
int psb_sweep_user(uid_t uid, int kill_all, pid_t *child);

// ---- messages.c: bytes and descriptors over a unix socket

enum { PSB_MAXIMUM_DESCRIPTORS = 32 };

/// Sends some of `bytes`, with `descriptors` attached to the first of them. Never blocks (-EAGAIN), never raises SIGPIPE.
ssize_t psb_send(int socket, const void *bytes, size_t length, const int *descriptors, size_t descriptor_count);

/// Receives up to `length` bytes and up to PSB_MAXIMUM_DESCRIPTORS descriptors, which are close-on-exec. 0 is the end. Never blocks.
/// More descriptors than that: all are closed and the answer is -EPROTO.
ssize_t psb_receive(int socket, void *bytes, size_t length, int *descriptors, size_t *descriptor_count);

/// A connected pair of close-on-exec stream sockets.
int psb_socket_pair(int pair[2]);

/// The user of the process at the other end of a connected unix socket, as it was when it connected or listened.
int psb_peer_user(int socket, uid_t *user);

/// A close-on-exec pipe: reading end, writing end.
int psb_pipe(int pair[2]);

/// O_PATH, which Swift does not see.
static const int psb_open_path = 010000000;

/// SEEK_DATA and SEEK_HOLE, which Swift does not import either.
static const int psb_seek_data = 3;
static const int psb_seek_hole = 4;

/// A listening, non-blocking TCP socket on 127.0.0.1:`port` of this process's network namespace.
int psb_listen_loopback(uint16_t port);

/// A memory file, close-on-exec.
int psb_memory_file(const char *name);

/// Gives freed memory of this process back to the kernel, after a moment that took much more than its life does.
void psb_release_heap(void);

/// Lets so many bytes stay free at the end of the heap, and maps only pieces from `mapped` bytes on by themselves: for a process that takes and
/// gives back large buffers all the time.
void psb_keep_heap(int free, int mapped);

// ---- events.c: waiting for many descriptors in one thread

/// A descriptor that collects the readiness of others.
int psb_events_open(void);

/// Watches `descriptor` for reading and, if asked, for writing. Again for one that is watched already: changes that.
int psb_events_watch(int events, int descriptor, int writing);

/// Waits; the ready descriptors, at most `capacity`.
int psb_events_wait(int events, int *ready, int capacity);

// ---- network.c: the network of a sandbox

/// Gives this process a network namespace with nothing but loopback, in which ports below 1024 are like all others. Needs
/// CAP_SYS_ADMIN, for example of psb_enter_user_namespace.
int psb_own_network(void);

/// A non-blocking socket on `port` of 127.0.0.1, or of all addresses of this network namespace: a listening TCP one, or a UDP one.
int psb_bind_port(int is_datagram, int on_all_addresses, uint16_t port);

// ---- mounts.c: the mount API

/// Gives this process a mount namespace of its own from which nothing propagates back. The answer is a descriptor of the one it leaves.
int psb_private_mounts(void);

/// Mounts an empty tmpfs (nosuid, nodev, mode 0755) on `path`.
int psb_mount_tmpfs(const char *path, const char *options);

/// Binds one file or folder on another, by path; for the spawner's own files.
int psb_bind(const char *source, const char *target);

/// Mounts an overlay (nosuid, nodev) with these options of overlayfs on `path`.
int psb_mount_overlay(const char *path, const char *options);

/// Enters a user and a mount namespace in which this process is the user that it was: what lets an ordinary user mount at all.
int psb_enter_user_namespace(void);

/// A detached copy of the mount at `directory` (not recursive). The kernel copies mounts of one's own namespace only, and `directory`
/// was opened by a process of namespace `outer` (psb_private_mounts), which is entered for that one call.
int psb_clone_mount(int directory, int outer);

/// Opens the file or folder `path`, itself no link, in the mount namespace `outer` (psb_private_mounts), which is entered for that. With
/// `below`, what has that path beneath it: no link is followed there, and nothing leads out.
int psb_open_outside(int outer, const char *path, const char *below, int flags);

/// Maps owner `disk_uid`:`disk_gid` of the detached mount to `shown_uid`:`shown_gid` (idmapped mount): files of the one appear as,
/// and are written as, those of the other. -EINVAL where the file system cannot.
int psb_map_owner(int mount, uid_t disk_uid, gid_t disk_gid, uid_t shown_uid, gid_t shown_gid);
