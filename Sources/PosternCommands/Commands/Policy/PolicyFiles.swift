import PosternGate
import PosternPolicy

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Reads policies from files and folders. Blocking: for the start of a process and for commands.
enum PolicyFiles {
    /// Files of one folder.
    static let maximumCount = 1000

    /// The files that `path` means: itself, or those of a folder that end in .yaml, .yml or .json, in the order of their names by bytes.
    static func files(_ path: String) throws(CommandError) -> [PolicySet.File] {
        guard let names = try names(inFolder: path) else { return [PolicySet.File(name: path, text: try TextFile.read(path))] }
        let wanted = names.filter { name in !name.hasPrefix(".") && [".yaml", ".yml", ".json"].contains { name.hasSuffix($0) } }
        guard wanted.count <= maximumCount else {
            throw CommandError(.configuration, "\(path) holds \(wanted.count) policies, and \(maximumCount) is the limit")
        }
        var files: [PolicySet.File] = []
        for name in wanted.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
            let file = path.hasSuffix("/") ? path + name : "\(path)/\(name)"
            files.append(PolicySet.File(name: file, text: try TextFile.read(file)))
        }
        return files
    }

    /// The ceilings below `path`, a file or a folder; `nil` is none, and every session gets `strict`.
    /// - Parameter own: absolute paths of the worker that no policy can open: configuration, credentials, state folder, sockets.
    static func load(_ path: String?, own: [String] = []) throws -> PolicySet {
        guard let path else { return PolicySet() }
        return try PolicySet(try files(path), reader: reader(own: denials(path, own: own)))
    }

    /// Where `load` reads from, with the paths that its policies may not open.
    static func denials(_ path: String?, own: [String]) -> [String] { own + (path.map { [TextFile.resolved($0)] } ?? []) }

    /// One policy: a file, or the name of a profile.
    static func policy(_ name: String) throws -> LoadedPolicy {
        if let profile = Profile(rawValue: name), !TextFile.exists(name) { return PolicyReader.profile(profile) }
        return try reader().read(try TextFile.read(name), file: name)
    }

    /// One that knows the gate's patterns.
    static func reader(own: [String] = []) -> PolicyReader {
        PolicyReader(denials: MandatoryDenials(own: own)) { pattern in
            do throws(PatternError) {
                _ = try PatternParser.parse(pattern)
                return nil
            } catch {
                return "is no pattern of the gate: \(error)"
            }
        }
    }

    /// `nil` when `path` is no folder.
    private static func names(inFolder path: String) throws(CommandError) -> [String]? {
        guard path != "-", let folder = opendir(path) else {
            if path == "-" || errno == ENOTDIR { return nil }
            throw CommandError(.notFound, "cannot read \(path): \(String(cString: strerror(errno)))")
        }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names
    }
}

extension PolicyProblems {
    /// Prints all, like a compiler; the status to end with.
    func report(to terminal: Terminal) -> CommandStatus {
        for problem in problems { terminal.note("\(problem)") }
        return .checkFailed
    }
}
