import PosternJSON
import PosternSandbox

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The unix socket in the worker's state folder, for whoever is the worker's user or root on this machine. These calls block for a moment;
/// they are for queues of their own.
enum LocalControlSocket {
    static let name = "control.sock"

    /// A listening, non-blocking socket in `folder`, mode 0600. One that a killed worker has left is replaced: the folder's lock says that
    /// no other lives.
    static func listen(in folder: String) throws(LocalControlError) -> Int32 {
        try withAddress(folder) { (path, address) throws(LocalControlError) in
            unlink(path)
            let socket = try make()
            // Nobody can connect before `listen`, and by then the mode is narrow.
            guard bind(socket, address), chmod(path, 0o600) == 0, Self.listen(socket) else {
                let reason = String(cString: strerror(errno))
                close(socket)
                throw LocalControlError("the worker's control socket in '\(folder)' cannot be made: \(reason)")
            }
            _ = fcntl(socket, F_SETFL, O_NONBLOCK)
            return socket
        }
    }

    /// A connection to the worker whose state folder is `folder`.
    static func connect(in folder: String) throws(LocalControlError) -> Int32 {
        try withAddress(folder) { (_, address) throws(LocalControlError) in
            let socket = try make()
            guard Self.connect(socket, address) else {
                let code = errno
                close(socket)
                let isAbsent = code == ENOENT || code == ECONNREFUSED
                throw LocalControlError(
                    isAbsent
                        ? "no worker runs with the state folder '\(folder)'; name the worker's with --state-dir"
                        : "the worker with the state folder '\(folder)' cannot be reached: \(String(cString: strerror(code)))")
            }
            return socket
        }
    }

    /// The other end, if it is this process's user or root. Blocks.
    static func trustedPeer(_ socket: Int32) -> LocalControlPeer? {
        guard let user = PeerCredentials.user(of: socket), user == geteuid() || user == 0 else { return nil }
        return LocalControlPeer.named(user)
    }

    /// Whether a worker may be at the other end: of this user, or for root of the user that the folder belongs to, which root need not know.
    static func isTrustedByRoot(_ socket: Int32) -> Bool { geteuid() == 0 || trustedPeer(socket) != nil }

    /// Neither end waits for the other for ever.
    static func setPatience(_ socket: Int32, seconds: Int) {
        var time = timeval(tv_sec: seconds, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] { setsockopt(socket, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size)) }
    }

    /// Reads one message. `nil` when the other end closed without one.
    static func receive(_ socket: Int32, limit: Int) throws(LocalControlError) -> JSON? {
        var line = LocalControlLine(limit: limit)
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(socket, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw LocalControlError("the other end does not answer: \(String(cString: strerror(errno)))") }
            if count == 0 { return nil }
            if let message = try line.append(buffer[..<count]) { return message }
        }
    }

    /// `false` when the other end is gone.
    @discardableResult
    static func send(_ bytes: [UInt8], _ socket: Int32) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Platform.send(socket, $0.baseAddress.map { $0 + done }, $0.count - done) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    /// Sends what a non-blocking socket takes; the result is that of send(2).
    static func sendNow(_ bytes: ArraySlice<UInt8>, _ socket: Int32) -> Int {
        bytes.withUnsafeBytes { buffer in buffer.baseAddress.map { Platform.send(socket, $0, buffer.count) } ?? 0 }
    }

    /// Reads whole lines and hands each to `take`, until the other end closes. A line of more than `limit` bytes ends it.
    static func receiveLines(_ socket: Int32, limit: Int, _ take: (ArraySlice<UInt8>) throws -> Void) throws {
        var held: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(socket, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw LocalControlError("the worker cannot be heard: \(String(cString: strerror(errno)))") }
            if count == 0 { return }
            held += buffer[..<count]
            var start = 0
            while let end = held[start...].firstIndex(of: 0x0A) {
                try take(held[start..<end])
                start = end + 1
            }
            held.removeFirst(start)
            guard held.count <= limit else { throw LocalControlError("a message has more than \(limit) bytes") }
        }
    }

    // MARK: Addresses

    private static func make() throws(LocalControlError) -> Int32 {
        let socket = Platform.unixSocket()
        guard socket >= 0 else { throw LocalControlError("no descriptor is left for a socket") }
        _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
        return socket
    }

    private static func listen(_ socket: Int32) -> Bool { Platform.listen(socket) }
    private static func bind(_ socket: Int32, _ address: sockaddr_un) -> Bool { withSockaddr(address) { Platform.bind(socket, $0, $1) } == 0 }
    private static func connect(_ socket: Int32, _ address: sockaddr_un) -> Bool { withSockaddr(address) { Platform.connect(socket, $0, $1) } == 0 }

    private static func withSockaddr(_ address: sockaddr_un, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }

    /// An address holds about a hundred bytes of path, and a state folder's may be longer: on Linux it is named by descriptor.
    private static func withAddress<Value>(
        _ folder: String, _ body: (String, sockaddr_un) throws(LocalControlError) -> Value
    ) throws(LocalControlError) -> Value {
        let directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else {
            throw LocalControlError("the state folder '\(folder)' cannot be opened: \(String(cString: strerror(errno)))")
        }
        defer { close(directory) }
        #if os(Linux)
        let path = "/proc/self/fd/\(directory)/\(name)"
        #else
        let path = "\(folder)/\(name)"
        #endif
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw LocalControlError("the path '\(path)' is too long for a socket")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return try body(path, address)
    }

    /// Names that differ between systems, or that this type has too.
    private enum Platform {
        #if canImport(Glibc)
        static func unixSocket() -> Int32 { Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0) }
        static func listen(_ socket: Int32) -> Bool { Glibc.listen(socket, 16) == 0 }
        static func bind(_ socket: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> Int32 { Glibc.bind(socket, address, length) }
        static func connect(_ socket: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> Int32 {
            Glibc.connect(socket, address, length)
        }
        static func send(_ socket: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
            Glibc.send(socket, bytes, count, Int32(MSG_NOSIGNAL))
        }
        #else
        static func unixSocket() -> Int32 { Darwin.socket(AF_UNIX, SOCK_STREAM, 0) }
        static func listen(_ socket: Int32) -> Bool { Darwin.listen(socket, 16) == 0 }
        static func bind(_ socket: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> Int32 { Darwin.bind(socket, address, length) }
        static func connect(_ socket: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> Int32 {
            Darwin.connect(socket, address, length)
        }
        static func send(_ socket: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int { Darwin.send(socket, bytes, count, 0) }
        #endif
    }
}
