import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import ManagedAgentsAPI
import NIOCore
import PosternCore
import PosternJSON

/// A request on its way through a handler: authenticated, its path and query read.
struct Call: Sendable {
    let id: String
    let request: Request
    let parameters: [String: String]
    let query: Query
    /// Nil on open routes only.
    let principal: Principal?
    let channel: any Channel
    let logger: Logger
    let maximumBodySize: Int
    /// Asks again whether the caller may do this; throws as at the head of the request.
    let reauthorize: @Sendable () async throws(APIError) -> Void

    /// - Throws: 500 if the pattern has no such parameter, which a test rules out.
    func parameter(_ name: String) throws(APIError) -> String {
        guard let value = parameters[name] else { throw .internalError }
        return value
    }

    func caller() throws(APIError) -> Principal {
        guard let principal else { throw .internalError }
        return principal
    }

    func workspaceID() throws(APIError) -> String { try caller().workspaceID }

    /// The JSON body; 400 when there is none or it is none.
    func body() async throws(APIError) -> JSON {
        guard let body = try await optionalBody() else { throw .invalid("Failed to parse request body: unexpected end of JSON input") }
        return body
    }

    /// Nil for an empty body.
    func optionalBody() async throws(APIError) -> JSON? {
        let tooLarge = APIError.tooLarge("Request body exceeds the maximum of \(maximumBodySize) bytes")
        if let length = request.headers[.contentLength].flatMap(Int.init), length > maximumBodySize { throw tooLarge }
        let bytes: ByteBuffer
        let start = ContinuousClock.now
        do {
            bytes = try await request.body.collect(upTo: maximumBodySize)
        } catch is NIOTooManyBytesError {
            throw tooLarge
        } catch {
            throw .invalid("The request body broke off")
        }
        // A body that takes its time must not carry rights over their end.
        if ContinuousClock.now - start > .milliseconds(500) { try await reauthorize() }
        guard bytes.readableBytes > 0 else { return nil }
        do {
            return try JSON(parsing: bytes.readableBytesView)
        } catch {
            throw .invalid("Failed to parse request body: \(error)")
        }
    }
}
