import CPosternSandbox
import Foundation
import Testing

@testable import PosternEgress

/// The filter of the proxy process, in a process of its own that tries what a hijacked proxy would.
@Suite("Confinement of the egress proxy", .enabled(if: ForwardCommand.isInstalled("/usr/bin/cc")))
struct ConfinementTests {
    private static let program = """
        #define _GNU_SOURCE
        #include "CPosternSandbox.h"
        #include <errno.h>
        #include <fcntl.h>
        #include <linux/capability.h>
        #include <netdb.h>
        #include <pthread.h>
        #include <sched.h>
        #include <signal.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/ioctl.h>
        #include <sys/mman.h>
        #include <sys/mount.h>
        #include <sys/prctl.h>
        #include <sys/ptrace.h>
        #include <sys/resource.h>
        #include <sys/socket.h>
        #include <sys/stat.h>
        #include <sys/syscall.h>
        #include <sys/wait.h>
        #include <unistd.h>
        #define REFUSED(name, call) do { errno = 0; long r = (long)(call); printf("%s %s\\n", name, r < 0 && (errno == EPERM || errno == ENOSYS) ? "refused" : "LET THROUGH"); } while (0)
        #define WORKS(name, call) do { errno = 0; long r = (long)(call); printf("%s %s %d\\n", name, r >= 0 ? "works" : "BROKEN", errno); } while (0)
        #define DENIED(name, call) do { errno = 0; long r = (long)(call); printf("%s %s\\n", name, r < 0 && errno == EACCES ? "refused" : "LET THROUGH"); } while (0)
        static int pipes[2];
        static void *thread(void *x) { char c = 'x'; return write(pipes[1], &c, 1) == 1 ? x : NULL; }
        static void *late(void *x) { REFUSED("execve-on-other-thread", execl("/bin/true", "true", (char *)NULL)); return x; }
        static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
        static void *waits(void *x) { pthread_mutex_lock(&gate); return late(x); }
        // argv: a file that may not be read, then the paths that may.
        int main(int argc, char **argv) {
            pthread_t older, newer;
            int landlock = 0;
            if (psb_set_no_new_privs() < 0 || (landlock = psb_restrict_to_reading((const char *const *)argv + 2, argc - 2)) < 0) return 2;
            if (landlock == 0) printf("no landlock works 0\\n");
            if (landlock > 0) {
                DENIED("another file", open(argv[1], O_RDONLY));
                // Without capabilities, as proxies are, and the user's all the same. In a process that ends with it: what follows has to be refused to root.
                int other = getppid();
                fflush(stdout);
                if (fork() == 0) {
                    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
                    struct __user_cap_data_struct none[2] = {0};
                    if (syscall(SYS_capset, &header, none) < 0) printf("CAPABILITIES STAY\\n");
                    char path[64];
                    for (const char **own = (const char *[]){"environ", "mem", "maps", "fd/0", NULL}; *own != NULL; own++) {
                        snprintf(path, sizeof path, "/proc/%d/%s", other, *own);
                        DENIED("the user's other processes", open(path, O_RDONLY));
                    }
                    exit(0);
                }
                wait(NULL);
                DENIED("listing /proc", open("/proc", O_RDONLY | O_DIRECTORY));
                DENIED("accounts", open("/etc/passwd", O_RDONLY));
                DENIED("programs", open("/usr/bin/env", O_RDONLY));
                DENIED("listing /", open("/", O_RDONLY | O_DIRECTORY));
                DENIED("listing /tmp", open("/tmp", O_RDONLY | O_DIRECTORY));
                DENIED("by a way round", open("/dev/../etc/passwd", O_RDONLY));
            }
            pthread_mutex_lock(&gate);
            pthread_create(&older, NULL, waits, NULL);
            if (psb_set_no_new_privs() < 0 || psb_install_egress_filter() < 0) { printf("NOT INSTALLED\\n"); return 1; }
            pthread_mutex_unlock(&gate);
            pthread_join(older, NULL);
            REFUSED("execve", execl("/bin/true", "true", (char *)NULL));
            REFUSED("execveat", syscall(SYS_execveat, AT_FDCWD, "/bin/true", NULL, NULL, 0));
            REFUSED("fork", syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
            REFUSED("clone3", syscall(SYS_clone3, NULL, 0));
            REFUSED("ptrace", ptrace(PTRACE_TRACEME, 0, 0, 0));
            REFUSED("process_vm_readv", syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0));
            REFUSED("pidfd_open", syscall(SYS_pidfd_open, 1, 0));
            REFUSED("pidfd_getfd", syscall(438, 0, 0, 0));
            REFUSED("kill", kill(1, 0));
            REFUSED("tgkill of another", syscall(SYS_tgkill, getppid(), getppid(), 0));
            REFUSED("tkill", syscall(SYS_tkill, getppid(), 0));
            REFUSED("rt_sigqueueinfo", syscall(SYS_rt_sigqueueinfo, getppid(), SIGTERM, NULL));
            REFUSED("F_SETOWN", fcntl(0, F_SETOWN, getppid()));
            struct f_owner_ex owner = {F_OWNER_PID, getppid()};
            REFUSED("F_SETOWN_EX", fcntl(0, F_SETOWN_EX, &owner));
            REFUSED("F_SETSIG", fcntl(0, F_SETSIG, SIGKILL));
            int process = getppid();
            REFUSED("FIOSETOWN", ioctl(0, FIOSETOWN, &process));
            REFUSED("SIOCSPGRP", ioctl(0, SIOCSPGRP, &process));
            REFUSED("TIOCSTI", ioctl(0, TIOCSTI, "x"));
            REFUSED("unix socket", socket(AF_UNIX, SOCK_STREAM, 0));
            REFUSED("netlink", socket(AF_NETLINK, SOCK_RAW, 0));
            REFUSED("packet", socket(AF_PACKET, SOCK_RAW, 0));
            REFUSED("vsock", socket(40, SOCK_STREAM, 0));
            REFUSED("create", open("/tmp/made-by-egress", O_CREAT | O_WRONLY, 0600));
            REFUSED("write", open("/dev/null", O_WRONLY));
            REFUSED("truncate", open("/dev/null", O_TRUNC));
            REFUSED("tmpfile", open("/tmp", 020000000 | O_RDWR, 0600));
            REFUSED("unlink", unlink("/tmp/none"));
            REFUSED("rename", rename("/tmp/none", "/tmp/other"));
            REFUSED("mkdir", mkdir("/tmp/none-egress", 0700));
            REFUSED("symlink", symlink("/etc", "/tmp/none-egress"));
            REFUSED("chmod", chmod("/tmp", 0777));
            REFUSED("mount", mount("none", "/mnt", "tmpfs", 0, NULL));
            REFUSED("unshare", unshare(CLONE_NEWUSER));
            REFUSED("setns", setns(0, 0));
            REFUSED("bpf", syscall(SYS_bpf, 0, NULL, 0));
            REFUSED("perf", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
            REFUSED("userfaultfd", syscall(SYS_userfaultfd, 0));
            REFUSED("io_uring", syscall(SYS_io_uring_setup, 1, NULL));
            REFUSED("keyctl", syscall(SYS_keyctl, 0, 0, 0, 0, 0));
            REFUSED("memfd", syscall(SYS_memfd_create, "x", 0));
            REFUSED("setuid", setuid(1));
            REFUSED("dumpable", prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
            struct rlimit limit = {1, 1};
            REFUSED("setrlimit", syscall(SYS_prlimit64, 0, RLIMIT_CORE, &limit, NULL));
            void *executable = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            printf("executable memory %s\\n", executable == MAP_FAILED && errno == EPERM ? "refused" : "LET THROUGH");
            void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            REFUSED("mprotect exec", mprotect(page, 4096, PROT_READ | PROT_EXEC));
            WORKS("a signal to itself", syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 0));
            WORKS("non-blocking", fcntl(1, F_SETFL, fcntl(1, F_GETFL)));
            WORKS("tcp", socket(AF_INET, SOCK_STREAM, 0));
            WORKS("tcp6", socket(AF_INET6, SOCK_STREAM, 0));
            WORKS("udp", socket(AF_INET, SOCK_DGRAM, 0));
            WORKS("read file", open("/etc/hosts", O_RDONLY | O_CLOEXEC));
            WORKS("getrlimit", syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, &limit));
            WORKS("pipe", pipe(pipes));
            char c = 0;
            WORKS("thread", pthread_create(&newer, NULL, thread, NULL) == 0 && read(pipes[0], &c, 1) == 1 ? 0 : -1);
            struct addrinfo *list = NULL;
            char busy[64];
            snprintf(busy, sizeof busy, "/proc/%d/stat", (int)syscall(SYS_gettid));
            WORKS("how busy a thread is", open(busy, O_RDONLY | O_NONBLOCK));
            WORKS("names", getaddrinfo("localhost", NULL, NULL, &list) == 0 ? 0 : -1);
            return 0;
        }
        """

