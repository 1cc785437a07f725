import Synchronization

/// What a worker has done since it started.
package struct WorkerStatistics: Sendable, Equatable {
    /// Items served, resumed ones included.
    package var sessions = 0
    /// Sessions being served now.
    package var active = 0
    /// Calls that were run.
    package var calls = 0
    /// Calls whose result was an error.
    package var failedCalls = 0
    /// Calls answered "outcome unknown".
    package var unknownCalls = 0
    /// Results that were accepted, and the bytes of their events: what crossed the perimeter.
    package var results = 0
    package var bytesPosted = 0

    package init() {}
}

final class StatisticsBox: Sendable {
    private let value = Mutex(WorkerStatistics())
    var current: WorkerStatistics { value.withLock { $0 } }
    func update(_ change: (inout WorkerStatistics) -> Void) { value.withLock { change(&$0) } }
}
