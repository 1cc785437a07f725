import HTTPTypes
import ManagedAgentsAPI
import PosternJSON

/// One row of the route table: what is served, to whom, and what the OpenAPI document says of it.
struct Route: Sendable {
    typealias Handler = @Sendable (Call) async throws(APIError) -> Answer

    enum Produces: Sendable { case json, eventStream, text }

    var method: HTTPRequest.Method
    /// Such as `/v1/agents/{agent_id}`.
    var pattern: String
    var access: Access
    var summary: String
    /// Names of query parameters; `x[]` for lists. A handler sees no other, so that none is left out of the OpenAPI document.
    var query: [String]
    var takesBody: Bool
    var produces: Produces
    var handler: Handler

    let segments: [Segment]

    enum Segment: Sendable, Equatable {
        case literal(String)
        case parameter(String)
    }

    init(
        _ method: HTTPRequest.Method, _ pattern: String, _ access: Access, _ summary: String, query: [String] = [], takesBody: Bool = false,
        produces: Produces = .json, _ handler: @escaping Handler
    ) {
        self.method = method
        self.pattern = pattern
        self.access = access
        self.summary = summary
        self.query = query
        self.takesBody = takesBody
        self.produces = produces
        self.handler = handler
        segments = pattern.split(separator: "/").map { part in
            part.hasPrefix("{") ? .parameter(String(part.dropFirst().dropLast())) : .literal(String(part))
        }
    }

    /// The path's parameters, if the path fits.
    func match(_ path: [String]) -> [String: String]? {
        guard path.count == segments.count else { return nil }
        var parameters: [String: String] = [:]
        for (segment, part) in zip(segments, path) {
            switch segment {
            case .literal(let text): guard text == part else { return nil }
            case .parameter(let name):
                guard !part.isEmpty else { return nil }
                parameters[name] = part
            }
        }
        return parameters
    }
}
