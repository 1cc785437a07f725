import Glibc

/// The attacks themselves: Tests/Attacks, Python so that they make system calls as an agent's own programs would.
enum AttackScripts {
    static let folder = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" } + "/Attacks"
    /// The file that the matrix is held against.
    static let matrix = folder + "/../../docs/threat-matrix.txt"

    /// The whole suite as one program.
    static var program: String {
        ["harness", "files", "privilege", "kernel", "network", "resources", "workspace", "run"].map { Processes.text("\(folder)/\($0).py") ?? "" }
            .joined(
                separator: "\n\n")
    }

    /// A file without a name that holds `text`.
    static func file(_ text: String = "") -> Int32 {
        var template = Array("/var/tmp/postern-attack-XXXXXX".utf8CString)
        let file = mkstemp(&template)
        _ = fcntl(file, F_SETFD, FD_CLOEXEC)
        unlink(template)
        let bytes = Array(text.utf8)
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
            guard count > 0 else { break }
            done += count
        }
        lseek(file, 0, SEEK_SET)
        return file
    }

    static func contents(_ file: Int32) -> String {
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = pread(file, &buffer, buffer.count, off_t(text.count))
            guard count > 0 else { return String(decoding: text, as: UTF8.self) }
            text += buffer[..<count]
        }
    }

    static func names(in folder: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    static func remove(_ path: String) {
        var info = stat()
        guard lstat(path, &info) == 0 else { return }
        guard info.st_mode & S_IFMT == S_IFDIR else {
            unlink(path)
            return
        }
        for name in names(in: path) { remove(path + "/" + name) }
        rmdir(path)
    }
}
