/// Finds the ids of events in a stream (WHATWG HTML, section 9.2) as it passes by, however it is cut. A value without I/O.
struct EventIDScanner: Sendable {
    /// Longer ids are not told, bytes.
    static let longest = 1_024

    /// The beginning of the line, as much of it as matters.
    private var line: [UInt8] = []
    private var isCut = false
    private var isStart = true

    /// The ids in the lines that `bytes` ends.
    mutating func feed(_ bytes: some Sequence<UInt8>) -> [[UInt8]] {
        var ids: [[UInt8]] = []
        for byte in bytes {
            guard byte == 0x0A || byte == 0x0D else {
                if line.count < Self.longest + 8 { line.append(byte) } else { isCut = true }
                continue
            }
            if isStart, line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
            isStart = false
            if !isCut, line.starts(with: "id:".utf8) {
                var id = line.dropFirst(3)
                if id.first == 0x20 { id.removeFirst() }
                if !id.isEmpty, id.count <= Self.longest { ids.append(Array(id)) }
            }
            line.removeAll(keepingCapacity: true)
            isCut = false
        }
        return ids
    }
}
