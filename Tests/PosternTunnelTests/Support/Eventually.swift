import Crypto
import PosternConnector
import PosternTunnelWire
import Synchronization
import Testing

/// What a connector told, and a way to wait for something in it.
final class EventLog: Sendable {
    private struct State {
        var events: [ConnectorEvent] = []
        var waiters: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    func add(_ event: ConnectorEvent) {
        if TunnelWorld.isLogged { print("connector:", event) }
        let waiters = state.withLock { state in
            state.events.append(event)
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    var events: [ConnectorEvent] { state.withLock { $0.events } }

    /// Of the calls that were refused or broke off.
    var errors: [CallError] {
        events.compactMap { event in
            switch event {
            case .refused(_, let error), .failed(_, let error): error
            default: nil
            }
        }
    }

    /// Their codes.
    var refusals: [String] { errors.map(\.code) }

    /// What is said of them.
    var reasons: [String] { errors.map { "\($0)" } }

    /// Readings of the document that came into force: which, how many connections they cut, and whether legs were dialled anew.
    var readings: [[Int]] {
        events.compactMap { if case .reloaded(let number, let cut, let redials) = $0 { [number, cut, redials ? 1 : 0] } else { nil } }
    }

    var legRefusals: [String] { events.compactMap { if case .legRefused(_, let refusal, _) = $0 { refusal.reason.rawValue } else { nil } } }

    /// Legs that stand now.
    var legs: Int {
        events.reduce(0) { count, event in
            switch event {
            case .legStands: count + 1
            case .legEnded: count - 1
            default: count
            }
        }
    }

    /// Returns once `isTrue` of the log; the suite's time limit ends a wait in vain.
    func wait(_ isTrue: @Sendable (EventLog) -> Bool) async {
        while true {
            // Counted first: an event that comes while it is looked at is looked at again.
            let count = events.count
            if isTrue(self) { return }
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.events.count != count { return true }
                    state.waiters.append(continuation)
                    return false
                }
                if isOver { continuation.resume() }
            }
        }
    }
}

/// A count that callbacks raise.
final class EventCounter: Sendable {
    private let number = Mutex(0)
    var count: Int { number.withLock { $0 } }
    func add() { number.withLock { $0 += 1 } }
}

/// A clock of seconds that goes on by hand only.
final class HandClock: Sendable {
    private let time = Mutex(0.0)
    var now: Double { time.withLock { $0 } }
    func pass(_ seconds: Double) { time.withLock { $0 += seconds } }
}

enum Fingerprint {
    static func of(_ der: [UInt8]) -> String { SHA256.hash(data: der).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
}

/// Asks again until it is so: for states that nobody announces.
func eventually(_ isTrue: () async throws -> Bool) async throws {
    while try await !isTrue() { try await Task.sleep(for: .milliseconds(10)) }
}
