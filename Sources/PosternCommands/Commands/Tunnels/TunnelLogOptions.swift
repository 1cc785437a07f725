import ArgumentParser
import Logging
import PosternTelemetry

/// How an edge and a connector log.
struct TunnelLogOptions: ParsableArguments {
    @Option(name: .long, help: "Form of the log: text or json.")
    var logFormat = "json"

    @Option(name: .long, help: "Least level that is logged: trace, debug, info, notice, warning, error, critical.")
    var logLevel = "info"

    func logger(_ label: String) throws(ConfigurationError) -> Logger {
        guard let format = LogFormat(rawValue: logFormat) else { throw ConfigurationError("--log-format: \(logFormat) is not known") }
        guard let level = Logger.Level(rawValue: logLevel) else { throw ConfigurationError("--log-level: \(logLevel) is not known") }
        return LogWriter(format: format, level: level).logger(label)
    }
}
