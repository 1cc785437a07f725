/// What a child writes to its standard error, for the connector's log: lines that are printable and bounded in length and number, without the
/// secrets that the child was given. A value without I/O.
struct ErrorLines: Sendable {
    static let longest = 500
    /// In one span of time.
    static let most = 100
    static let span = 10

    private let secrets: [[UInt8]]
    private var line: [UInt8] = []
    private var isCut = false
    private var said = 0
    private var spanStart = 0

    init(secrets: [String]) {
        // Longer ones first, should one be part of another.
        self.secrets = secrets.map { Array($0.utf8) }.filter { $0.count >= 4 }.sorted { $0.count > $1.count }
    }

    /// The lines that `bytes` completes.
    /// - Parameter now: seconds of a clock that never goes back.
    mutating func feed(_ bytes: some Sequence<UInt8>, at now: Int) -> [String] {
        var lines: [String] = []
        for byte in bytes {
            guard byte == 0x0A else {
                // Room for a secret that begins before the cut.
                if line.count < Self.longest * 4 { line.append(byte) } else { isCut = true }
                continue
            }
            if let text = take(at: now) { lines.append(text) }
        }
        return lines
    }

    /// A last line without an end; `nil` where there is none.
    mutating func end(at now: Int) -> String? { line.isEmpty ? nil : take(at: now) }

    private mutating func take(at now: Int) -> String? {
        defer { (line, isCut) = ([], false) }
        if now - spanStart >= Self.span { (said, spanStart) = (0, now) }
        said += 1
        guard said <= Self.most else {
            return said == Self.most + 1 ? "(more than \(Self.most) lines in \(Self.span) s: the others are left out)" : nil
        }
        let text = String(decoding: masked(), as: UTF8.self)
        var output = ""
        for scalar in text.unicodeScalars {
            guard output.utf8.count < Self.longest else { return output + "…" }
            output.unicodeScalars.append(scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) ? "\u{FFFD}" : scalar)
        }
        return output.isEmpty ? nil : isCut ? output + "…" : output
    }

    private func masked() -> [UInt8] {
        var line = line
        if isCut {
            // The beginning of one whose rest is cut off.
            let begun = secrets.compactMap { secret in (1..<secret.count).last { line.suffix($0).elementsEqual(secret.prefix($0)) } }.max()
            line.removeLast(begun ?? 0)
        }
        var output: [UInt8] = []
        var index = 0
        while index < line.count {
            if let secret = secrets.first(where: { line[index...].starts(with: $0) }) {
                output += "[secret]".utf8
                index += secret.count
            } else {
                output.append(line[index])
                index += 1
            }
        }
        return output
    }
}
