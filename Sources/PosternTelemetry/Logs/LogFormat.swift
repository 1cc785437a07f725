import Logging

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// How log lines look.
package enum LogFormat: String, Sendable, CaseIterable {
    /// For people: `13:04:05.120 info  worker: session claimed session_id=sesn_…`; coloured on a terminal only.
    case text
    /// For collectors: one JSON object a line with `time`, `level`, `logger`, `message` and the metadata.
    case json
}

/// Makes loggers that write whole lines to standard error. Nothing global is set: each process makes one and hands loggers down.
package struct LogWriter: Sendable {
    private let format: LogFormat
    private let level: Logger.Level
    private let isColoured: Bool
    private let write: @Sendable ([UInt8]) -> Void

    /// - Parameters:
    ///   - isColoured: nil asks the terminal, and honours `NO_COLOR` (no-color.org).
    ///   - write: receives one whole line with its line feed; for tests.
    package init(
        format: LogFormat, level: Logger.Level = .info, isColoured: Bool? = nil,
        write: @escaping @Sendable ([UInt8]) -> Void = LogWriter.toStandardError
    ) {
        self.format = format
        self.level = level
        self.isColoured = isColoured ?? (isatty(STDERR_FILENO) == 1 && getenv("NO_COLOR") == nil)
        self.write = write
    }

    package func logger(_ label: String) -> Logger {
        Logger(label: label) { _ in handler(label) }
    }

    private func handler(_ label: String) -> any LogHandler {
        LineLogHandler(label: label, level: level, format: format, isColoured: isColoured, write: write)
    }

    /// One `write(2)` a line: lines of several threads and processes do not mix below the size of a pipe's buffer.
    package static func toStandardError(_ line: [UInt8]) {
        var rest = line[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { writeBytes(STDERR_FILENO, $0) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                // Nowhere to say it: a closed standard error must not stop the service.
                return
            }
        }
    }
}

/// `write(2)`; outside the type, where `write` is the stored closure.
private func writeBytes(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int { write(descriptor, bytes.baseAddress, bytes.count) }
