import PosternTLS
import SeededRandom
import Testing

@Suite("The ClientHello reader")
struct ClientHelloReaderTests {
    enum Outcome: Hashable {
        case hello(String?)
        case error(ClientHelloError)
        case more
    }

    static func read(_ bytes: [UInt8], pieces: [Int]? = nil) -> Outcome {
        var reader = ClientHelloReader()
        var rest = bytes[...]
        var pieces = (pieces ?? [bytes.count])[...]
        do throws(ClientHelloError) {
            while !rest.isEmpty {
                let size = min(rest.count, max(1, pieces.popFirst() ?? rest.count))
                if let hello = try reader.feed(rest.prefix(size)) { return .hello(hello.serverName) }
                rest = rest.dropFirst(size)
            }
        } catch {
            return .error(error)
        }
        return .more
    }

    private static let name = "docs.ab12cd34.tunnel.example.com"

    @Test("reads the server name of TLS 1.2 and 1.3, with GREASE, ECH and key shares, in one record and in many")
    func shapes() {
        #expect(Self.read(HelloBuilder().records()) == .hello(Self.name))
        #expect(Self.read(HelloBuilder.browser.records()) == .hello(Self.name))
        for size in [1, 2, 5, 100, 517] { #expect(Self.read(HelloBuilder.browser.records(of: size)) == .hello(Self.name)) }
        var old = HelloBuilder(serverName: nil, hasExtensions: false)
        old.version = [3, 1]
        #expect(Self.read(old.records()) == .hello(nil))
        #expect(Self.read(HelloBuilder(serverName: nil).records()) == .hello(nil))
        #expect(Self.read(HelloBuilder(serverName: "DOCS.Example.COM").records()) == .hello("docs.example.com"))
    }

    @Test("reads the protocols that are offered, and whether a name is hidden")
    func protocolsAndHiddenNames() throws {
        func hello(_ extensions: [(UInt16, [UInt8])]) throws(ClientHelloError) -> ClientHello? {
            var reader = ClientHelloReader()
            return try reader.feed(HelloBuilder(after: extensions).records(of: 7))
        }
        let name = HelloBuilder.vector
        let both = name(2, name(1, Array("h2".utf8)) + name(1, Array("http/1.1".utf8)))
        #expect(try hello([(16, both)]) == ClientHello(serverName: Self.name, protocols: ["h2", "http/1.1"]))
        #expect(try hello([]) == ClientHello(serverName: Self.name))
        for hidden: UInt16 in [0xFE0D, 0xFFCE] { #expect(try hello([(hidden, [1])]) == ClientHello(serverName: Self.name, isEncrypted: true)) }
        for wrong in [[], name(2, []), name(2, [0]), name(2, [3, 1]), name(2, name(1, [104])) + [0], [0]] {
            #expect(throws: ClientHelloError.malformed("list of protocols")) { try hello([(16, wrong)]) }
        }
    }

    @Test("needs every byte of the message and looks at none behind it")
    func length() {
        let bytes = HelloBuilder.browser.records()
        for count in 0..<bytes.count { #expect(Self.read(Array(bytes.prefix(count))) == .more) }
        #expect(Self.read(bytes + [1, 2, 3]) == .hello(Self.name))
    }

    @Test("says what is wrong")
    func refusals() {
        #expect(Self.read(Array("GET / HTTP/1.1\r\n".utf8)) == .error(.notTLS))
        #expect(Self.read([0x80, 0x2E, 1, 3, 1]) == .error(.notTLS))
        #expect(Self.read([22, 2, 0]) == .error(.notTLS))
        #expect(Self.read([22, 3, 1, 0, 0]) == .error(.recordLength(0)))
        #expect(Self.read([22, 3, 1, 0x40, 1]) == .error(.recordLength(16_385)))
        #expect(Self.read([22, 3, 3, 0, 4, 2]) == .error(.notClientHello(2)))
        #expect(Self.read(HelloBuilder.records([1, 0x00, 0x40, 0x00], of: 4)) == .error(.tooLarge))
        #expect(Self.read(HelloBuilder.records(HelloBuilder().message + [1], of: 16_384)) == .error(.trailingData))
        var hello = HelloBuilder()
        hello.before = [(0, HelloBuilder.names([(0, Array("a.example".utf8))]))]
        #expect(Self.read(hello.records()) == .error(.repeatedExtension(0)))
        hello = HelloBuilder(serverName: nil)
        hello.before = [(0, HelloBuilder.names([(0, Array("a.example".utf8)), (0, Array("b.example".utf8))]))]
        #expect(Self.read(hello.records()) == .error(.serverName("extension holds other than one host name")))
        hello.before = [(0, HelloBuilder.names([(1, Array("a.example".utf8))]))]
        #expect(Self.read(hello.records()) == .error(.serverName("extension holds other than one host name")))
        hello.before = [(0, [0, 9, 0])]
        #expect(Self.read(hello.records()) == .error(.malformed("server name")))
        hello.before = [(7, [1])]
        var message = hello.message
        // The length of the list of extensions.
        message[4 + 2 + 32 + 33 + 6 + 2 + 1] += 1
        #expect(Self.read(HelloBuilder.records(message, of: 16_384)) == .error(.malformed("list of extensions")))
    }

    @Test(
        "takes host names only",
        arguments: [
            "", ".", "a..b", "-a.b", "a-.b", "a.b.", "a b.c", "127.0.0.1", "::1", "a.1", "ä.example", "a\0.b",
            String(repeating: "a", count: 64) + ".b",
        ])
    func badNames(name: String) {
        #expect(Self.read(HelloBuilder(serverName: name).records()) == .error(.serverName("is no host name")))
    }

    @Test("never takes more than its bound")
    func bound() {
        // Records of one byte each cost six bytes a byte of message.
        var hello = HelloBuilder()
        hello.after = [(21, Array(repeating: 0, count: 3_000))]
        #expect(Self.read(hello.records(of: 1)) == .error(.tooLarge))
        #expect(Self.read(hello.records()) == .hello(Self.name))
        var reader = ClientHelloReader()
        var fed = 0
        var failure: ClientHelloError?
        while failure == nil, fed < 1 << 20 {
            do throws(ClientHelloError) { _ = try reader.feed([22, 3, 1, 0, 1] + [fed == 0 ? 1 : 0]) } catch { failure = error }
            fed += 6
        }
        #expect(fed <= ClientHelloReader.maximumBytes + 6)
    }

    @Test("gives the same answer however the bytes are split, and however they are damaged", arguments: 0..<UInt64(8))
    func splitsAndMutations(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<400 {
            var bytes = (Bool.random(using: &random) ? HelloBuilder.browser : HelloBuilder()).records(of: Int.random(in: 40...2000, using: &random))
            for _ in 0..<Int.random(in: 0...4, using: &random) where !bytes.isEmpty {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: index)
                case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
                default: bytes.removeSubrange(index...)
                }
            }
            let whole = Self.read(bytes)
            for _ in 0..<3 {
                let pieces = (0..<bytes.count).map { _ in Int.random(in: 1...300, using: &random) }
                #expect(Self.read(bytes, pieces: pieces) == whole)
            }
            #expect(Self.read(bytes, pieces: Array(repeating: 1, count: bytes.count)) == whole)
        }
    }
}
