import FoundationEssentials
import PosternAudit
import PosternConnector
import PosternPolicy

/// Reads a connector's document and the files that it names.
struct ConnectorFiles {
    let configuration: ConnectorConfiguration
    let material: ConnectorMaterial
    /// What belongs to the connector alone, absolute: no server that it starts is shown any of it.
    let own: [String]

    /// Paths in the document are against its folder.
    init(config path: String) throws {
        let path = TextFile.absolute(path)
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
        configuration = try Self.configuration(at: path)
        own = [path] + Self.named(configuration).map { Self.against(folder, $0) }
        do {
            material = try ConnectorMaterial(configuration, now: Date()) { name, isSecret in
                let path = Self.against(folder, name)
                guard TextFile.exists(path) else { return nil }
                if isSecret { try TextFile.checkPrivate(path) }
                return try TextFile.read(path)
            }
        } catch let error as CommandError {
            throw CommandError(.configuration, error.message)
        } catch {
            throw CommandError(.configuration, "\(error)")
        }
    }

    /// The document alone.
    static func configuration(at path: String) throws(CommandError) -> ConnectorConfiguration {
        let text = try TextFile.read(path)
        do throws(PolicyProblems) {
            return try ConnectorConfiguration(text: text, file: path, hostName: TextFile.hostName)
        } catch {
            throw CommandError(.configuration, "\(error)")
        }
    }

    /// All that the document names, and what `postern connector setup` and the audit put beside it.
    private static func named(_ configuration: ConnectorConfiguration) -> [String] {
        let (identity, server) = (configuration.identity, configuration.server)
        var files = [identity.keyFile, identity.certificateFile, server.certificateFile, server.keyFile, "ca.key"]
        files += [identity.tokenFile].compactMap(\.self)
        if let audit = configuration.auditFile { files += [audit, AuditKey.path(beside: audit)] }
        for route in configuration.routes.values { files += route.headers.map(\.file) + (route.upstream.child?.secrets.map(\.file) ?? []) }
        return files
    }

    static func against(_ folder: String, _ path: String) -> String { path.hasPrefix("/") ? path : "\(folder)/\(path)" }

    /// The absolute path of the audit log; `nil` where none is kept.
    func auditPath(config path: String) -> String? {
        let folder = TextFile.absolute(path).split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        return configuration.auditFile.map { Self.against(folder, $0) }
    }
}
