import Logging
import PosternJSON

/// Renders one event as one line, as text or as JSON.
struct LineLogHandler: LogHandler {
    let label: String
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    let format: LogFormat
    let isColoured: Bool
    let write: @Sendable ([UInt8]) -> Void

    init(label: String, level: Logger.Level, format: LogFormat, isColoured: Bool, write: @escaping @Sendable ([UInt8]) -> Void) {
        self.label = label
        logLevel = level
        self.format = format
        self.isColoured = isColoured
        self.write = write
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var merged = metadata
        if let provided = metadataProvider?.get() { merged.merge(provided) { $1 } }
        if let own = event.metadata { merged.merge(own) { $1 } }
        if let error = event.error, merged[LoggingKeys.error] == nil { merged[LoggingKeys.error] = "\(error)" }
        // A stable order: lines of one kind can be compared by eye and by diff.
        let pairs = merged.sorted { $0.key < $1.key }
        let time = LogTime.now()
        switch format {
        case .text: write(text(event, pairs, time))
        case .json: write(json(event, pairs, time))
        }
    }

    private func json(_ event: LogEvent, _ pairs: [(key: String, value: Logger.MetadataValue)], _ time: LogTime) -> [UInt8] {
        var line: JSONObject = [
            "time": .string(time.description), "level": .string(event.level.rawValue), "logger": .string(label),
            "message": .string(event.message.description),
        ]
        // A key of the line itself is never replaced by metadata of the same name.
        for (key, value) in pairs { line[line.contains(key) ? "metadata_\(key)" : key] = value.json }
        return JSON.object(line).encoded + [UInt8(ascii: "\n")]
    }

    private func text(_ event: LogEvent, _ pairs: [(key: String, value: Logger.MetadataValue)], _ time: LogTime) -> [UInt8] {
        let level = event.level.rawValue.padding(to: 8)
        var line = dimmed(time.clock) + " " + (isColoured ? "\u{1B}[\(event.level.colour)m\(level)\u{1B}[0m" : level)
        line += " " + dimmed("\(label):") + " " + event.message.description.onOneLine
        for (key, value) in pairs { line += " " + dimmed("\(key)=") + value.plain.quotedIfNeeded }
        return Array("\(line)\n".utf8)
    }

    private func dimmed(_ text: String) -> String { isColoured ? "\u{1B}[2m\(text)\u{1B}[0m" : text }
}

extension Logger.Level {
    /// The SGR code of the level's name.
    fileprivate var colour: Int {
        switch self {
        case .trace, .debug: 2
        case .info: 32
        case .notice: 36
        case .warning: 33
        case .error, .critical: 31
        }
    }
}

extension Logger.MetadataValue {
    fileprivate var json: JSON {
        switch self {
        case .string(let text): .string(text)
        case .stringConvertible(let value as Int): JSON(value)
        case .stringConvertible(let value as Double): .double(value)
        case .stringConvertible(let value as Bool): .bool(value)
        case .stringConvertible(let value): .string(value.description)
        case .array(let values): .array(values.map(\.json))
        case .dictionary(let values): .object(JSONObject(values.sorted { $0.key < $1.key }.map { ($0.key, $0.value.json) }))
        }
    }

    fileprivate var plain: String {
        switch self {
        case .string(let text): text
        case .stringConvertible(let value): value.description
        case .array, .dictionary: json.text
        }
    }
}

extension String {
    fileprivate func padding(to width: Int) -> String { count < width ? self + String(repeating: " ", count: width - count) : self }

    /// Control characters escaped: text from elsewhere can neither forge a line nor steer the terminal.
    fileprivate var onOneLine: String {
        guard unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else { return self }
        return unicodeScalars.map { $0.properties.generalCategory == .control ? $0.escaped(asASCII: true) : String($0) }.joined()
    }

    fileprivate var quotedIfNeeded: String {
        let needsQuotes = isEmpty || unicodeScalars.contains { $0 == " " || $0 == "\"" || $0 == "=" || $0.properties.generalCategory == .control }
        return needsQuotes ? JSON.string(self).text.onOneLine : self
    }
}
