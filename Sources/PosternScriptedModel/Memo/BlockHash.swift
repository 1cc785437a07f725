/// Hashes of the prefixes of some bytes, one at the end of each block of fixed size, in a single quick pass. Not for security.
enum BlockHash {
    static let blockSize = 4096

    /// Element k is the hash of the first k + 1 blocks; what is left over is not hashed.
    static func prefixes(of bytes: [UInt8]) -> [UInt64] {
        bytes.withUnsafeBytes { raw in
            var hashes: [UInt64] = []
            hashes.reserveCapacity(raw.count / blockSize)
            var first: UInt64 = 0x243f_6a88_85a3_08d3
            var second: UInt64 = 0x1319_8a2e_0370_7344
            for block in 0..<(raw.count / blockSize) {
                let start = block * blockSize
                // Two lanes, so that one multiplication does not wait for the other.
                for offset in stride(from: start, to: start + blockSize, by: 16) {
                    first = (first ^ raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* 0x9e37_79b9_7f4a_7c15
                    first ^= first >> 32
                    second = (second ^ raw.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)) &* 0xc2b2_ae3d_27d4_eb4f
                    second ^= second >> 29
                }
                hashes.append(first ^ (second &* 0xff51_afd7_ed55_8ccd))
            }
            return hashes
        }
    }
}
