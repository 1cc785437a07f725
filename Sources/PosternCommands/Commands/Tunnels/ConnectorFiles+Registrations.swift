import Logging
import PosternConnector
import PosternEgress
import PosternTunnelWire
import ServiceLifecycle

extension ConnectorFiles {
    /// What the connector knows by itself of the tunnel's registrations; `nil` where the log is not watched.
    func registrationPins(config path: String) throws -> RegistrationWatch.Pins? {
        let folder = Self.folder(of: path)
        do {
            return try RegistrationWatch.Pins(configuration, material) { name in
                let path = Self.against(folder, name)
                return TextFile.exists(path) ? try TextFile.read(path) : nil
            }
        } catch let error as CommandError {
            throw CommandError(.configuration, error.message)
        } catch {
            throw CommandError(.configuration, "\(error)")
        }
    }

    /// The absolute path of what was seen of the log; `nil` where it is not watched.
    func registrationState(config path: String) -> String? {
        configuration.registrations.map { Self.against(Self.folder(of: path), $0.stateFile) }
    }

    /// What watches the log beside the connector; `nil` where nothing does.
    func watcher(config path: String, _ logger: Logger) throws -> RegistrationWatcher? {
        guard let pins = try registrationPins(config: path), let state = registrationState(config: path) else {
            logger.warning("the tunnel's registrations are not watched: the document has no registrations")
            return nil
        }
        do {
            return try RegistrationWatcher(
                pins, configuration, material, stateFile: state, interval: .seconds(configuration.registrations?.intervalSeconds ?? 60),
                resolve: SystemResolver.resolve
            ) { RegistrationEventLog.log($0, logger) }
        } catch {
            throw CommandError(.configuration, "\(error)")
        }
    }

    private static func folder(of path: String) -> String {
        TextFile.absolute(path).split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
    }
}

/// The watching of the log as a service of the group.
struct RegistrationService: Service {
    let watcher: RegistrationWatcher

    func run() async throws {
        let watcher = watcher
        await cancelWhenGracefulShutdown { await watcher.run() }
    }
}
