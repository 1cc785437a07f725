import Crypto

/// The hash tree of RFC 9162, section 2.1, over SHA-256: a root stands for a list, and short proofs show that one list begins with another. Who asks for
/// entries gets all of them, so nobody needs a proof of one.
package enum MerkleTree {
    package typealias Hash = [UInt8]

    /// Of an element's bytes. The prefix keeps elements and inner nodes apart.
    package static func leaf(_ bytes: some Sequence<UInt8>) -> Hash { Array(SHA256.hash(data: [0x00] + Array(bytes))) }

    private static func node(_ left: Hash, _ right: Hash) -> Hash { Array(SHA256.hash(data: [0x01] + left + right)) }

    /// The root of a list of leaf hashes (section 2.1.1).
    package static func root(_ leaves: some RandomAccessCollection<Hash>) -> Hash { root(ArraySlice(leaves)) }

    private static func root(_ leaves: ArraySlice<Hash>) -> Hash {
        guard let first = leaves.first else { return Array(SHA256.hash(data: [])) }
        guard leaves.count > 1 else { return first }
        let split = leaves.startIndex + split(leaves.count)
        return node(root(leaves[..<split]), root(leaves[split...]))
    }

    /// The largest power of two below `count`, which is 2 or more.
    private static func split(_ count: Int) -> Int { 1 << (Int.bitWidth - 1 - (count - 1).leadingZeroBitCount) }

    // MARK: Consistency

    /// Shows that the list begins with its first `size` elements (section 2.1.4.1); empty where there is nothing to show, for none and for all.
    /// `nil` where it has fewer.
    package static func consistency(from size: Int, in leaves: [Hash]) -> [Hash]? {
        guard (0...leaves.count).contains(size) else { return nil }
        return size == 0 ? [] : subproof(size, leaves[...], isWhole: true)
    }

    private static func subproof(_ size: Int, _ leaves: ArraySlice<Hash>, isWhole: Bool) -> [Hash] {
        if size == leaves.count { return isWhole ? [] : [root(leaves)] }
        let k = split(leaves.count)
        let middle = leaves.startIndex + k
        return size <= k
            ? subproof(size, leaves[..<middle], isWhole: isWhole) + [root(leaves[middle...])]
            : subproof(size - k, leaves[middle...], isWhole: false) + [root(leaves[..<middle])]
    }

    /// Whether `proof` shows that the list of `second` elements with the root `secondRoot` begins with the one of `first` elements and the root
    /// `firstRoot` (section 2.1.4.2).
    package static func extends(first: Int, firstRoot: Hash, second: Int, secondRoot: Hash, proof: [Hash]) -> Bool {
        guard first >= 0, first <= second else { return false }
        if first == second { return proof.isEmpty && firstRoot == secondRoot }
        // Every list begins with the empty one.
        if first == 0 { return proof.isEmpty && firstRoot == root([Hash]()) }
        var path = proof[...]
        guard !path.isEmpty else { return false }
        if first & (first - 1) == 0 { path = [firstRoot] + path }
        var (place, last) = (first - 1, second - 1)
        while place & 1 == 1 { (place, last) = (place >> 1, last >> 1) }
        guard let start = path.popFirst() else { return false }
        var (left, right) = (start, start)
        for next in path {
            guard last != 0 else { return false }
            if place & 1 == 1 || place == last {
                (left, right) = (node(next, left), node(next, right))
                while place & 1 == 0, place != 0 { (place, last) = (place >> 1, last >> 1) }
            } else {
                right = node(right, next)
            }
            (place, last) = (place >> 1, last >> 1)
        }
        return last == 0 && left == firstRoot && right == secondRoot
    }
}
