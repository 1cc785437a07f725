import ArgumentParser
import PosternJSON

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What a new key may have.
struct KeyFields: ParsableArguments {
    @Option(name: .long, help: "A name to tell it apart in the list.")
    var name: String?

    @Option(name: .long, help: ArgumentHelp("The moment it stops working, such as 2027-01-31T00:00:00Z.", valueName: "time"))
    var expiresAt: String?

    @Option(name: .shortAndLong, help: "Write the key to this file, readable by its owner only, instead of printing it.")
    var output: String?

    @Option(name: .shortAndLong, help: "YAML or JSON file with the fields of the API; - reads standard input. Flags come over it.")
    var file: String?

    /// Before the key is made: one whose file cannot be written would be lost.
    func checkOutput() throws(CommandError) {
        guard let output else { return }
        let folder = output.contains("/") ? String(output[..<(output.lastIndex(of: "/") ?? output.startIndex)]) : "."
        guard access(folder.isEmpty ? "/" : folder, W_OK | X_OK) == 0 else {
            throw CommandError(.failure, "--output: \(output) cannot be written: \(String(cString: strerror(errno))); no key was made")
        }
    }

    func body() throws(CommandError) -> JSONObject {
        var body = try file.map { path throws(CommandError) in try ResourceFile.body(from: path) } ?? [:]
        if let name { body["name"] = .string(name) }
        if let expiresAt { body["expires_at"] = .string(expiresAt) }
        return body
    }
}
