import NIOCore
import Synchronization

/// The shares of an edge, for all its connections.
final class EdgeShares: Sendable {
    private let shares: Mutex<FairShares>
    let registrations = RegistrationPlaces()
    /// Whether passed bytes are counted at all.
    let isPaced: Bool

    private let clock: @Sendable () -> Double

    init(_ limits: EdgeShareLimits, clock: @escaping @Sendable () -> Double = { EdgeShares.now }) {
        shares = Mutex(FairShares(limits))
        self.clock = clock
        isPaced = limits.bytesPerSecond != nil
    }

    static var now: Double { Double(NIODeadline.now().uptimeNanoseconds) / 1e9 }

    var now: Double { clock() }

    func with<Result>(_ body: (inout FairShares) -> Result) -> Result where Result: Sendable { shares.withLock { body(&$0) } }

    /// For how long a call has to wait that has passed so many bytes.
    func wait(after bytes: Int, tunnel: String) -> Duration? {
        let seconds = with { $0.passed(bytes, tunnel: tunnel, now: now) }
        return seconds > 0 ? .seconds(seconds) : nil
    }
}

/// One connection's place at an edge.
final class Admission: Sendable {
    /// Whom the connection is counted for: its address, of IPv6 the /64 that one host or site has.
    let address: String
    let shares: EdgeShares
    private let state = Mutex<(isShown: Bool, isNamed: Bool)>((false, false))

    private init(_ address: String, _ shares: EdgeShares) {
        self.address = address
        self.shares = shares
    }

    /// Takes a place, to be given back by `leave`.
    static func enter(_ address: SocketAddress?, _ shares: EdgeShares) -> Result<Admission, ShareRefusal> {
        let name = name(address)
        if let refusal = shares.with({ $0.entered(name) }) { return .failure(refusal) }
        return .success(Admission(name, shares))
    }

    /// What the connection wants is known.
    func show() {
        let isFirst = state.withLock { state in
            defer { state.isShown = true }
            return !state.isShown
        }
        if isFirst { shares.with { $0.shown(address) } }
    }

    /// Who is at its other end is known.
    func name() {
        show()
        let isFirst = state.withLock { state in
            defer { state.isNamed = true }
            return !state.isNamed
        }
        if isFirst { shares.with { $0.named(address) } }
    }

    func leave() {
        let (isShown, isNamed) = state.withLock { $0 }
        shares.with { $0.left(address, wasShown: isShown, wasNamed: isNamed) }
    }

    static func name(_ address: SocketAddress?) -> String {
        guard let address else { return "?" }
        guard case .v6 = address else { return address.ipAddress ?? "?" }
        return address.withSockAddr { pointer, length in
            // Behind family, port and flow label (RFC 3493, section 3.3).
            let bytes = UnsafeRawBufferPointer(start: pointer, count: length)[8..<24]
            // IPv4 in IPv6 (RFC 4291, section 2.5.5.2) is one host's.
            let isMapped = bytes.prefix(10).allSatisfy { $0 == 0 } && bytes.dropFirst(10).prefix(2).allSatisfy { $0 == 0xFF }
            let significant = isMapped ? bytes.suffix(4) : bytes.prefix(8)
            return (isMapped ? "4:" : "6:") + significant.map { String($0, radix: 16) }.joined(separator: ".")
        }
    }
}

extension ShareRefusal: Error {}
