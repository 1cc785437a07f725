/// The names of a log's files. With the present file `audit.jsonl` the closed ones are `audit-000000000001.jsonl` and so on, by the first
/// `seq` in each; beside them stand `audit.signing-key`, `audit.reserve` and `audit.lock`.
package struct AuditPaths: Sendable {
    /// The present file.
    package let active: String
    private let base: String

    /// - Parameter active: best with the ending `.jsonl`.
    package init(active: String) {
        self.active = active
        base = active.hasSuffix(".jsonl") ? String(active.dropLast(6)) : active
    }

    var signingKey: String { base + ".signing-key" }
    var reserve: String { base + ".reserve" }
    var lock: String { base + ".lock" }
    var unchained: String { base + "-unchained.jsonl" }

    var folder: String {
        guard let slash = active.lastIndex(of: "/") else { return "." }
        return slash == active.startIndex ? "/" : String(active[..<slash])
    }

    /// What names in the folder begin with.
    private var stem: Substring { base.split(separator: "/").last ?? "" }

    func closed(first seq: Int) -> String {
        let digits = String(seq)
        return "\(base)-\(String(repeating: "0", count: max(0, 12 - digits.count)))\(digits).jsonl"
    }

    /// The closed files among the names of the folder, oldest first.
    package func closed(among names: [String]) -> [(first: Int, path: String)] {
        names.compactMap { name in
            guard name.hasPrefix("\(stem)-"), name.hasSuffix(".jsonl"), let first = Int(name.dropFirst(stem.count + 1).dropLast(6)), first > 0
            else { return nil }
            let path = closed(first: first)
            return path.hasSuffix("/\(name)") || path == name ? (first, path) : nil
        }.sorted { $0.first < $1.first }
    }

    /// Left by a crash while the key file was replaced; they hold keys.
    func leftovers(among names: [String]) -> [String] {
        let key = "\(stem).signing-key."
        return names.filter { $0.hasPrefix(key) && $0.hasSuffix(".tmp") }.map { folder + "/" + $0 }
    }

    /// Every file of the log that is there, in the order of the chain. Blocks.
    package func all(_ disk: any AuditDisk = SystemDisk()) throws(FileError) -> [String] {
        let names = try disk.names(in: folder)
        var files = closed(among: names).map(\.path)
        if let name = active.split(separator: "/").last, names.contains(String(name)) { files.append(active) }
        return files
    }
}
