import Crypto
import Foundation
import PosternTunnelWire
import Testing

@Suite("Hash trees (RFC 9162, section 2.1)")
struct MerkleTreeTests {
    private static let leaves = (0..<200).map { MerkleTree.leaf(Array("entry \($0)".utf8)) }
    /// Of the first so many leaves.
    private static let roots = (0...200).map { MerkleTree.root(leaves.prefix($0)) }

    /// The root, written a second time by the words of section 2.1.1.
    private static func plainRoot(_ entries: [[UInt8]]) -> [UInt8] {
        if entries.isEmpty { return Array(SHA256.hash(data: [])) }
        if entries.count == 1 { return Array(SHA256.hash(data: [0] + entries[0])) }
        var k = 1
        while k * 2 < entries.count { k *= 2 }
        return Array(SHA256.hash(data: [1] + plainRoot(Array(entries[..<k])) + plainRoot(Array(entries[k...]))))
    }

    @Test("roots are those of the RFC's definition, and of the known test vectors")
    func roots() {
        for size in 0...70 { #expect(Self.roots[size] == Self.plainRoot((0..<size).map { Array("entry \($0)".utf8) })) }
        // The vectors that implementations of Certificate Transparency share.
        let inputs: [[UInt8]] = [
            [], [0x00], [0x10], [0x20, 0x21], [0x30, 0x31], [0x40, 0x41, 0x42, 0x43], [0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            [0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
        ]
        let expected = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ]
        for size in 1...8 {
            #expect(Hexadecimal.text(MerkleTree.root(inputs.prefix(size).map { MerkleTree.leaf($0) })) == expected[size - 1])
        }
        #expect(Hexadecimal.text(MerkleTree.root([])) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }

    @Test("lists of 0 to 200 entries prove that they begin with each shorter one, and with no other")
    func consistency() throws {
        let sizes =
            getenv("POSTERN_FULL") != nil ? Array(0...200) : Array(0...48) + Array(stride(from: 63, through: 200, by: 17)) + [64, 65, 128, 129, 200]
        for second in sizes {
            for first in 0...second {
                let proof = try #require(MerkleTree.consistency(from: first, in: Array(Self.leaves.prefix(second))))
                func holds(_ a: [UInt8]? = nil, second b: [UInt8]? = nil, first other: Int? = nil, path: [[UInt8]]? = nil) -> Bool {
                    MerkleTree.extends(
                        first: other ?? first, firstRoot: a ?? Self.roots[first], second: second, secondRoot: b ?? Self.roots[second],
                        proof: path ?? proof)
                }
                if !holds() { Issue.record("\(first) of \(second) is not proved") }
                // A bit of a root, a bit of the proof, a piece less, a piece more, another size.
                var wrong = holds(Self.flipped(Self.roots[first], at: first &* 31 &+ second))
                if first > 0 { wrong = wrong || holds(second: Self.flipped(Self.roots[second], at: first &+ second &* 17)) }
                for place in proof.indices {
                    var path = proof
                    path[place] = Self.flipped(path[place], at: place &+ first &* 7)
                    wrong = wrong || holds(path: path)
                }
                if !proof.isEmpty { wrong = wrong || holds(path: Array(proof.dropLast())) || holds(path: Array(proof.dropFirst())) }
                wrong = wrong || holds(path: proof + [Self.leaves[0]])
                if first > 1 { wrong = wrong || holds(Self.roots[first - 1]) || holds(first: first - 1) }
                if wrong { Issue.record("\(first) of \(second) is proved by something that is no proof") }
            }
        }
        #expect(MerkleTree.consistency(from: 6, in: Array(Self.leaves.prefix(5))) == nil)
        #expect(!MerkleTree.extends(first: 3, firstRoot: Self.roots[3], second: 2, secondRoot: Self.roots[2], proof: []))
        #expect(!MerkleTree.extends(first: -1, firstRoot: Self.roots[0], second: 2, secondRoot: Self.roots[2], proof: []))
    }

    /// One bit turned over.
    private static func flipped(_ hash: [UInt8], at place: Int) -> [UInt8] {
        var hash = hash
        hash[place % 32] ^= 1 << (place / 32 % 8)
        return hash
    }
}
