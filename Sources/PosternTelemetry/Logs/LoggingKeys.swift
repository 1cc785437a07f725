/// The names of metadata in log lines. One name per idea, so that a line from the server and one from a worker can be joined.
package enum LoggingKeys {
    package static let sessionID = "session_id"
    package static let environmentID = "environment_id"
    package static let workID = "work_id"
    package static let workerID = "worker_id"
    package static let eventID = "event_id"
    package static let requestID = "request_id"
    package static let toolUseID = "tool_use_id"
    package static let tool = "tool"
    package static let model = "model"
    package static let method = "method"
    package static let path = "path"
    package static let status = "status"
    /// Milliseconds.
    package static let duration = "duration_ms"
    package static let bytes = "bytes"
    package static let address = "address"
    package static let error = "error"
    package static let attempt = "attempt"
}
