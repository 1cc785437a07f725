import PosternPolicy

extension SecretResolver {
    /// The forwards of a policy as a proxy process is given them: with the authorities and passwords that the worker finds for them.
    ///
    /// A password that has no value now leaves its forward without one, so that it refuses connections and says so; `missing` says why, by
    /// forward. A `ca_file` that cannot be read throws: without it the forward would trust the system's roots.
    package func configurations(
        of forwards: [Forward], secrets: [PolicySecret]
    ) async throws(SecretSourceError) -> (configurations: [ForwardConfiguration], missing: [String: SecretSourceError]) {
        var (configurations, missing) = ([ForwardConfiguration](), [String: SecretSourceError]())
        for forward in forwards {
            var configuration = ForwardConfiguration(forward)
            if case .postgres(let postgres) = forward.kind {
                if let path = postgres.caFile { configuration.authorities = String(decoding: try await contents(path), as: UTF8.self) }
                if let name = postgres.secret {
                    do throws(SecretSourceError) {
                        guard let secret = secrets.first(where: { $0.name == name }) else {
                            throw SecretSourceError("secret \(name)", "the policy has no such secret", remedy: "add it below \"secrets\"")
                        }
                        configuration.password = try await find(secret.source).value
                    } catch {
                        missing[forward.name] = error
                    }
                }
            }
            configurations.append(configuration)
        }
        return (configurations, missing)
    }
}
