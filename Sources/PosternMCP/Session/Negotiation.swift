import PosternJSON

/// How a connection begins: which era the server is of, and which revision is spoken. A value without I/O.
///
/// Without a revision that is forced or an era that is known, `server/discover` of the newest revision is tried first; whatever is no sign of a
/// modern server leads to `initialize` (2026-07-28, versioning, "Era detection").
package struct Negotiation: Sendable {
    package enum Medium: Sendable { case http, stdio }

    /// What is to be done next.
    package enum Step: Sendable, Equatable {
        /// Send `server/discover` at this revision.
        case discover(Revision)
        /// Send `initialize` that offers this revision.
        case initialize(Revision)
        /// Send `notifications/initialized`, then report it by `announced()`.
        case announce(ServerDescription)
        case ready(ServerDescription)
        case fail(MCPError)
    }

    private enum State: Sendable, Equatable {
        case new
        case discovering(Revision, isLast: Bool)
        case initializing(Revision, isLast: Bool)
        case announcing(ServerDescription)
        case over
    }

    private let medium: Medium
    private let forced: Revision?
    private let known: Era?
    private var state = State.new

    /// - Parameters:
    ///   - forced: the only revision to be spoken.
    ///   - known: the era that this server was of before; tried first, not trusted.
    package init(medium: Medium, forced: Revision? = nil, known: Era? = nil) {
        self.medium = medium
        self.forced = forced
        self.known = known
    }

    package mutating func start() -> Step {
        if let forced { return forced.era == .modern ? discover(forced, isLast: true) : initialize(forced, isLast: true) }
        return known == .handshake ? initialize(.newest(of: .handshake), isLast: false) : discover(.newest(of: .modern), isLast: false)
    }

    /// Takes what the request of the last step came to. `sessionID`: of the answer's head.
    package mutating func answered(_ result: Result<JSONObject, MCPError>, sessionID: String? = nil) -> Step {
        switch state {
        case .discovering(let revision, let isLast): discovered(result, revision, isLast)
        case .initializing(let revision, let isLast): initialized(result, revision, isLast, sessionID)
        case .new, .announcing, .over: fail(.malformed("an answer to nothing that was asked"))
        }
    }

    /// `notifications/initialized` was taken.
    package mutating func announced() -> Step {
        guard case .announcing(let server) = state else { return fail(.malformed("an answer to nothing that was asked")) }
        state = .over
        return .ready(server)
    }

    // MARK: - 2026-07-28

    private mutating func discovered(_ result: Result<JSONObject, MCPError>, _ revision: Revision, _ isLast: Bool) -> Step {
        switch result {
        case .success(let object):
            guard let offered = object["supportedVersions"]?.array?.compactMap(\.string), let capabilities = object["capabilities"]?.object else {
                return fallBack(isLast, .malformed("the answer to server/discover names no versions or no capabilities"))
            }
            guard offered.contains(revision.rawValue) else {
                return fallBack(isLast, .revision(wanted: revision.rawValue, offered: offered))
            }
            state = .over
            return .ready(
                ServerDescription(
                    revision: revision, server: Implementation(object["_meta"]?["io.modelcontextprotocol/serverInfo"]), capabilities: capabilities,
                    instructions: object["instructions"]?.string))
        case .failure(let error):
            if case .server(let answer) = error, answer.code == RPCError.unsupportedRevision {
                // A modern server, then, which speaks the older revisions too or none that is known here.
                let offered = answer.supportedRevisions ?? []
                let speaksHandshake = offered.contains { Revision(rawValue: $0)?.era == .handshake }
                return offered.isEmpty || speaksHandshake
                    ? fallBack(isLast, .revision(wanted: revision.rawValue, offered: offered))
                    : fail(.revision(wanted: revision.rawValue, offered: offered))
            }
            return isNoModernServer(error) ? fallBack(isLast, error) : fail(error)
        }
    }

    /// Whether a failed `server/discover` is a sign of the older era: nothing else is one, an outage least of all.
    private func isNoModernServer(_ error: MCPError) -> Bool {
        switch error {
        case .server(let answer): ![RPCError.headerMismatch, RPCError.missingClientCapability].contains(answer.code)
        case .status(let status, _):
            // Some older servers choke on a method that they do not know.
            (400...499).contains(status) && ![407, 408, 413, 425, 429].contains(status) || status == 500 || status == 501
        // Over stdio an older server may keep silent on what comes before `initialize`.
        case .timedOut: medium == .stdio
        case .malformed: true
        default: false
        }
    }

    private mutating func fallBack(_ isLast: Bool, _ error: MCPError) -> Step {
        if isLast {
            if let forced, case .server = error { return fail(.revision(wanted: forced.rawValue, offered: [])) }
            if let forced, case .status = error { return fail(.revision(wanted: forced.rawValue, offered: [])) }
            return fail(error)
        }
        return initialize(.newest(of: .handshake), isLast: false)
    }

    // MARK: - 2025-03-26 to 2025-11-25

    private mutating func initialized(_ result: Result<JSONObject, MCPError>, _ revision: Revision, _ isLast: Bool, _ sessionID: String?) -> Step {
        switch result {
        case .success(let object):
            guard let version = object["protocolVersion"]?.string, let capabilities = object["capabilities"]?.object else {
                return fail(.malformed("the answer to initialize names no protocolVersion or no capabilities"))
            }
            guard let answered = Revision(rawValue: version), answered.era == .handshake, forced == nil || forced == answered else {
                return fail(.revision(wanted: revision.rawValue, offered: [version]))
            }
            if let sessionID, !Self.isSessionID(sessionID) {
                return fail(.malformed("Mcp-Session-Id must be visible ASCII of at most \(Self.maximumSessionID) bytes"))
            }
            let server = ServerDescription(
                revision: answered, server: Implementation(object["serverInfo"]), capabilities: capabilities,
                instructions: object["instructions"]?.string, sessionID: sessionID)
            state = .announcing(server)
            return .announce(server)
        case .failure(let error):
            guard forced == nil else { return fail(error) }
            if case .server(let answer) = error, answer.code == RPCError.unsupportedRevision, !isLast { return discover(.july2026, isLast: true) }
            // What was known of the server may be old.
            if known == .handshake, !isLast, isNoModernServer(error) { return discover(.july2026, isLast: true) }
            return fail(error)
        }
    }

    /// Longest session id, in bytes, that is kept and sent again.
    private static let maximumSessionID = 1024

    private static func isSessionID(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= maximumSessionID && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }

    // MARK: - Steps

    private mutating func discover(_ revision: Revision, isLast: Bool) -> Step {
        state = .discovering(revision, isLast: isLast)
        return .discover(revision)
    }

    private mutating func initialize(_ revision: Revision, isLast: Bool) -> Step {
        state = .initializing(revision, isLast: isLast)
        return .initialize(revision)
    }

    private mutating func fail(_ error: MCPError) -> Step {
        state = .over
        return .fail(error)
    }
}
