import ManagedAgentsClient
import Synchronization

/// A server of HTTP that answers by a closure, and keeps what it was asked.
final class FakeTransport: ClientTransport {
    typealias Answer = @Sendable (ClientRequest) async throws(TransportError) -> ClientResponse

    private let answer: Answer
    private let log = Mutex<[ClientRequest]>([])

    init(_ answer: @escaping Answer) { self.answer = answer }

    var asked: [ClientRequest] { log.withLock { $0 } }

    func send(_ request: ClientRequest) async throws(TransportError) -> ClientResponse {
        log.withLock { $0.append(request) }
        return try await answer(request)
    }
}

extension ClientResponse {
    init(_ status: Int, _ body: String = "", _ headers: ClientHeaders = [:]) {
        self.init(status: status, headers: headers, body: ClientBody(Array(body.utf8)))
    }
}
