import PosternHTTP
import PosternTunnelWire
import Synchronization

/// The policy of one route at work: what it has seen of tools, and how much callers have called.
final class RouteGuard: Sendable {
    /// Bodies that are held at one time, bytes: further ones are refused until some have gone upstream.
    static let mostHeld = 64 << 20

    let policy: RoutePolicy
    private let state: Mutex<State>

    private struct State {
        var catalogue = ToolCatalogue()
        var rates: PolicyRates
        var held = 0
    }

    struct Judgement: Sendable {
        /// `nil` where it could not be read.
        var body: RPCBody?
        var refusal: PolicyRefusal?
        /// Which message is refused; `nil`: all of them.
        var index: Int?

        static func refused(_ refusal: PolicyRefusal) -> Judgement { Judgement(refusal: refusal) }
    }

    /// - Parameter previous: the same upstream's under another policy. What it has seen of tools is held against this one's pins.
    init(_ policy: RoutePolicy, after previous: RouteGuard? = nil) {
        self.policy = policy
        let seen = previous?.state.withLock { $0.catalogue } ?? ToolCatalogue()
        state = Mutex(State(catalogue: seen, rates: PolicyRates(policy)))
    }

    /// Judges a body and the header fields that go upstream with it.
    /// - Parameter now: seconds of a clock that never goes back.
    func judge(_ bytes: [UInt8], _ fields: HTTPFields, from identity: RuntimeIdentity, now: Double) -> Judgement {
        let body: RPCBody
        do throws(PolicyRefusal) {
            try RoutingHeaders.checkForm(fields)
            body = try RPCBody(bytes)
        } catch {
            return .refused(error)
        }
        // A value: deciding on it holds nobody up.
        let catalogue = state.withLock { $0.catalogue }
        do throws(PolicyRefusal) {
            try RoutingHeaders.check(fields, body) { catalogue[$0]?.parameters }
        } catch {
            return Judgement(body: body, refusal: error)
        }
        for (index, message) in body.messages.enumerated() {
            if let refusal = policy.refusal(of: message, from: identity, catalogue) { return Judgement(body: body, refusal: refusal, index: index) }
        }
        for (index, message) in body.messages.enumerated() {
            if let refusal = policy.refusal(ofBytes: bytes.count, of: message, from: identity, catalogue) {
                return Judgement(body: body, refusal: refusal, index: index)
            }
        }
        if let refusal = state.withLock({ $0.rates.take(body, from: identity, catalogue, at: now) }) {
            return Judgement(body: body, refusal: refusal)
        }
        return Judgement(body: body)
    }

    /// Why a body that was let through would be refused by `other`, going by what was seen of tools here; `nil` where it would not.
    func refusal(of body: RPCBody, from identity: RuntimeIdentity, under other: RoutePolicy) -> PolicyRefusal? {
        let catalogue = state.withLock { $0.catalogue }
        for message in body.messages {
            if let refusal = other.refusal(of: message, from: identity, catalogue) { return refusal }
        }
        return nil
    }

    /// Keeps what an answer showed. Gives the pinned tools whose definition has just been seen to be another one.
    func saw(_ seen: [(tool: String, definition: ToolDefinition)]) -> [String] {
        guard !seen.isEmpty else { return [] }
        return state.withLock { state in
            seen.compactMap { tool, definition in
                let before = state.catalogue[tool]?.digest
                state.catalogue.saw(tool, definition)
                guard let pin = policy.pins?[tool], pin != definition.digest, before != definition.digest else { return nil }
                return tool
            }
        }
    }

    /// Whether `bytes` more may be held. What is granted is to be given back.
    func hold(_ bytes: Int) -> Bool {
        state.withLock { state in
            guard state.held + bytes <= Self.mostHeld else { return false }
            state.held += bytes
            return true
        }
    }

    func release(_ bytes: Int) { state.withLock { $0.held -= bytes } }
}
