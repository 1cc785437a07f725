import Foundation
import Logging
import NIOPosix
import PosternJSON
import PosternPolicy
import Synchronization
import Testing

@testable import PosternEgress

/// The worker's part beside a proxy that runs in this process: it records what is announced and keeps all reports.
final class ForwardWorkerDouble: Sendable {
    let link: EgressLink
    /// The worker's end of the control socket once more, for a helper that makes listeners elsewhere.
    let control: Int32
    private let kept = Mutex<[EgressReport]>([])
    private let (stream, feed) = AsyncStream<EgressReport>.makeStream()

    private init(_ descriptor: Int32) {
        control = dup(descriptor)
        link = EgressLink(descriptor: descriptor)
    }

    deinit { close(control) }

    var reports: [EgressReport] { kept.withLock { $0 } }
    var forwards: [ForwardReport] { reports.compactMap { if case .forward(_, _, let report) = $0 { report } else { nil } } }
    /// What is reported from now on; for one reader.
    var news: AsyncStream<EgressReport> { stream }

    /// A proxy of one session, until `body` returns. `body` is given the session's certificate.
    static func withProxy(
        _ configuration: EgressConfiguration, resolve: @escaping NameResolver,
        _ body: (ForwardWorkerDouble, String) async throws -> Void
    ) async throws {
        var pair: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0 else { throw NSError(domain: "socketpair", code: Int(errno)) }
        let worker = ForwardWorkerDouble(pair[0])
        let proxyEnd = pair[1]
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                await EgressProcess.serve(
                    control: proxyEnd, group: .singletonMultiThreadedEventLoopGroup, resolve: resolve, logger: Logger(label: "test"))
            }
            let (certificates, ready) = AsyncStream<String>.makeStream()
            group.addTask {
                for await report in worker.link.reports {
                    worker.kept.withLock { $0.append(report) }
                    switch report {
                    case .ready(_, let certificate): ready.yield(certificate)
                    case .intent(let id, _, _), .refusal(let id, _, _), .secretUsed(let id, _, _, _, _), .forward(let id, _, _):
                        worker.link.send(.recorded(id: id))
                    case .failure(_, let reason): Issue.record("\(reason)")
                    default: break
                    }
                    worker.feed.yield(report)
                }
            }
            worker.link.send(.configure(configuration))
            var first = certificates.makeAsyncIterator()
            try await body(worker, try #require(await first.next()))
            worker.link.close()
            group.cancelAll()
            try await group.waitForAll()
        }
    }
}
