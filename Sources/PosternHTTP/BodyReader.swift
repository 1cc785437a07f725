import NIOCore

/// Takes one body out of what a connection delivers, without its framing. A value without I/O.
package struct BodyReader: Sendable {
    private enum State: Hashable, Sendable {
        /// Bytes of the body, or of the present chunk, that are still to come.
        case bytes(Int)
        case untilClose
        case chunkSize
        case chunkEnd
        case trailers
        case done
    }
    private static let maximumLine = 4096
    private static let maximumTrailers = 16_384

    private var state: State
    private let chunked: Bool
    private var line: [UInt8] = []
    private var trailerBytes = 0

    package init(_ framing: BodyFraming) {
        chunked = framing == .chunked
        state =
            switch framing {
            case .none, .length(0): .done
            case .length(let length): .bytes(length)
            case .chunked: .chunkSize
            case .untilClose: .untilClose
            }
    }

    package var isDone: Bool { state == .done }

    /// The next bytes of the body, taken from the front of `input`; `nil` when `input` holds no more of it. What follows the body stays.
    package mutating func next(_ input: inout ByteBuffer) throws(HTTPRefusal) -> ByteBuffer? {
        while input.readableBytes > 0 {
            switch state {
            case .done: return nil
            case .untilClose: return input.readSlice(length: input.readableBytes)
            case .bytes(let left):
                let part = input.readSlice(length: min(left, input.readableBytes))
                let rest = left - (part?.readableBytes ?? 0)
                state = rest > 0 ? .bytes(rest) : chunked ? .chunkEnd : .done
                return part
            case .chunkSize:
                guard let line = try readLine(&input) else { return nil }
                let size = try Self.size(line)
                state = size == 0 ? .trailers : .bytes(size)
            case .chunkEnd:
                guard let line = try readLine(&input) else { return nil }
                guard line.isEmpty else { throw HTTPRefusal("a chunk is longer than its size says") }
                state = .chunkSize
            case .trailers:
                // Trailers are read and dropped: nobody decides on them.
                guard let line = try readLine(&input) else { return nil }
                trailerBytes += line.count
                guard trailerBytes <= Self.maximumTrailers else { throw HTTPRefusal(431, "the trailers are too large") }
                if line.isEmpty { state = .done } else { _ = try HeadReader.fields([line[...]]) }
            }
        }
        return nil
    }

    /// The connection has ended. Throws where the body is cut off.
    package mutating func end() throws(HTTPRefusal) {
        switch state {
        case .done: break
        case .untilClose: state = .done
        default: throw HTTPRefusal("the body ends early")
        }
    }

    /// One line that ends in CRLF.
    private mutating func readLine(_ input: inout ByteBuffer) throws(HTTPRefusal) -> [UInt8]? {
        while let byte = input.readInteger(as: UInt8.self) {
            if line.last == 0x0D {
                guard byte == 0x0A else { throw HTTPRefusal("a line of a chunked body holds a bare CR") }
                defer { line = [] }
                return line.dropLast()
            }
            guard byte != 0x0A else { throw HTTPRefusal("a line of a chunked body ends in a bare LF") }
            line.append(byte)
            guard line.count <= Self.maximumLine else { throw HTTPRefusal("a line of a chunked body is too long") }
        }
        return nil
    }

    /// Hexadecimal digits only; chunk extensions are refused, since they are used for smuggling only.
    private static func size(_ line: [UInt8]) throws(HTTPRefusal) -> Int {
        guard (1...15).contains(line.count) else { throw HTTPRefusal("the size of a chunk is no number") }
        var size = 0
        for byte in line {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): size = size << 4 | Int(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): size = size << 4 | Int(byte - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): size = size << 4 | Int(byte - UInt8(ascii: "A") + 10)
            default: throw HTTPRefusal("the size of a chunk is no number")
            }
        }
        return size
    }
}
