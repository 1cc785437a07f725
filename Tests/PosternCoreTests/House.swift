import Logging
import ManagedAgentsAPI
import PosternJSON
import PosternTestKit
import Testing

@testable import PosternCore

/// An engine with its services over the in-memory store, and a model that answers as told.
struct House {
    let store: MemoryStore
    let model = QueuedModel()
    let engine: SessionEngine
    let sessions: SessionService
    let work: WorkService
    let key = KeyRecord(
        id: "ekey_1", kind: .environment, workspaceID: "w", environmentID: "env_1", name: "k", hash: [1], hint: "h", createdAt: .now())

    private let lines: AsyncStream<String>

    init(
        store: MemoryStore = MemoryStore(), servers: any MCPServers = NoMCPServers(), limits: SessionLimits = .init(), capacity: Int = 4096,
        leaseSeconds: Int = 300
    ) {
        self.store = store
        let (lines, line) = AsyncStream.makeStream(of: String.self)
        self.lines = lines
        let logger = Logger(label: "test") { _ in LogTap { line.yield($0) } }
        engine = SessionEngine(store: store, provider: model, servers: servers, limits: limits, capacity: capacity, logger: logger)
        sessions = SessionService(engine: engine)
        let counter = Counter()
        work = WorkService(engine: engine, leaseSeconds: leaseSeconds) { (counter.id(), Array(counter.id().utf8)) }
    }

    var client: Principal {
        .apiKey(KeyRecord(id: "apikey_1", kind: .api, workspaceID: "w", role: .admin, name: "c", hash: [2], hint: "h", createdAt: .now()))
    }
    var worker: Principal { .environmentKey(key) }

    func create(_ events: ClientEvent..., agent: JSONObject = MachineHarness.agent) async throws -> SessionRecord {
        try await sessions.create(
            SessionDraft(
                workspaceID: "w", environmentID: "env_1", agent: agent, agentID: "agent_1", agentVersion: 1, initialEvents: events,
                createdBy: "apikey_1")
        )
    }

    /// Claims the item as a worker does.
    func claim() async throws -> WorkRecord {
        let polled = try #require(
            try await work.poll(environmentID: "env_1", key: key, workerID: "w1", reclaimAfter: .seconds(5), wait: .seconds(5)))
        return try await work.acknowledge(polled.work.sessionID, environmentID: "env_1", key: key)
    }

    /// Reads a stream until an event of that type, or one that `matches`, comes.
    func wait(_ stream: EventSubscription, for type: String, where matches: (JSON) -> Bool = { _ in true }) async throws -> JSON {
        while let item = try await stream.next() {
            guard case .event(let row) = item, row.type == type, row.view == .processed else { continue }
            let event = try JSON(parsing: row.bytes)
            if matches(event) { return event }
        }
        throw CancellationError()
    }

    /// Waits until the engine has logged a line that begins so.
    func logged(_ beginning: String) async { _ = await lines.first { $0.hasPrefix(beginning) } }

    /// The session's events, as a client lists them.
    func events(_ id: String) async throws -> [EventRow] {
        try await sessions.events(id, filter: .init(), order: .ascending, from: nil, limit: 1000, by: client).elements
    }
}

/// Tells of each line that is worth an operator's attention.
private struct LogTap: LogHandler {
    let tell: @Sendable (String) -> Void
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .error

    init(_ tell: @escaping @Sendable (String) -> Void) { self.tell = tell }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { tell("\(event.message)") }
}
