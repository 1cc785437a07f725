/// Carries one HTTP exchange to the service that the transport was made for. The port of this target: `AsyncHTTPTransport` is the
/// real adapter, tests bring an in-process one.
///
/// The transport holds the base address, so that neither requests nor errors carry it.
package protocol ClientTransport: Sendable {
    /// Returns as soon as the response's head is there; the body follows at the reader's pace. Honours task cancellation.
    func send(_ request: ClientRequest) async throws(TransportError) -> ClientResponse
}

/// One request, ready to be sent.
package struct ClientRequest: Sendable {
    package var method: ClientMethod
    /// Path and query, percent-encoded, starting with `/`.
    package var target: String
    package var headers: ClientHeaders
    package var body: [UInt8]
    /// Longest wait for the response's head, connecting included.
    package var timeout: Duration

    package init(method: ClientMethod, target: String, headers: ClientHeaders, body: [UInt8], timeout: Duration) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.timeout = timeout
    }
}

package enum ClientMethod: String, Sendable { case get = "GET", post = "POST", delete = "DELETE", put = "PUT", patch = "PATCH" }

/// The head of an answer, and its body to be read.
package struct ClientResponse: Sendable {
    package var status: Int
    package var headers: ClientHeaders
    package var body: ClientBody

    package init(status: Int, headers: ClientHeaders, body: ClientBody) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// Why no answer came, or why its body broke off. Never holds an address with credentials or a header.
package enum TransportError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The task was cancelled.
    case cancelled
    /// No connection could be made: name resolution, refusal, TLS, proxy.
    case connection(String)
    /// Nothing came within the request's time-out or the connection's read time-out.
    case timeout(String)
    /// The connection broke during the exchange.
    case broken(String)
    /// A rule of Postern's forbids the exchange; trying again cannot help.
    case refused(String)

    package var description: String {
        switch self {
        case .cancelled: "the request was cancelled"
        case .connection(let reason): "no connection: \(reason)"
        case .timeout(let reason): "timed out: \(reason)"
        case .broken(let reason): "the connection broke: \(reason)"
        case .refused(let reason): reason
        }
    }
}
