import ArgumentParser
import PosternJSON

/// `--file` and `--metadata`: what every create and update takes. Flags come over what the file says.
struct BodyOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "YAML or JSON file with the fields of the API; - reads standard input.")
    var file: String?

    @Option(name: .long, help: ArgumentHelp("Metadata; an empty VALUE removes the key on update. May be repeated.", valueName: "key=value"))
    var metadata: [String] = []

    /// The request's body: the file's fields, then the metadata, then `fields` where they are not nil.
    func body(_ fields: [(String, JSON?)], isUpdate: Bool = false) throws -> JSONObject {
        var body = try file.map { path throws(CommandError) in try ResourceFile.body(from: path) } ?? [:]
        if !metadata.isEmpty {
            var object = body["metadata"]?.object ?? [:]
            for pair in metadata {
                let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                guard parts.count == 2, !parts[0].isEmpty else { throw ValidationError("--metadata must be written key=value, not \"\(pair)\"") }
                object[parts[0]] = isUpdate && parts[1].isEmpty ? .null : .string(parts[1])
            }
            body["metadata"] = .object(object)
        }
        for (name, value) in fields { if let value { body[name] = value } }
        return body
    }
}
