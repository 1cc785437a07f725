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

package enum SystemResolver {
    /// A search list of nothing but the root. The host's own would turn a name that the policy allows, and that does not exist, into
    /// another one: `files.example` into `files.example.corp.example`. A dot behind the name would do that too, and would miss the host's
    /// `/etc/hosts`, where names have none.
    static let environment = (name: "LOCALDOMAIN", value: ".")

    /// Takes names as they are from here on. Changes the environment, so the process must have one thread.
    static func useAbsoluteNames() {
        setenv(environment.name, environment.value, 1)
        // Would replace names without a dot.
        unsetenv("HOSTALIASES")
    }

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
            // The address stands behind family and port; with IPv6 behind the flow label too.
            let place: Range<Int>
            switch entry.pointee.ai_family {
            case AF_INET: place = 4..<8
            case AF_INET6: place = 8..<24
            default: continue
            }
            let whole = UnsafeRawBufferPointer(start: raw, count: Int(entry.pointee.ai_addrlen))
            guard whole.count >= place.upperBound else { continue }
            let bytes = Array(whole[place])
            if let address = IPAddress(bytes: bytes), !addresses.contains(address) { addresses.append(address) }
        }
        guard !addresses.isEmpty else { throw UnknownName(name: name, reason: "it has no address") }
        return addresses
    }
}
