import SeededRandom

/// One reader of bytes from outside, with what has to hold of it for every input. `scripts/fuzz` drives it by libFuzzer, `PosternFuzzTests` by changes
/// of its seeds by chance.
public struct FuzzTarget: Sendable {
    public let name: String
    /// Inputs to begin with: each kind that is accepted, and some that are not.
    public let seeds: [[UInt8]]
    /// Reads the input. Throws `FuzzFailure` where something does not hold; refusals of the reader are none.
    public let run: @Sendable ([UInt8]) throws -> Void

    init(_ name: String, seeds: [[UInt8]], run: @escaping @Sendable ([UInt8]) throws -> Void) {
        self.name = name
        self.seeds = seeds
        self.run = run
    }

    public static let all: [FuzzTarget] = [
        clientHello, legRequest, legAnswer, connectTarget, httpRequest, httpResponse, routeRequest, jsonRPC, eventStream, serverSentEvents,
        connectorDocument,
    ]

    /// One of the seeds with some changes.
    public func mutated(using random: inout SeededGenerator) -> [UInt8] {
        var bytes = seeds.randomElement(using: &random) ?? []
        let other = seeds.randomElement(using: &random) ?? []
        for _ in 0..<Int.random(in: 1...6, using: &random) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.remove(at: index)
            case 2: bytes.insert(Self.telling.randomElement(using: &random) ?? 0, at: index)
            case 3: bytes.insert(contentsOf: bytes[index..<min(bytes.count, index + 8)], at: index)
            case 4: bytes.removeSubrange(index..<min(bytes.count, index + Int.random(in: 1...16, using: &random)))
            default:
                let from = Int.random(in: 0...other.count, using: &random)
                bytes.insert(contentsOf: other[from..<min(other.count, from + 24)], at: index)
            }
        }
        return bytes
    }

    /// Bytes by which grammars are steered.
    private static let telling: [UInt8] = [0x00, 0x09, 0x0A, 0x0D, 0x20, 0x22, 0x2C, 0x3A, 0x5B, 0x5C, 0x7B, 0x7D, 0x7F, 0x80, 0xC2, 0xE2, 0xFF]
}

/// Something that has to hold of a reader, and did not.
public struct FuzzFailure: Error, CustomStringConvertible {
    public let description: String
}

/// Throws where `condition` does not hold.
func hold(_ condition: Bool, _ what: @autoclosure () -> String) throws(FuzzFailure) {
    if !condition { throw FuzzFailure(description: what()) }
}

extension [UInt8] {
    /// In pieces whose lengths are taken from the bytes themselves, so that an input decides how it comes.
    var pieces: [ArraySlice<UInt8>] {
        var pieces: [ArraySlice<UInt8>] = []
        var index = startIndex
        while index < endIndex {
            let next = Swift.min(endIndex, index + 1 + Int(self[index] % 7))
            pieces.append(self[index..<next])
            index = next
        }
        return pieces
    }
}
