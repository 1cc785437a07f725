import NIOCore
import NIOPosix
import PosternPolicy

/// Finds the values of secrets, in the worker. Proxy processes are given values and know no source.
package actor SecretResolver {
    /// A value and for how long it may be used; `nil` for as long as its source is unchanged.
    package struct Found: Sendable, Equatable {
        package var value: SecretValue
        /// Seconds.
        package var lease: Double?

        package init(value: SecretValue, lease: Double?) {
            self.value = value
            self.lease = lease
        }
    }

    private let variables: [String: SecretValue]
    private var vaults: [VaultAccount: VaultClient] = [:]
    /// Opens a file of root's that the worker itself cannot; `nil` where there is no such help for it.
    package typealias Opener = @Sendable (_ path: String) async throws(SecretSourceError) -> Int32?

    private let opener: Opener
    private let threads: NIOThreadPool
    private let group: any EventLoopGroup

    /// - Parameter variables: what the worker took out of its environment at its start. They are read once; a change is not seen.
    package init(
        variables: [String: SecretValue], threads: NIOThreadPool = .singleton, group: any EventLoopGroup,
        opener: @escaping Opener = { (_) async throws(SecretSourceError) in nil }
    ) {
        self.opener = opener
        self.variables = variables
        self.threads = threads
        self.group = group
    }

    /// The value at this moment. Files are read each time; Vault is asked each time, over a login that is kept.
    package func find(_ source: SecretSource) async throws(SecretSourceError) -> Found {
        switch source {
        case .file(let path):
            return Found(value: try await read(path), lease: nil)
        case .variable(let name):
            guard let value = variables[name], !value.isEmpty else {
                throw SecretSourceError("variable \(name)", "it was not set when the worker started", remedy: "set it and start the worker again")
            }
            return Found(value: value, lease: nil)
        case .vault(let vault):
            let account = VaultAccount(vault)
            let client: VaultClient
            if let known = vaults[account] {
                client = known
            } else {
                let read = { @Sendable [self] (path: String) async throws(SecretSourceError) in try await self.read(path) }
                let authorities: [UInt8]? = if let path = vault.caFile { try await contents(path) } else { nil }
                if let other = vaults[account] {
                    // Two questions came here at once; one login is enough.
                    client = other
                } else {
                    client = try VaultClient(account, authorities: authorities, group: group, readFile: read)
                    vaults[account] = client
                }
            }
            return try await client.read(path: vault.path, field: vault.field)
        }
    }

    /// A file that may be read by all, such as certificates.
    func contents(_ path: String) async throws(SecretSourceError) -> [UInt8] {
        try await onThread { () throws(SecretSourceError) in try SecretFile.contents(path, isSecret: false) }
    }

    private func read(_ path: String) async throws(SecretSourceError) -> SecretValue {
        let opened = try await opener(path)
        return try await onThread { () throws(SecretSourceError) in try SecretFile.firstLine(path, opened: opened) }
    }

    private func onThread<Value: Sendable>(_ work: @escaping @Sendable () throws(SecretSourceError) -> Value) async throws(SecretSourceError) -> Value
    {
        do {
            return try await threads.runIfActive { try work() }
        } catch let error as SecretSourceError {
            throw error
        } catch {
            throw SecretSourceError("file", "the worker is stopping", remedy: "start it again", isTemporary: true)
        }
    }
}
