import ArgumentParser
import PosternAudit
import PosternJSON

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// `postern audit export`
struct ExportAuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write records to standard output in a form that other systems read.",
        discussion: """
            jsonl is the lines of the log; syslog is RFC 5424, one message a line; otlp is requests for /v1/logs, one of at most 512 records a line.
            What is written has been checked; at the first bad record the export ends with status 5.

            Example: postern audit export --format syslog --after 1200 | nc -U /run/collector
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case jsonl, syslog, otlp }

    @OptionGroup var log: AuditLogOptions
    @OptionGroup var filter: AuditFilter

    @Option(name: .long, help: "jsonl, syslog or otlp.")
    var format = Format.jsonl

    @Option(name: .long, help: "Only records after this one, by its seq; to go on where the last export ended.")
    var after = 0

    @Option(name: .long, help: "Name of this machine in the messages. (default: its own)")
    var host: String?

    func run() async throws {
        let terminal = Terminal()
        let name = host ?? Self.hostName
        let syslog = SyslogFormat(host: name)
        var otlp = OTLPLogs(host: name, version: PosternVersion.text)
        let report = try log.reader().verify(.init(allowsPartial: true)) { line, bytes in
            guard line.seq > after, filter.takes(line) else { return }
            switch format {
            case .jsonl: terminal.print(String(decoding: bytes, as: UTF8.self))
            case .syslog: terminal.print(String(decoding: syslog.message(line, line: bytes), as: UTF8.self))
            case .otlp: if let request = otlp.add(line, line: bytes) { terminal.print(request.text) }
            }
        }
        if let request = otlp.flush() { terminal.print(request.text) }
        if let finding = report.finding { throw CommandError(finding) }
    }

    private static var hostName: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
