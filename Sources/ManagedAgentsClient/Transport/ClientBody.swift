/// The body of an answer: chunks, pulled one after another, so that a slow reader slows the sender down and holds no memory.
package struct ClientBody: AsyncSequence, Sendable {
    package typealias Element = [UInt8]
    package typealias Failure = any Error

    private let base: any AsyncSequence<[UInt8], any Error> & Sendable

    package init(_ base: any AsyncSequence<[UInt8], any Error> & Sendable) { self.base = base }

    /// A body that is already whole.
    package init(_ bytes: [UInt8]) {
        base = AsyncThrowingStream<[UInt8], any Error> { continuation in
            continuation.yield(bytes)
            continuation.finish()
        }
    }

    package struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var base: any AsyncIteratorProtocol<[UInt8], any Error>

        /// The next chunk, `nil` at the end; throws `TransportError` when the body breaks off.
        package mutating func next(isolation actor: isolated (any Actor)?) async throws -> [UInt8]? {
            try await base.next(isolation: actor)
        }

        package mutating func next() async throws -> [UInt8]? { try await next(isolation: nil) }
    }

    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: base.makeAsyncIterator()) }

    /// The whole body. Bounded: more than `limit` bytes is a `TransportError.broken`.
    package func collect(upTo limit: Int) async throws(TransportError) -> [UInt8] {
        var bytes: [UInt8] = []
        do {
            for try await chunk in self {
                if bytes.isEmpty { bytes = chunk } else { bytes += chunk }
                if bytes.count > limit { throw TransportError.broken("the answer is larger than \(limit) bytes") }
            }
        } catch {
            throw TransportError(reading: error)
        }
        // A cancelled sequence ends like a complete one.
        if Task.isCancelled { throw .cancelled }
        return bytes
    }
}

extension TransportError {
    /// What went wrong while a body was read.
    package init(reading error: any Error) {
        switch error {
        case let error as TransportError: self = error
        case is CancellationError: self = .cancelled
        default: self = .broken(Task.isCancelled ? "cancelled" : "\(error)")
        }
    }
}
