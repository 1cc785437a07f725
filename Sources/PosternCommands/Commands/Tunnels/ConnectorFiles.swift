import FoundationEssentials
import PosternConnector
import PosternPolicy

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Reads a connector's document and the files that it names.
struct ConnectorFiles {
    let configuration: ConnectorConfiguration
    let material: ConnectorMaterial

    /// Paths in the document are against its folder.
    init(config path: String) throws {
        let path = TextFile.absolute(path)
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
        let text = try TextFile.read(path)
        do throws(PolicyProblems) {
            configuration = try ConnectorConfiguration(text: text, file: path, hostName: Self.hostName)
        } catch {
            throw CommandError(.configuration, "\(error)")
        }
        do {
            material = try ConnectorMaterial(configuration, now: Date()) { name, isSecret in
                let path = Self.against(folder, name)
                guard TextFile.exists(path) else { return nil }
                if isSecret { try Self.checkMode(path) }
                return try TextFile.read(path)
            }
        } catch let error as CommandError {
            throw CommandError(.configuration, error.message)
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

    private static var hostName: String {
        var bytes = [CChar](repeating: 0, count: 256)
        guard gethostname(&bytes, bytes.count - 1) == 0 else { return "connector" }
        return String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// A key that others of the machine can read is not used.
    private static func checkMode(_ path: String) throws(CommandError) {
        var info = stat()
        guard stat(path, &info) == 0 else { throw CommandError(.configuration, "cannot read \(path): \(String(cString: strerror(errno)))") }
        guard info.st_mode & 0o077 == 0 else {
            throw CommandError(.configuration, "\(path) can be read by others than its owner: run `chmod 600 \(path)`")
        }
    }
}
