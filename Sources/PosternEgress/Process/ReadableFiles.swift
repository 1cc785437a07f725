import CPosternSandbox

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What the proxy process may read of the file system, held by Landlock: what the C library resolves names and tells the time with, and the
/// system's roots. Programs and libraries are not among it: they are loaded by then, and the filter lets nothing be executed.
package enum ReadableFiles {
    /// What became of the restriction.
    package enum Outcome: Equatable, Sendable {
        case restricted
        /// The kernel has no Landlock: the proxy may read whatever its user may.
        case unavailable
        case failed(String)
    }

    /// Settled by whoever asks first, for the life of the process. Landlock holds for the thread that asks and those that it begins, so
    /// that has to be before there is another thread: `restrict` in `main`.
    private static let outcome = apply()

    /// Restricts this process. Called before anything else in a process that is to be a proxy; idempotent.
    package static func restrict() { _ = outcome }

    /// What `restrict` came to, which has failed where it was not called in time.
    package static var restriction: Outcome { outcome }

    /// Files and folders below which everything may be read.
    static let paths =
        [
            "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols",
            "/etc/localtime", "/usr/share/zoneinfo", "/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/pki/tls/certs", "/etc/pki/tls/cert.pem",
            "/etc/pki/ca-trust/extracted", "/etc/ca-certificates/extracted", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
            "/dev/null", "/dev/urandom", threads,
        ] + resolverFolders

    /// Where Dispatch, which is behind `Task.sleep`, looks how busy its threads are: `/proc/<thread>/stat`, of threads that are yet to begin, so that no rule
    /// can name them. It ends the process where it cannot (docs/decisions/0018). Nothing can be listed there; what is another process's own, as its
    /// environment and memory, Landlock keeps from whoever it holds, even of the same user.
    private static let threads = "/proc"

    /// Where the host's own resolver writes the `resolv.conf` that the one in `/etc` leads to. It puts new files in the place of old ones,
    /// which a rule on an old one would miss.
    private static let resolverFolders = ["/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf"]

    private static func apply() -> Outcome {
        #if os(Linux)
        guard threadCount() == 1 else { return .failed("the process has more than one thread already") }
        guard psb_set_no_new_privs() == 0 else { return .failed("no new privileges: error \(errno)") }
        let copies = paths.map { strdup($0) }
        defer { copies.forEach { free($0) } }
        let result = copies.map { UnsafePointer($0) }.withUnsafeBufferPointer { psb_restrict_to_reading($0.baseAddress, $0.count) }
        if result < 0 { return .failed("Landlock: error \(-result)") }
        return result == 0 ? .unavailable : .restricted
        #else
        return .unavailable
        #endif
    }

    /// How many threads the process has; 0 where that cannot be told.
    private static func threadCount() -> Int {
        guard let folder = opendir("/proc/self/task") else { return 0 }
        defer { closedir(folder) }
        var count = 0
        while let entry = readdir(folder) {
            if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
        }
        return count
    }
}
