import PosternCore

/// Who may call a route.
enum Access: Sendable, Equatable {
    /// Anybody.
    case open
    /// Anybody on loopback, an API key elsewhere.
    case metrics
    /// An API key of at least this role.
    case client(KeyRecord.Role)
    /// The key of the environment in the path; API keys are told that they are of the wrong kind.
    case queue
    /// The environment's key, or an API key: the queue's figures.
    case queueOrClient(KeyRecord.Role)
    /// The environment's key, or the sessions token of the item in the path. Which of the environment's keys holds the lease is for the work service
    /// to say, in the same step that changes it.
    case lease
    /// As `lease`, or an API key.
    case leaseOrClient(KeyRecord.Role)
    /// An edge's key, or an admin key of the first workspace: an edge serves every workspace.
    case edge
    /// An API key, or a worker's credential that holds the lease of the session in the path.
    case session(KeyRecord.Role)
}