    @Test("a process that was not begun in time is not confined by halves: it is refused")
    func begunTooLate() {
        // The tests have many threads, which Landlock would not hold.
        guard psb_landlock_abi() > 0 else { return }
        #expect(ReadableFiles.restriction == .failed("the process has more than one thread already"))
        #expect(ProcessHardening.apply()?.hasPrefix("files: ") == true)
    }

    @Test("what a proxy needs works, everything else is refused, on every thread")
    func filter() async throws {
        let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Sources/CPosternSandbox").path
        let folder = NSTemporaryDirectory() + "postern-confinement-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try Self.program.write(toFile: "\(folder)/main.c", atomically: true, encoding: .utf8)
        let built = try await ForwardCommand(
            path: "/usr/bin/cc",
            arguments: [
                "-w", "-pthread", "-I\(sources)/include", "\(folder)/main.c", "\(sources)/egress_filter.c", "\(sources)/hardening.c",
                "\(sources)/landlock.c", "-o", "\(folder)/probe",
            ]
        ).run()
        try #require(built.status == 0, "\(built.errors)")
        let run = try await ForwardCommand(path: "\(folder)/probe", arguments: ["\(folder)/main.c"] + ReadableFiles.paths).run()
        #expect(run.status == 0)
        let lines = run.output.split(separator: "\n")
        #expect(lines.count == (psb_landlock_abi() > 0 ? 68 : 58))
        for line in lines { #expect(line.hasSuffix("refused") || line.contains(" works "), "\(line)") }
    }
}
