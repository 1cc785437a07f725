import HTTPTypes
import ManagedAgentsAPI
import PosternCore

/// Turns a request's secret into a principal and decides whether a route is open to it.
struct Authenticator: Sendable {
    /// For an environment key that has been revoked, at the head of a request and in the middle of one.
    static let revoked: APIError = {
        var error = APIError.unauthenticated("OAuth access token has been revoked.")
        error.namesRequest = false
        return error
    }()
    static let wrongEnvironmentText = "Token not authorized for this environment"

    let keys: KeyService
    let work: WorkService

    /// Who calls. The workspace header, if there is one, must name the key's own workspace.
    func principal(_ headers: HTTPFields) async throws(APIError) -> Principal {
        let credential = try Credential(headers)
        let principal = try await find(credential)
        if let wanted = headers[.workspaceID] {
            guard ResourceID.isWellFormed(wanted, .workspace) else {
                throw .invalid("anthropic-workspace-id header must be a valid workspace ID.")
            }
            guard wanted == principal.workspaceID else { throw .forbidden("This credential does not belong to workspace \(wanted).") }
        }
        return principal
    }

    private func find(_ credential: Credential) async throws(APIError) -> Principal {
        // The prefix says where to look first; it proves nothing.
        if !Secrets.isSessionsToken(credential.secret) {
            switch try await keys.look(up: credential.secret) {
            case .valid(let key): return key.kind == .api ? .apiKey(key) : .environmentKey(key)
            case .revoked(let key): throw key.kind == .api ? .unauthenticated("API key has been revoked.") : Self.revoked
            case .expired(let key): throw .unauthenticated(key.kind == .api ? "API key has expired." : "OAuth access token has expired.")
            case .unknown: throw credential.unknown
            }
        }
        // A sessions token is worth no more than the key that it was given to.
        guard let work = try await work.work(tokenHash: keys.secrets.hash(credential.secret)), let keyID = work.keyID, try await keys.isValid(keyID)
        else {
            throw credential.unknown
        }
        return .sessionsToken(work)
    }

    /// - Parameters:
    ///   - parameters: Of the path.
    ///   - route: For the message.
    func authorize(_ principal: Principal, _ access: Access, _ parameters: [String: String], route: String) async throws(APIError) {
        switch (principal, access) {
        case (_, .open): return
        case (.apiKey(let key), .metrics): try check(key, .viewer)
        case (.apiKey(let key), .client(let role)), (.apiKey(let key), .session(let role)), (.apiKey(let key), .queueOrClient(let role)),
            (.apiKey(let key), .leaseOrClient(let role)):
            try check(key, role)
        case (.apiKey(let key), .edge):
            guard try await keys.mayServeEdge(key) else {
                throw .forbidden("This needs an API key of the first workspace with the role edge or admin.")
            }
        case (.apiKey, .queue), (.apiKey, .lease):
            throw .unauthenticated("This endpoint takes a worker's credential, not an API key.")
        case (.environmentKey(let key), .queue), (.environmentKey(let key), .queueOrClient), (.environmentKey(let key), .lease),
            (.environmentKey(let key), .leaseOrClient):
            guard key.environmentID == parameters["environment_id"] else { throw .forbidden(Self.wrongEnvironmentText) }
        case (.sessionsToken(let work), .lease), (.sessionsToken(let work), .leaseOrClient):
            guard work.environmentID == parameters["environment_id"], work.sessionID == parameters["work_id"] else {
                throw .forbidden("This sessions token belongs to another work item.")
            }
        case (.sessionsToken(let work), .session):
            // Found by its token a moment ago, so this is the lease as it is now.
            guard work.sessionID == parameters["session_id"], work.isLeased else { throw .forbidden(Self.leaseText) }
        case (_, .session):
            guard let id = parameters["session_id"] else { throw .forbidden(Self.leaseText) }
            guard try await work.isLeaseHeld(session: id, by: principal) else {
                // A worker must learn that a session is gone, or it keeps the workspace for ever. Every session that is there is refused alike, of
                // whichever environment: ids cannot be guessed, so an absent one tells nothing about another's.
                guard try await work.hasSession(id) else { throw .notFound("Session \(id) not found.") }
                throw .forbidden(Self.leaseText)
            }
        default:
            throw .forbidden(
                "\(route) is not open to a worker's credential: it serves its environment's queue, reads the session whose lease it holds and posts "
                    + "results there.")
        }
    }

    private static let leaseText = "A worker's credential opens only the session whose lease it holds."

    private func check(_ key: KeyRecord, _ role: KeyRecord.Role) throws(APIError) {
        guard let held = key.role, held >= role else {
            throw .forbidden("This needs an API key with the role \(role.rawValue); this key's role is \(key.role?.rawValue ?? "none").")
        }
    }
}

extension Principal {
    var workspaceID: String {
        switch self {
        case .apiKey(let key), .environmentKey(let key): key.workspaceID
        case .sessionsToken(let work): work.workspaceID
        }
    }

    /// The key whose end ends everything that was opened with this credential.
    var keyID: String? {
        switch self {
        case .apiKey(let key), .environmentKey(let key): key.id
        case .sessionsToken(let work): work.keyID
        }
    }
}
