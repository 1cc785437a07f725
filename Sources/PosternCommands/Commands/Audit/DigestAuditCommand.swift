import ArgumentParser
import PosternAudit
import PosternJSON

/// `postern audit digest`
struct DigestAuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "digest", abstract: "Compute the keyed digest of a value, to find it in the log.",
        discussion: """
            Reads JSON from a file or from standard input and prints the digest that the log has for it, under the log's own key (audit.key), in whatever
            order and spelling its keys and numbers are written. Nothing but the digest leaves this machine, and it tells nothing without that key.

            Inputs (arguments of tools, parameters of other methods) and outputs (results) with the same text have digests of their own: --output is for
            the latter. --raw takes the bytes as they are, for the bodies in a tunnel_outcome.

            Example: echo '{"path": "/data/a.csv"}' | postern audit digest --log tunnel/audit.jsonl
            """)

    @OptionGroup var log: AuditLogOptions

    @Argument(help: "A file with the value; - reads standard input.")
    var file = "-"

    @Flag(name: .long, help: "The value is a result, or an answer's body.")
    var output = false

    @Flag(name: .long, help: "Take the bytes as they are, as of a body.")
    var raw = false

    @Flag(name: .long, help: "Print JSON, for programs: hmac_sha256 and bytes.")
    var json = false

    func run() async throws {
        let key = try log.key()
        var bytes = Array(try TextFile.read(file).utf8)
        if !raw {
            do throws(JSONParseError) {
                bytes = try JSON(parsing: bytes).canonical
            } catch {
                throw CommandError(.failure, "\(file) is no JSON value (at byte \(error.offset): \(error.reason)); --raw takes bytes as they are")
            }
        }
        let digest = key.digest(output ? .output : .input, canonical: bytes)
        Terminal().print(json ? JSON.object(["hmac_sha256": .string(digest), "bytes": JSON(bytes.count)]).text : digest)
    }
}

extension AuditLogOptions {
    /// The key of the log's digests. It is not made here: one that is new fits no record.
    func key() throws -> AuditKey {
        let path = AuditKey.path(beside: try reader().path)
        guard TextFile.exists(path) else { throw CommandError(.notFound, "\(path) is not there: a log's key stands beside it") }
        do throws(FileError) { return try AuditKey.load(path: path) } catch { throw CommandError(.failure, error.description) }
    }
}
