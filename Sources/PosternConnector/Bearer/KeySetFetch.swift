import NIOCore
import PosternHTTP
import PosternPolicy
import PosternTunnelLink

/// Asks for a key set once: `GET` over TLS to an address that the policy lets be dialled, of bounded size and time, without following anything.
struct KeySetFetch: Sendable {
    let url: KeySetURL
    let dialer: UpstreamDialer
    let time: TimeAmount

    func run() async -> Result<KeySet, KeySetProblem> {
        do {
            return .success(try await fetch())
        } catch let error as CallError {
            return .failure(.init(description: "\(url): \(error)"))
        } catch let error as HTTPRefusal {
            return .failure(.init(description: "\(url): \(error.reason)"))
        } catch is TimedOut {
            return .failure(.init(description: "\(url): it did not answer in time"))
        } catch {
            return .failure(.init(description: "\(url): \(String("\(error)".prefix(300)))"))
        }
    }

    private func fetch() async throws -> KeySet {
        let link = try await dialer.connect(to: url.authority)
        defer { link.stream.close() }
        let deadline = NIODeadline.now() + time
        var fields = HTTPFields()
        fields.append("Host", url.authority.port == 443 ? url.authority.host.description : url.authority.description)
        fields.append("Accept", "application/jwk-set+json, application/json")
        fields.append("Accept-Encoding", "identity")
        fields.append("Connection", "close")
        var request = Array("GET \(url.target) HTTP/1.1\r\n".utf8)
        fields.write(to: &request)
        try await WriteWatch.write(ByteBuffer(bytes: request), to: link.stream, within: time)
        var reader = link.reader
        var head: ResponseHead
        repeat {
            guard let lines = try await reader.head(idle: left(deadline), whole: left(deadline)) else {
                throw HTTPRefusal("it closed the connection")
            }
            head = try ResponseHead(lines: lines)
        } while head.isInterim
        guard head.status == 200 else { throw HTTPRefusal("it answers \(head.status), and only 200 counts: nothing is followed") }
        guard head.fields.named("content-encoding").flatMap(\.tokens).allSatisfy({ $0 == "identity" }) else {
            throw HTTPRefusal("its answer has a content coding that was not asked for")
        }
        do {
            return try KeySet(try await reader.body(try BodyFraming(response: head, to: "GET"), most: KeySet.longest, until: deadline))
        } catch let error as BodyTooLarge {
            throw KeySet.Invalid(description: "the key set has more than \(error.most) bytes")
        }
    }

    private func left(_ deadline: NIODeadline) throws -> TimeAmount {
        let left = deadline - .now()
        guard left > .zero else { throw TimedOut() }
        return left
    }
}
