import PosternTelemetry

/// What a worker has done since it started, in short: read from its metrics.
package struct WorkerStatistics: Sendable, Equatable {
    /// Items served, resumed ones included.
    package var sessions: Int
    /// Sessions being served now.
    package var active: Int
    /// Calls that were run.
    package var calls: Int
    /// Bytes of the results that were accepted: what crossed the perimeter.
    package var bytesPosted: Int
}

extension WorkerMetrics {
    package var statistics: WorkerStatistics {
        WorkerStatistics(
            sessions: Int(sessionsStarted.total), active: Int(sessions.total), calls: Int(toolCallDurations.count),
            bytesPosted: Int(resultBytes.total))
    }
}
