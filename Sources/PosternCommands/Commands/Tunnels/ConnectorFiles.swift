import FoundationEssentials
import PosternConnector
import PosternPolicy

/// Reads a connector's document and the files that it names.
struct ConnectorFiles {
    let configuration: ConnectorConfiguration
    let material: ConnectorMaterial

    /// Paths in the document are against its folder.
    init(config path: String) throws {
        let path = TextFile.absolute(path)
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
        configuration = try Self.configuration(at: path)
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

    static func against(_ folder: String, _ path: String) -> String { path.hasPrefix("/") ? path : "\(folder)/\(path)" }

    /// The absolute path of the audit log; `nil` where none is kept.
    func auditPath(config path: String) -> String? {
        let folder = TextFile.absolute(path).split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        return configuration.auditFile.map { Self.against(folder, $0) }
    }
}
