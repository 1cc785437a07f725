import PosternJSON

/// The `error` of a JSON-RPC answer (JSON-RPC 2.0, section 5.1). What the peer says about itself: shown, never trusted.
package struct RPCError: Error, Sendable, Equatable, CustomStringConvertible {
    package var code: Int
    package var message: String
    package var data: JSON?

    package init(code: Int, message: String, data: JSON? = nil) {
        self.code = code
        self.message = message
        self.data = data
    }

    package var description: String { "\(message) (\(code))" }
}

extension RPCError {
    package static let parseError = -32700
    package static let invalidRequest = -32600
    package static let methodNotFound = -32601
    package static let invalidParams = -32602
    package static let internalError = -32603
    /// The first of those that a server may give a meaning of its own (JSON-RPC 2.0, section 5.1).
    package static let serverError = -32000
    /// Somebody has to open a page first, which `data` names (2025-11-25, "URL elicitation required error").
    package static let urlElicitationRequired = -32042
    /// Headers and body of a request do not say the same (2026-07-28).
    package static let headerMismatch = -32020
    /// The request lacks a capability of the client that the server needs (2026-07-28).
    package static let missingClientCapability = -32021
    /// The server does not speak the revision; `data.supported` lists those that it does (2026-07-28).
    package static let unsupportedRevision = -32022

    /// The revisions of `data.supported`; nil where the error lists none.
    package var supportedRevisions: [String]? {
        guard let list = data?["supported"]?.array else { return nil }
        return list.compactMap(\.string)
    }
}
