import Foundation
import Synchronization

/// One call as its caller means it. Body and answer are alike and belong to no other call.
struct Call: Sendable, Hashable {
    let token: String
    let body: String

    /// - Parameter size: of the body in bytes, at least.
    init(size: Int = 64) {
        token = "token-\(UUID().uuidString)"
        var body = "\(token) "
        var number = 0
        while body.utf8.count < size {
            body += "\(number)."
            number += 1
        }
        self.body = body
    }

    static let host = "docs.\(TunnelWorld.domain)"
    static let path = "/echo"

    /// Of the request; the length is the sender's.
    var fields: [(name: String, value: String)] { [("X-Token", token)] }
}

/// What a caller made of its call.
struct Outcome: Sendable {
    let call: Call
    /// The answer's body, or the error.
    let result: Result<String, Failure>

    struct Failure: Error { let text: String }

    var error: String? { if case .failure(let failure) = result { failure.text } else { nil } }
}

/// What happened at the true ends, held against what was sent: only there does it show whether an attack was accepted.
final class Ends: Sendable {
    private struct State {
        var tokens: Set<String> = []
        var whole: Set<String> = []
        var ran: [String: Int] = [:]
        var heads = 0
        var bodies = 0
    }
    private let state = Mutex(State())
    private let upstream: TestUpstream

    init(_ upstream: TestUpstream) { self.upstream = upstream }

    func send(_ call: Call) {
        state.withLock { state in
            state.tokens.insert(call.token)
            state.whole.insert(call.body)
        }
    }

    /// Calls that the upstream has got so far.
    var calls: Int { state.withLock { $0.heads } }

    /// What must not be, since the last look: requests that no runtime sent, or sent once and ran twice, or for another host, or with another body;
    /// answers that the upstream did not give to that call; calls in what the edge has seen.
    func violations(_ outcomes: [Outcome], edge seen: [UInt8]) -> [String] {
        let now = upstream.now
        return state.withLock { state in
            var found: [String] = []
            for head in now.heads[state.heads...] {
                let lines = head.split(separator: "\n")
                let token = lines.first { $0.hasPrefix("X-Token: ") }.map { String($0.dropFirst(9)) } ?? "none"
                state.ran[token, default: 0] += 1
                if !state.tokens.contains(token) { found.append("the upstream got a request that no runtime sent: \(token)") }
                if state.ran[token, default: 0] > 1 { found.append("the upstream got \(token) \(state.ran[token, default: 0]) times") }
                if !lines.contains("X-Forwarded-Host: \(Call.host)") { found.append("the upstream got \(token) for another host") }
            }
            state.heads = now.heads.count
            for body in now.echoed[state.bodies...] where !state.whole.contains(body) {
                found.append("the upstream got a whole body that no runtime sent: \(body.prefix(60))…\(body.suffix(20))")
            }
            state.bodies = now.echoed.count
            for outcome in outcomes {
                if case .success(let answer) = outcome.result {
                    if answer != outcome.call.body { found.append("a runtime took for its answer: \(answer.prefix(60))…\(answer.suffix(20))") }
                    if state.ran[outcome.call.token] == nil { found.append("a runtime took an answer that no connector gave") }
                }
            }
            for outcome in outcomes where seen.containsText(outcome.call.token) { found.append("the edge has read \(outcome.call.token)") }
            return found
        }
    }
}

extension [UInt8] {
    func containsText(_ text: String) -> Bool {
        let wanted = Array(text.utf8)
        guard let first = wanted.first, count >= wanted.count else { return false }
        return withUnsafeBufferPointer { bytes in
            var index = 0
            while index <= bytes.count - wanted.count {
                if bytes[index] == first, bytes[index..<(index + wanted.count)].elementsEqual(wanted) { return true }
                index += 1
            }
            return false
        }
    }
}
