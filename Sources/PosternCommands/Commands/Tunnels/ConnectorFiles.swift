import FoundationEssentials
import PosternAudit
import PosternConnector
import PosternPolicy

/// Reads a connector's document and the files that it names.
struct ConnectorFiles: Sendable {
    let configuration: ConnectorConfiguration
    let material: ConnectorMaterial
    /// What belongs to the connector alone, absolute: no server that it starts is shown any of it.
    let own: [String]
    /// Of the document, absolute.
    let folder: String

    /// Paths in the document are against its folder.
    init(config path: String, needsPins: Bool = true) throws {
        var seen: [String: FileStamp?] = [:]
        try self.init(config: path, seen: &seen, needsPins: needsPins)
    }

    /// - Parameters:
    ///   - seen: gets what was there of each file when it was looked at, also where this throws.
    ///   - needsPins: whether files of pins are read too; without it their policies let no tool be called.
    init(config path: String, seen: inout [String: FileStamp?], needsPins: Bool = true) throws {
        let path = TextFile.absolute(path)
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
        // Before the file is read, so that no change between both goes unseen.
        seen[path] = TextFile.stamp(path)
        self.folder = folder
        var configuration = try Self.configuration(at: path)
        own = [path] + Self.named(configuration).map { Self.against(folder, $0) }
        do {
            if needsPins {
                try configuration.readPins { name in
                    let path = Self.against(folder, name)
                    seen[path] = TextFile.stamp(path)
                    return TextFile.exists(path) ? try TextFile.read(path) : nil
                }
            }
            self.configuration = configuration
            material = try ConnectorMaterial(configuration, now: Date(), environment: ProcessEnvironment.current) { name, isSecret in
                let path = Self.against(folder, name)
                seen[path] = TextFile.stamp(path)
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
        var files = [identity.keyFile, identity.certificateFile, server.certificateFile, server.keyFile, "ca.key", "owner.key"]
        files += [identity.tokenFile, configuration.tunnel.routeKeyFile].compactMap(\.self)
        files += [configuration.edges.proxy?.secretFile, configuration.budgetsFile, configuration.registrations?.stateFile].compactMap(\.self)
        if let audit = configuration.auditFile { files += [audit, AuditKey.path(beside: audit)] }
        for route in configuration.routes.values {
            files +=
                route.headers.compactMap(\.file) + (route.upstream.child?.secrets.map(\.file) ?? [])
                + [route.clientCertificate?.keyFile, route.policy?.pinsFile].compactMap(\.self)
        }
        return files
    }

    static func against(_ folder: String, _ path: String) -> String { path.hasPrefix("/") ? path : "\(folder)/\(path)" }

    /// The absolute path of the audit log; `nil` where none is kept.
    func auditPath(config path: String) -> String? { configuration.auditFile.map { Self.beside(path, $0) } }

    /// The absolute path of the counts of answers' bytes; `nil` where they are not kept.
    func budgetsPath(config path: String) -> String? { configuration.budgetsFile.map { Self.beside(path, $0) } }

    private static func beside(_ path: String, _ file: String) -> String {
        against(TextFile.absolute(path).split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/"), file)
    }
}
