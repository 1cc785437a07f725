import AsyncHTTPClient
import ManagedAgentsAPI
import NIOCore
import NIOHTTP1
import NIOSSL
import PosternCore
import PosternJSON

/// Requests to a model service: sends them, and turns everything that is no success into a ``ModelError``.
struct ModelHTTP: Sendable {
    /// Bytes of an error body that are read, and of a document that is no stream.
    private static let maximumErrorBody = 64 * 1024
    private static let maximumDocument = 4 * 1024 * 1024
    /// Bytes of one event of a stream: more than a whole answer takes.
    private static let maximumEvent = 16 * 1024 * 1024
    /// Bytes of a whole stream: many times what the longest answer of any model takes.
    private static let maximumStream = 128 * 1024 * 1024

    let client: HTTPClient
    let key: ModelKey?

    /// Sends a request and waits for the head of a successful answer.
    func send(_ request: HTTPClientRequest) async throws(ModelError) -> HTTPClientResponse {
        let response: HTTPClientResponse
        do {
            // The head may take as long as the service keeps quiet at most; the client's read time-out decides that.
            response = try await client.execute(request, deadline: .distantFuture)
        } catch {
            throw failure(error)
        }
        guard !(200...299).contains(response.status.code) else { return response }
        var body: [UInt8] = []
        // A body that cannot be read leaves the status to speak for itself.
        if let buffer = try? await response.body.collect(upTo: Self.maximumErrorBody) { body = Array(buffer.readableBytesView) }
        if Task.isCancelled { throw ModelError(.cancelled, "the model request was cancelled") }
        let headers = response.headers
        let answer = ModelErrorAnswer(status: Int(response.status.code), header: { headers.first(name: $0) }, body: body)
        var mapped = answer.error
        mapped.message = redacted(mapped.message)
        throw mapped
    }

    /// Sends a GET and reads the JSON object that answers it.
    func document(_ request: HTTPClientRequest) async throws(ModelError) -> JSONObject {
        let response = try await send(request)
        let buffer: ByteBuffer
        do {
            buffer = try await response.body.collect(upTo: Self.maximumDocument)
        } catch {
            throw failure(error)
        }
        guard let object = (try? JSON(parsing: buffer.readableBytesView))?.object else {
            throw ModelError(.unavailable, "the model service answered with something that is no JSON object")
        }
        return object
    }

    /// Reads a stream of server-sent events to its end.
    /// - Parameter take: called with each event; what it throws ends the request and closes the connection.
    func events(
        of response: HTTPClientResponse, _ take: (ServerSentEvent) async throws(ModelError) -> Void
    ) async throws(ModelError) {
        var parser = ServerSentEventParser(limit: Self.maximumEvent)
        var iterator = response.body.makeAsyncIterator()
        var size = 0
        while true {
            let buffer: ByteBuffer?
            do {
                buffer = try await iterator.next()
            } catch {
                throw failure(error)
            }
            guard let buffer else { break }
            size += buffer.readableBytes
            guard size <= Self.maximumStream else {
                throw ModelError(.unavailable, "the model service sent an answer of more than \(Self.maximumStream) bytes")
            }
            let events: [ServerSentEvent]
            do {
                events = try parser.parse(buffer.readableBytesView)
            } catch {
                throw ModelError(.unavailable, "the model service sent an event of more than \(error.limit) bytes")
            }
            for event in events {
                do throws(ModelError) {
                    try await take(event)
                } catch {
                    var error = error
                    error.message = redacted(error.message)
                    throw error
                }
            }
        }
        if Task.isCancelled { throw ModelError(.cancelled, "the model request was cancelled") }
    }

    private func redacted(_ text: String) -> String { key?.redacted(from: text) ?? text }

    private func failure(_ error: any Error) -> ModelError {
        if Task.isCancelled || error is CancellationError || error as? HTTPClientError == .cancelled {
            return ModelError(.cancelled, "the model request was cancelled")
        }
        let reason =
            switch error as? HTTPClientError {
            case .connectTimeout?, .tlsHandshakeTimeout?, .httpProxyHandshakeTimeout?: "it did not accept a connection in time"
            case .readTimeout?, .deadlineExceeded?: "it was silent for too long"
            case .remoteConnectionClosed?: "it closed the connection before the answer was complete"
            case .proxyAuthenticationRequired?, .invalidProxyResponse?: "the proxy did not let the request through"
            case .some(let other): "\(other)"
            case nil where error is NIOSSLExtraError || "\(error)".contains("CERTIFICATE_VERIFY_FAILED"):
                "its certificate is for another name, has expired, or comes from an authority that is not trusted here; name a private authority's PEM "
                    + "file with model.ca_file (\(error))"
            case nil: redacted("\(error)")
            }
        return ModelError(.unavailable, "the model service could not be reached or broke off: \(reason)")
    }
}
