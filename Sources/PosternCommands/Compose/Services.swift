import Logging
import NIOCore
import ServiceLifecycle
import UnixSignals

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Runs long-lived services until one fails or a signal asks for the end.
enum Services {
    /// How long a graceful shutdown may take before everything is cancelled; below what systemd and container engines wait by default.
    static let maximumShutdown: Duration = .seconds(25)

    /// - Parameters:
    ///   - services: in the order of start; they stop in the reverse order. The first SIGTERM or SIGINT begins a graceful shutdown.
    ///   - listen: the address that one of them binds, for the error when it cannot.
    static func run(
        _ services: [any Service], listen: ListenAddress? = nil, logger: Logger, maximumShutdown: Duration = Services.maximumShutdown
    ) async throws {
        var configuration = ServiceGroupConfiguration(
            services: services.map {
                ServiceGroupConfiguration.ServiceConfiguration(
                    service: $0, successTerminationBehavior: .gracefullyShutdownGroup, failureTerminationBehavior: .cancelGroup)
            },
            gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        configuration.maximumGracefulShutdownDuration = maximumShutdown
        configuration.maximumCancellationDuration = .seconds(5)
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch let error as IOError {
            guard let listen, [EADDRINUSE, EACCES, EADDRNOTAVAIL].contains(error.errnoCode) else { throw error }
            throw CommandError(.failure, "cannot listen on \(listen): \(String(cString: strerror(error.errnoCode)))")
        }
    }
}
