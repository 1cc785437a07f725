import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import PosternTelemetry
import ServiceLifecycle

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Answers `GET /metrics` of a worker, an edge or a connector. It reads nothing else, and a sandbox has no way to it.
struct MetricsServer: Service {
    let address: MetricsAddress
    /// The text of the metrics.
    let metrics: @Sendable () async -> String
    let logger: Logger
    /// Called when it is listening.
    var onRunning: @Sendable () -> Void = {}

    /// Makes room for the socket; before anything is started.
    func prepare() throws(CommandError) {
        if case .socket(let path) = address { try UnixSocketFile.makeRoom(at: path) }
    }

    func run() async throws {
        let bind: BindAddress
        switch address {
        case .loopback(let address): bind = .hostname(address.host, port: address.port)
        case .socket(let path): bind = .unixDomainSocket(path: path)
        }
        let (address, metrics, logger, onRunning) = (address, metrics, logger, onRunning)
        let application = Application(
            responder: CallbackResponder { (request: Request, _: BasicRequestContext) in await Self.answer(request, metrics) },
            configuration: .init(address: bind, serverName: nil),
            onServerRunning: { channel in
                var place = address.description
                switch address {
                case .loopback(let address): place = address.url(scheme: "http", port: channel.localAddress?.port ?? address.port) + "/metrics"
                // The group may read as well: that of the folder's owner, who decides whom the folder lets in.
                case .socket(let path): chmod(path, 0o660)
                }
                logger.info("metrics are served", metadata: ["address": "\(place)"])
                onRunning()
            },
            logger: Self.quiet)
        defer { if case .socket(let path) = address { unlink(path) } }
        do {
            try await application.run()
        } catch let error as IOError {
            throw CommandError(.failure, "metrics_listen: cannot listen on \(address): \(String(cString: strerror(error.errnoCode)))")
        }
    }

    private static func answer(_ request: Request, _ metrics: @Sendable () async -> String) async -> Response {
        guard request.uri.path == "/metrics" else { return text(.notFound, "only /metrics is here\n", "text/plain; charset=utf-8") }
        guard request.method == .get || request.method == .head else {
            return text(.methodNotAllowed, "/metrics is read with GET\n", "text/plain; charset=utf-8")
        }
        return text(.ok, await metrics(), MetricsRegistry.contentType)
    }

    private static func text(_ status: HTTPResponse.Status, _ body: String, _ type: String) -> Response {
        Response(status: status, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(string: body)))
    }

    /// The server's own lines about its start and end say nothing that the worker's do not.
    private static let quiet = Logger(label: "metrics") { _ in SwiftLogNoOpLogHandler() }
}
