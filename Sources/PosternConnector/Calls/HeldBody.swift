import NIOCore
import PosternHTTP
import PosternTunnelLink

/// The beginning of a request's body that is held back until it is judged; all of it, unless it is larger than the policy reads.
struct HeldBody: Sendable {
    var bytes: ByteBuffer
    /// Stands behind `bytes`.
    var rest: BodyReader
    /// Why not all of it is held.
    var refusal: PolicyRefusal?

    /// Reads a body up to the bound of the policy. What it holds is taken from `routeGuard`, and is to be given back.
    /// - Parameters:
    ///   - bound: of bytes, and the rule that says so.
    ///   - time: for all of it.
    static func read(
        _ reader: inout MessageReader, _ framing: BodyFraming, for routeGuard: RouteGuard, bound: (bytes: Int, rule: String), within time: TimeAmount
    ) async throws -> HeldBody {
        var held = HeldBody(bytes: ByteBuffer(), rest: BodyReader(framing))
        if case .length(let length) = framing, length > bound.bytes {
            held.refusal = RoutePolicy.tooLarge(bound.bytes, bound.rule)
            return held
        }
        let deadline = NIODeadline.now() + time
        do {
            while true {
                let left = deadline - .now()
                guard left > .zero else { throw TimedOut() }
                guard let part = try await reader.part(of: &held.rest, within: left) else { return held }
                // Granted before it is judged whether it is too much: what is held counts, whatever becomes of it.
                guard routeGuard.hold(part.readableBytes) else { throw Busy() }
                held.bytes.writeImmutableBuffer(part)
                guard held.bytes.readableBytes <= bound.bytes else {
                    held.refusal = RoutePolicy.tooLarge(bound.bytes, bound.rule)
                    return held
                }
            }
        } catch {
            routeGuard.release(held.bytes.readableBytes)
            guard error is Busy else { throw error }
            throw CallError.policy(
                .init(
                    .busy, "max_body_bytes", "the connector holds as many bodies of this route as it may", remedy: "try again later"))
        }
    }

    private struct Busy: Error {}
}
