import HTTPTypes
import ManagedAgentsAPI

/// All routes, and what is answered where there is none.
struct RouteTable: Sendable {
    let routes: [Route]
    /// By number of segments; more literal routes first.
    private let bySegments: [Int: [Route]]

    init(_ routes: [Route]) {
        self.routes = routes
        bySegments = Dictionary(grouping: routes, by: \.segments.count).mapValues { group in
            group.enumerated().sorted { ($0.element.parameterCount, $0.offset) < ($1.element.parameterCount, $1.offset) }.map(\.element)
        }
    }

    /// - Parameter path: As it came, still escaped.
    /// - Throws: 404 or 405.
    func find(_ method: HTTPRequest.Method, _ path: String) throws(APIError) -> (route: Route, parameters: [String: String]) {
        let parts = path.split(separator: "/").map { Query.decoded($0, plusIsSpace: false) }
        var fits = false
        for route in bySegments[parts.count] ?? [] {
            guard let parameters = route.match(parts) else { continue }
            if route.method == method { return (route, parameters) }
            fits = true
        }
        if let unbuilt = Self.unbuilt(parts) { throw .notFound(unbuilt) }
        // The reference knows no deletion of an agent and says so in its own words.
        if method == .delete, parts.count == 3, parts.starts(with: ["v1", "agents"]) { throw .notFound("not found") }
        guard fits else { throw .notFound("Not found") }
        throw APIError(405, .invalidRequest, "Method Not Allowed")
    }

    /// Endpoints of the contract that Postern knows and does not serve yet.
    private static func unbuilt(_ parts: [String]) -> String? {
        guard parts.first == "v1", parts.count > 1 else { return nil }
        let names = [
            "vaults": "Vaults", "skills": "Skills", "files": "Files", "memory_stores": "Memory stores", "deployments": "Deployments",
            "deployment_runs": "Deployment runs", "user_profiles": "User profiles", "dreams": "Dreams",
            "organizations": "Organization endpoints", "webhooks": "Webhooks",
        ]
        if let name = names[parts[1]] { return "\(name) are not built yet in this version of Postern." }
        return nil
    }
}

extension Route {
    fileprivate var parameterCount: Int { segments.count { if case .parameter = $0 { true } else { false } } }
}
