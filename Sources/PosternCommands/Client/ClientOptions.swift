import ArgumentParser
import ManagedAgentsAPI
import ManagedAgentsClient

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Where a control plane is and how it is reached.
struct ServiceOptions: ParsableArguments, SettingFlags {
    @Option(.clientBaseURL) var baseURL: String?
    @Option(.clientCAFile) var caFile: String?
    @Option(.clientProxy) var proxy: String?

    var given: [(ConfigurationKey, String?)] { [(.clientBaseURL, baseURL), (.clientCAFile, caFile), (.clientProxy, proxy)] }
}

/// The options of every command that talks to a control plane.
struct ClientOptions: ParsableArguments, SettingFlags {
    @OptionGroup var service: ServiceOptions
    @Option(.clientAPIKeyFile) var apiKeyFile: String?

    @Flag(name: .long, help: "Print JSON, for programs.")
    var json = false

    @Flag(name: .shortAndLong, help: "Print ids only, for scripts.")
    var quiet = false

    var given: [(ConfigurationKey, String?)] { service.given + [(.clientAPIKeyFile, apiKeyFile)] }

    var show: Show { Show(asJSON: json, idsOnly: quiet) }

    /// Gives `body` a client and shuts its connections down afterwards.
    func withClient<Result>(_ body: (ManagedAgentsClient) async throws -> Result) async throws -> Result {
        let configuration = try Configuration(.client, flags: flags, environment: ProcessEnvironment.current)
        let key = try Self.key(configuration)
        let base = try configuration.required(.clientBaseURL)
        let transport: AsyncHTTPTransport
        do {
            let url = try BaseURL(base)
            // HTTPS_PROXY is set for other programs too: where no proxy is used, it may be written in any way.
            let proxy = try url.isLoopback ? nil : configuration.text(.clientProxy).map { try Proxy($0) }
            transport = try .toControlPlane(url, caFile: configuration.text(.clientCAFile), proxy: proxy)
        } catch {
            throw CommandError(.configuration, "\(error)")
        }
        let client = ManagedAgentsClient(transport: transport, credential: Secret(key))
        do {
            let result = try await body(client)
            await transport.shutdown()
            return result
        } catch {
            await transport.shutdown()
            throw (error as? ClientError).map { CommandError($0, baseURL: base) } ?? error
        }
    }

    private static func key(_ configuration: Configuration) throws -> String {
        if let file = configuration.text(.clientAPIKeyFile) { return try TextFile.readSecret(file) }
        guard let key = configuration.text(.clientAPIKey) else {
            throw CommandError(
                .refused, "no API key: set POSTERN_API_KEY, or give --api-key-file FILE (the server's first key is in admin.key of its data folder)")
        }
        return key
    }
}

/// The variables of this process.
enum ProcessEnvironment {
    static var current: [String: String] {
        var variables: [String: String] = [:]
        var pointer = environ
        while let entry = pointer.pointee {
            let pair = String(cString: entry).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if pair.count == 2 { variables[String(pair[0])] = String(pair[1]) }
            pointer += 1
        }
        return variables
    }
}

extension CommandError {
    /// What a failed call means for whoever runs the command.
    init(_ error: ClientError, baseURL: String) {
        switch error {
        case .api(let failure):
            let status: CommandStatus =
                switch failure.error.status {
                case 401, 403: .refused
                case 404: .notFound
                default: .failure
                }
            self.init(status, "\(failure)")
        case .transport(.connection(let reason)):
            self.init(.unavailable, "nothing answers at \(baseURL) (\(reason)); is the server running, and is POSTERN_BASE_URL right?")
        case .transport(let reason): self.init(.unavailable, "\(baseURL): \(reason)")
        case .stream, .malformed: self.init(.failure, "\(error)")
        }
    }
}
