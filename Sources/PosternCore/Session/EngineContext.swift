import Logging
import ManagedAgentsAPI
import PosternJSON

/// What every session's runner shares.
struct EngineContext: Sendable {
    let store: any Store
    let provider: any ModelProvider
    let servers: any MCPServers
    let hub = EventHub()
    let signal = WorkSignal()
    let leases = DeadlineClock()
    private let recentWork = RecentWork()
    private let modelLimits: ModelLimitBook
    let limits: SessionLimits
    let source: StepSource
    let logger: Logger

    init(
        store: any Store, provider: any ModelProvider, servers: any MCPServers, limits: SessionLimits, source: StepSource, logger: Logger
    ) {
        self.store = store
        self.provider = provider
        self.servers = servers
        self.limits = limits
        self.source = source
        self.logger = logger
        modelLimits = ModelLimitBook(provider, now: source.now)
    }

    /// What the provider says of a model. Asked once; after that it takes no time.
    func limits(of model: String) async -> ModelLimits { await modelLimits.limits(of: model) }

    func refusesSystemMessages(_ model: String) async -> Bool { await modelLimits.refusesSystemMessages(model) }

    // MARK: Work items: every read and every write of one passes here.

    func storedWork(_ sessionID: String) async throws(StoreError) -> WorkRecord? {
        if let recent = recentWork.record(session: sessionID, now: source.now()) { return recent }
        return try await recentWork.noting(clock: source.now) { () async throws(StoreError) in try await store.work(sessionID) }
    }

    func work(_ sessionID: String) async throws(APIError) -> WorkRecord? {
        do {
            return try await storedWork(sessionID)
        } catch {
            throw error.apiError
        }
    }

    /// The item whose sessions token has that SHA-256.
    func work(tokenHash: [UInt8]) async throws(APIError) -> WorkRecord? {
        if let recent = recentWork.record(tokenHash: tokenHash, now: source.now()) { return recent }
        do {
            return try await recentWork.noting(clock: source.now) { () async throws(StoreError) in try await store.work(tokenHash: tokenHash) }
        } catch {
            throw error.apiError
        }
    }

    /// Stores a changed item; `.conflict` when somebody else was first.
    func update(_ work: WorkRecord) async throws(StoreError) {
        let begin = source.now()
        do {
            try await store.update(work)
        } catch {
            recentWork.forget(session: work.sessionID, below: work.revision, now: source.now())
            throw error
        }
        recentWork.note(work, asOf: begin, now: source.now())
    }

    /// Stores a settlement, with the item that it may change; `.conflict` when somebody else was first.
    func settle(_ settlement: Settlement) async throws(StoreError) {
        let begin = source.now()
        do {
            try await store.settle(settlement)
        } catch {
            recentWork.forget(session: settlement.sessionID, below: settlement.work?.revision ?? 0, now: source.now())
            throw error
        }
        if let work = settlement.work { recentWork.note(work, asOf: begin, now: source.now()) }
    }

    /// The session has been deleted: nothing that is still being read of its item is believed.
    func forgetWork(_ sessionID: String) { recentWork.forget(session: sessionID, below: .max, now: source.now()) }

    /// Whether the session is there and goes on: neither archived nor terminated.
    func isLive(_ sessionID: String) async throws(APIError) -> Bool {
        do {
            guard let session = try await store.session(sessionID) else { return false }
            return session.archivedAt == nil && session.status != .terminated
        } catch {
            throw error.apiError
        }
    }

    /// Whether the session is there, as the store knows it now. Its work item is made and deleted with it.
    func hasSession(_ sessionID: String) async throws(APIError) -> Bool {
        do {
            return try await store.work(sessionID) != nil
        } catch {
            throw error.apiError
        }
    }

    // MARK: Leases

    /// Whether a worker's credential holds the session's lease now.
    func holdsLease(_ sessionID: String, _ principal: Principal) async throws(APIError) -> Bool {
        guard let work = try await work(sessionID), work.isLeased else { return false }
        switch principal {
        case .apiKey: return false
        case .environmentKey(let key): return key.environmentID == work.environmentID && work.keyID == key.id
        case .sessionsToken(let held): return held.sessionID == sessionID && held.tokenHash == work.tokenHash
        }
    }

    /// The environment's choice: its metadata key `postern.redelivery`.
    func redelivery(environmentID: String) async throws(APIError) -> Redelivery {
        do {
            return try await store.environment(environmentID)?.redelivery ?? .atMostOnce
        } catch {
            throw error.apiError
        }
    }
}
