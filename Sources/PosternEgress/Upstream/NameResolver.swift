import NIOPosix
import PosternPolicy

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Turns a name into its addresses, outside the sandbox. A function, so that tests give their own.
package typealias NameResolver = @Sendable (String) async throws -> [IPAddress]

/// A name has no address, or the resolver does not answer.
struct UnknownName: Error, CustomStringConvertible {
    var name: String
    var reason: String
    var description: String { "\(name) cannot be resolved: \(reason)" }
}

enum SystemResolver {
    /// The system's resolver (getaddrinfo), on a thread that may block.
    package static let resolve: NameResolver = { name in
        try await NIOThreadPool.singleton.runIfActive { try addresses(of: name) }
    }

    private static func addresses(of name: String) throws(UnknownName) -> [IPAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        #if canImport(Glibc)
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        #else
        hints.ai_socktype = SOCK_STREAM
        #endif
        var list: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(name, nil, &hints, &list)
        guard result == 0 else { throw UnknownName(name: name, reason: String(cString: gai_strerror(result))) }
        defer { freeaddrinfo(list) }
        var addresses: [IPAddress] = []
        var next = list
        while let entry = next {
            next = entry.pointee.ai_next
            guard let raw = entry.pointee.ai_addr else { continue }
            let bytes: [UInt8]
            switch entry.pointee.ai_family {
            case AF_INET:
                bytes = raw.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { withUnsafeBytes(of: $0.pointee.sin_addr) { Array($0) } }
            case AF_INET6:
                bytes = raw.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { withUnsafeBytes(of: $0.pointee.sin6_addr) { Array($0) } }
            default: continue
            }
            if let address = IPAddress(bytes: bytes), !addresses.contains(address) { addresses.append(address) }
        }
        guard !addresses.isEmpty else { throw UnknownName(name: name, reason: "it has no address") }
        return addresses
    }
}
