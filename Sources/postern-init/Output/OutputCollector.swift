import Glibc
import PosternSandboxWire

/// A finished output: the text for the result, and what is known of the whole.
struct CollectedOutput {
    /// The whole output, or a preview of one that was offloaded.
    var text: String
    /// Of the whole output, in UTF-8.
    var bytes: Int
    var lines: Int
    /// Path inside the sandbox; `nil` when `text` is all.
    var offloadedTo: String?
}

/// Collects an output of any length in bounded memory. Up to the threshold it is kept; beyond it, it goes whole to a file in the
/// tool outputs folder and only its head and tail stay in memory. Nothing is dropped, except beyond the disk limit, which is said.
struct OutputCollector {
    let threshold: Int
    let store: OutputStore
    let fileName: String
    private var filter: TextFilter
    private var kept: [UInt8] = []
    private var characters = 0
    private var bytes = 0
    private var newlines = 0
    private var endsInNewline = false
    private var tail: [UInt8] = []
    private var file: OutputStore.File?

    private static let headBytes = 4096
    private static let tailBytes = 4096

    init(threshold: Int, store: OutputStore, fileName: String, isTerminalOutput: Bool) {
        self.threshold = threshold
        self.store = store
        self.fileName = fileName
        filter = TextFilter(isTerminalOutput: isTerminalOutput)
    }

    mutating func append(_ raw: UnsafeRawBufferPointer) { add(filter.append(raw)) }

    mutating func append(_ raw: [UInt8]) { raw.withUnsafeBytes { append($0) } }

    private mutating func add(_ text: [UInt8]) {
        guard let last = text.last else { return }
        bytes += text.count
        endsInNewline = last == 0x0A
        newlines += text.withUnsafeBufferPointer { Self.newlines(in: $0) }
        if file != nil {
            file?.write(text)
            keepTail(text)
            return
        }
        kept.append(contentsOf: text)
        characters += text.withUnsafeBufferPointer { Self.characters(in: $0) }
        guard characters > threshold else { return }
        file = store.create(fileName)
        file?.write(kept)
        keepTail(kept)
        kept.removeSubrange(min(Self.headBytes, kept.count)...)
    }

    private mutating func keepTail(_ text: [UInt8]) {
        tail.append(contentsOf: text.suffix(Self.tailBytes))
        if tail.count > 4 * Self.tailBytes { tail.removeFirst(tail.count - Self.tailBytes) }
    }

    /// Ends the output. Removes the file again if the disk did not take a byte of it.
    mutating func finish() -> CollectedOutput {
        add(filter.finish())
        let lines = newlines + (bytes > 0 && !endsInNewline ? 1 : 0)
        guard let file else {
            return CollectedOutput(text: String(decoding: kept, as: UTF8.self), bytes: bytes, lines: lines)
        }
        file.close()
        let preview = Preview(head: kept, tail: Array(tail.suffix(Self.tailBytes)), bytes: bytes, lines: lines)
        return CollectedOutput(
            text: preview.text(of: .offloaded(path: file.path, failure: file.failure)), bytes: bytes, lines: lines, offloadedTo: file.path)
    }

    private static func newlines(in text: UnsafeBufferPointer<UInt8>) -> Int {
        var count = 0
        var rest = UnsafeRawBufferPointer(text)
        while let base = rest.baseAddress, let hit = memchr(base, 0x0A, rest.count) {
            count += 1
            rest = UnsafeRawBufferPointer(rebasing: rest[(UnsafeRawPointer(hit) - base + 1)...])
        }
        return count
    }

    private static func characters(in text: UnsafeBufferPointer<UInt8>) -> Int {
        var count = 0
        for byte in text where byte & 0xC0 != 0x80 { count += 1 }
        return count
    }
}
