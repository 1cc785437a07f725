import Logging
import ServiceLifecycle
import UnixSignals

/// Runs long-lived services until one fails or a signal asks for the end.
enum Services {
    /// How long a graceful shutdown may take before everything is cancelled; below what systemd and container engines wait by default.
    static let maximumShutdown: Duration = .seconds(25)

    /// - Parameter services: in the order of start; they stop in the reverse order. The first SIGTERM or SIGINT begins a graceful shutdown.
    static func run(_ services: [any Service], logger: Logger, maximumShutdown: Duration = Services.maximumShutdown) async throws {
        var configuration = ServiceGroupConfiguration(
            services: services.map {
                ServiceGroupConfiguration.ServiceConfiguration(
                    service: $0, successTerminationBehavior: .gracefullyShutdownGroup, failureTerminationBehavior: .cancelGroup)
            },
            gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        configuration.maximumGracefulShutdownDuration = maximumShutdown
        configuration.maximumCancellationDuration = .seconds(5)
        try await ServiceGroup(configuration: configuration).run()
    }
}
