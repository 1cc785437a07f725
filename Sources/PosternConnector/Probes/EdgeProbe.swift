import FoundationEssentials
import NIOCore
import NIOPosix
import NIOSSL
import PosternHTTP
import PosternPolicy
import PosternTLS
import PosternTunnelLink
import PosternTunnelWire
import SwiftASN1
import Synchronization
import X509

/// Walks the way of a leg to an edge, once, and says how far it came. The leg that it opens has a name of its own, so it takes no other's place; it
/// refuses calls unopened, which the edge then gives to another leg, and ends at once.
package struct EdgeProbe: Sendable {
    private let configuration: ConnectorConfiguration
    private let token: String?
    private let version: String
    private let dialer: LegDialer

    /// - Parameter timeout: for each step.
    package init(
        _ configuration: ConnectorConfiguration, _ material: ConnectorMaterial, version: String, resolve: @escaping ConnectorResolver,
        timeout: Duration, group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) throws {
        self.configuration = configuration
        self.version = version
        token = material.token
        var times = ConnectorTimes()
        times.dial = TimeAmount(timeout)
        dialer = LegDialer(
            edges: configuration.edges, tls: try material.outerTLS(), signer: material.signer, proxy: try material.proxy(configuration.edges),
            resolve: Self.bounded(resolve, by: timeout), group: group, times: times)
    }

    package struct Outcome: Sendable {
        /// Each with how long it took.
        package var steps: [(step: DialStep, duration: Duration)] = []
        /// Why it went no further; `nil` where a leg stood.
        package var failure: Failure?
        /// How long the step that failed took.
        package var failedAfter = Duration.zero
        /// The key was not known yet, and the token has enrolled it.
        package var isNewlyEnrolled = false

        package init(failure: Failure? = nil) { self.failure = failure }
    }

    /// The step that failed, and why.
    package enum Failure: Sendable {
        case name(String)
        case connection(String)
        case proxyTLS(TLSFailure)
        case proxy(String, remedy: String)
        case edgeTLS(TLSFailure)
        /// No answer to the request for a leg, or none that can be read.
        case answer(String)
        case refused(LegRefusal)
    }

    /// Asks the edge at `address` for a leg. A key that is not known yet is enrolled by the token, as a connector does when it starts.
    package func ask(_ address: Authority) async -> Outcome {
        var outcome = await ask(address, token: nil)
        guard case .refused(let refusal) = outcome.failure, refusal.reason == .notEnrolled, let token else { return outcome }
        outcome = await ask(address, token: token)
        outcome.isNewlyEnrolled = outcome.failure == nil
        return outcome
    }

    private func ask(_ address: Authority, token: String?) async -> Outcome {
        let request = LegRequest(
            tunnelID: configuration.tunnel.id, leg: "\(configuration.name.prefix(64))-doctor-\(UInt32.random(in: .min ... .max))/0", version: version,
            token: token)
        let trace = Trace()
        do {
            let leg = try await dialer.dial(address, request, .init(goAway: { _ in }, call: { $0.refuse() }), done: { trace.add($0) })
            leg.sayGoodbye()
            leg.close()
            return trace.outcome(nil)
        } catch {
            return trace.outcome(failure(error, after: trace.steps, address))
        }
    }

    private func failure(_ error: any Error, after steps: [DialStep], _ address: Authority) -> Failure {
        let proxy = configuration.edges.proxy
        switch steps.last {
        case nil:
            if case .name = (proxy?.address ?? address).host { return .name("\(error)") }
            return .connection(Self.text(error))
        case .resolved: return .connection(Self.text(error))
        case .connected where proxy?.isTLS == true: return .proxyTLS(TLSFailure(error))
        case .connected where proxy != nil, .proxyTLS:
            guard let refusal = error as? ProxyRefusal else {
                return .proxy(
                    "the proxy: \(Self.text(error))", remedy: "see whether edges.proxy.url is the proxy, with http:// or https:// as it speaks")
            }
            return .proxy(refusal.description, remedy: refusal.remedy)
        case .connected, .proxied: return .edgeTLS(TLSFailure(error))
        case .outerTLS:
            // In TLS 1.3 the edge looks at the connector's certificate after the connector has taken the handshake for done.
            return .answer(Self.text(error))
        case .answered, .accepted: return (error as? LegRefusal).map { .refused($0) } ?? .answer(Self.text(error))
        }
    }

    private static func text(_ error: any Error) -> String { error is TimedOut ? "it did not answer in time" : "\(error)" }

    /// A resolver that is given up after some time; its thread goes on until the system's own time is over.
    static func bounded(_ resolve: @escaping ConnectorResolver, by timeout: Duration) -> ConnectorResolver {
        { name in
            let (answers, answer) = AsyncThrowingStream<[IPAddress], any Error>.makeStream()
            let work = Task {
                do {
                    answer.yield(try await resolve(name))
                    answer.finish()
                } catch {
                    answer.finish(throwing: error)
                }
            }
            let clock = Task {
                try await Task.sleep(for: timeout)
                answer.finish(throwing: DialError("\(name) cannot be resolved: the resolver did not answer in time"))
            }
            defer {
                work.cancel()
                clock.cancel()
            }
            for try await addresses in answers { return addresses }
            throw CancellationError()
        }
    }

    /// What has been done, and when.
    private final class Trace: Sendable {
        private let start = ContinuousClock.now
        private let state = Mutex<[(DialStep, ContinuousClock.Instant)]>([])

        func add(_ step: DialStep) { state.withLock { $0.append((step, .now)) } }

        var steps: [DialStep] { state.withLock { $0.map(\.0) } }

        func outcome(_ failure: Failure?) -> Outcome {
            var outcome = Outcome(failure: failure)
            var last = start
            for (step, time) in state.withLock({ $0 }) {
                outcome.steps.append((step, time - last))
                last = time
            }
            outcome.failedAfter = .now - last
            return outcome
        }
    }
}

/// What an edge's certificate says of itself.
package struct EdgeCertificate: Sendable, Hashable {
    package let issuer: String
    package let expires: Date

    /// `nil` for what is no certificate.
    package init?(der: [UInt8]) {
        guard let certificate = try? Certificate(derEncoded: der) else { return nil }
        issuer = "\(certificate.issuer)"
        expires = certificate.notValidAfter
    }
}
