import HTTPTypes
import PosternCore
import PosternJSON

/// Makes the OpenAPI 3.1 document of a route table.
enum OpenAPIDocument {
    static func make(_ routes: [Route]) -> JSON {
        var paths: JSONObject = [:]
        for route in routes {
            var path = paths[route.pattern]?.object ?? [:]
            path[route.method.rawValue.lowercased()] = .object(operation(route))
            paths[route.pattern] = .object(path)
        }
        return [
            "openapi": "3.1.0",
            "info": [
                "title": "Postern", "version": "1",
                "description":
                    "A Managed Agents control plane. Paths under /v1 follow the public API; those under /postern/v1 are Postern's own.",
                "license": ["name": "Apache-2.0", "identifier": "Apache-2.0"],
            ],
            "paths": .object(paths),
            "components": ["schemas": schemas, "securitySchemes": securitySchemes],
        ]
    }

    private static func operation(_ route: Route) -> JSONObject {
        var operation: JSONObject = [
            "operationId": .string(identifier(route)), "summary": .string(route.summary), "tags": [.string(tag(route.pattern))],
            "x-postern-access": .string(access(route.access)),
        ]
        let path = route.segments.compactMap { segment -> JSON? in
            guard case .parameter(let name) = segment else { return nil }
            return ["name": .string(name), "in": "path", "required": true, "schema": ["type": "string", "minLength": 1]]
        }
        let query: [JSON] = route.query.map { name in
            let schema: JSON = name.hasSuffix("[]") ? ["type": "array", "items": ["type": "string"]] : ["type": "string"]
            return ["name": .string(name), "in": "query", "required": false, "schema": schema]
        }
        if !(path + query).isEmpty { operation["parameters"] = .array(path + query) }
        if route.takesBody {
            operation["requestBody"] = ["content": ["application/json": ["schema": ["type": "object"]]]]
        }
        let type =
            switch route.produces {
            case .json: "application/json"
            case .eventStream: "text/event-stream"
            case .text: "text/plain"
            }
        let schema: JSON = route.produces == .json ? ["type": ["object", "null"]] : ["type": "string"]
        operation["responses"] = [
            "200": ["description": "Success", "content": .object([type: ["schema": schema]])],
            "default": ["description": "Error", "content": ["application/json": ["schema": ["$ref": "#/components/schemas/Error"]]]],
        ]
        operation["security"] = route.access == .open ? [] : [["bearer": []], ["apiKey": []]]
        return operation
    }

    private static func tag(_ pattern: String) -> String {
        let parts = pattern.split(separator: "/").filter { !$0.hasPrefix("{") && $0 != "v1" }
        return parts.contains("work") ? "work" : String(parts.first == "postern" ? parts.dropFirst().last ?? "postern" : parts.first ?? "system")
    }

    private static func identifier(_ route: Route) -> String {
        let parts = route.segments.map { segment in
            switch segment {
            case .literal(let text): text.replacing(".", with: "_")
            case .parameter(let name): "by_" + name
            }
        }
        return ([route.method.rawValue.lowercased()] + parts).joined(separator: "_")
    }

    private static func access(_ access: Access) -> String {
        switch access {
        case .open: "anybody"
        case .metrics: "anybody on loopback, else an API key"
        case .client(let role): "API key: \(role.rawValue)"
        case .edge: "API key of the first workspace: edge or admin"
        case .queue: "environment key"
        case .queueOrClient(let role): "environment key, or API key: \(role.rawValue)"
        case .lease: "environment key or the item's sessions token"
        case .leaseOrClient(let role): "environment key or the item's sessions token, or API key: \(role.rawValue)"
        case .session(let role): "API key: \(role.rawValue), or the worker that holds the session's lease"
        }
    }

    private static let schemas: JSON = [
        "Error": [
            "type": "object", "required": ["type", "error", "request_id"],
            "properties": [
                "type": ["const": "error"], "request_id": ["type": ["string", "null"]],
                "error": [
                    "type": "object", "required": ["type", "message"],
                    "properties": ["type": ["type": "string"], "message": ["type": "string"], "details": ["type": "object"]],
                ],
            ],
        ]
    ]

    private static let securitySchemes: JSON = [
        "bearer": ["type": "http", "scheme": "bearer"], "apiKey": ["type": "apiKey", "in": "header", "name": "x-api-key"],
    ]
}
