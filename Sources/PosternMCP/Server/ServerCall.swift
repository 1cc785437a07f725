import PosternJSON

/// A list of a server whose changes can be told.
package enum ListKind: String, Sendable, CaseIterable {
    case tools, prompts, resources

    /// The notification that the list has changed.
    package var notification: String { "notifications/\(rawValue)/list_changed" }
    /// What asks for it in `subscriptions/listen` (2026-07-28).
    package var filter: String { "\(rawValue)ListChanged" }

    package init?(notification: String) {
        guard let kind = Self.allCases.first(where: { $0.notification == notification }) else { return nil }
        self = kind
    }
}

/// One request to a server over stdio that has to be carried out.
package struct ServerCall: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        /// `initialize` or `server/discover`: what the server is.
        case describe
        /// `subscriptions/listen`: changes of these lists, until it is cancelled.
        case subscribe([ListKind])
        case request
    }

    /// Its own number, unlike the caller's id never used twice.
    package var number: Int
    package var kind: Kind
    package var method: String
    /// Without the progress token and without what 2026-07-28 says of each request about the caller.
    package var params: JSONObject
    /// What is spoken with the caller.
    package var revision: Revision
}

/// What a server says of itself to a caller.
package struct ServerProfile: Sendable, Equatable {
    /// Name and version, as they are sent (schema, `Implementation`).
    package var server: JSON
    package var capabilities: JSONObject
    package var instructions: String?

    package init(server: JSON, capabilities: JSONObject, instructions: String? = nil) {
        self.server = server
        self.capabilities = capabilities
        self.instructions = instructions
    }
}
