import NIOCore
import PosternJSON
import PosternHTTP
import PosternPolicy
import SeededRandom
import Testing

@testable import PosternEgress

@Suite("Secrets in requests and answers")
struct SecretRuleTests {
    private var random = SystemRandomNumberGenerator()

    private func secret(
        _ value: String, name: String = "key", hosts: [String] = ["api.com"], header: String = "authorization",
        schemes: [SecretBinding.Scheme] = [.bearer],
        body: SecretBinding.Body? = nil
    ) throws -> BoundSecret {
        var binding = SecretBinding(name: name, hosts: try hosts.map { try HostPattern($0) })
        binding.header = header
        binding.schemes = schemes
        binding.body = body
        var random = SystemRandomNumberGenerator()
        let placeholder = try #require(Placeholder.make(for: SecretValue(value), using: &random))
        return try #require(BoundSecret(binding: binding, value: SecretValue(value), placeholder: placeholder))
    }

    private func request(
        _ fields: [(String, String)], method: String = "POST", target: String = "/v1", to destination: String = "api.com:443", encrypted: Bool = true
    ) throws -> ForwardedRequest {
        let authority = try Authority(destination)
        let head = "\(method) \(target) HTTP/1.1\r\nHost: \(authority)\r\n" + fields.map { "\($0): \($1)\r\n" }.joined() + "\r\n"
        var reader = HeadReader()
        let lines = try #require(try reader.feed(Array(head.utf8))).lines
        return try ForwardedRequest(try RequestHead(lines: lines), inTunnelTo: authority, encrypted: encrypted)
    }

    @Test(
        "a placeholder has the shape and length of its secret, and is random",
        arguments: ["sk-ant-api03-AbCdEf0123456789_-xyz", "p4ssw0rd!with/odd+chars==", "0123456789012345"])
    func placeholder(value: String) throws {
        var random = SystemRandomNumberGenerator()
        let one = try #require(Placeholder.make(for: SecretValue(value), using: &random))
        let other = try #require(Placeholder.make(for: SecretValue(value), using: &random))
        #expect(one != other && one != value && one.utf8.count == value.utf8.count)
        for (mine, theirs) in zip(one.unicodeScalars, value.unicodeScalars) {
            #expect(mine.properties.isUppercase == theirs.properties.isUppercase && mine.properties.isLowercase == theirs.properties.isLowercase)
            if !(theirs.properties.isAlphabetic || theirs.properties.numericType != nil) { #expect(mine == theirs) }
        }
        if value.hasPrefix("sk-ant-api03-") { #expect(one.hasPrefix("sk-ant-api03-")) }
    }

    @Test(
        "secrets that cannot be told apart from text are not taken",
        arguments: ["short", "1234567", "-_-_-_-_-_-_", "with space in it 123", "new\nline123456", ""])
    func noPlaceholder(value: String) {
        var random = SystemRandomNumberGenerator()
        #expect(Placeholder.make(for: SecretValue(value), using: &random) == nil)
    }

    @Test("a bearer, token, plain and Basic credential is filled in its own header")
    func filled() throws {
        for (scheme, write) in [
            (SecretBinding.Scheme.bearer, { (text: String) in "Bearer \(text)" }), (.token, { "token \($0)" }), (.none, { $0 }),
        ] {
            let key = try secret("Secret0123456789", schemes: [scheme])
            let filled = try RequestSecrets(try request([("Authorization", write(key.placeholder))]), secrets: [key])
            #expect(filled.head.fields.named("authorization").first?.text == write("Secret0123456789"))
            #expect(filled.used == ["key"] && filled.foreignCredential == nil)
        }
        let basic = try secret("Secret0123456789", schemes: [.basic])
        for (user, password) in [("user", basic.placeholder), (basic.placeholder, ""), (basic.placeholder, "x-oauth-basic")] {
            let field = "Basic " + String(decoding: Base64.encode(Array("\(user):\(password)".utf8)), as: UTF8.self)
            let filled = try RequestSecrets(try request([("Authorization", field)]), secrets: [basic])
            let value = try #require(filled.head.fields.named("authorization").first?.text)
            let decoded = try #require(Base64.decode(Array(value.dropFirst(6).utf8)))
            #expect(String(decoding: decoded, as: UTF8.self).contains("Secret0123456789") && !Bytes.contains(decoded, Array(basic.placeholder.utf8)))
        }
    }

    @Test("a placeholder anywhere else is refused, with the place")
    func misplaced() throws {
        let key = try secret("Secret0123456789")
        let held = key.placeholder
        let escaped = held.utf8.map { "%" + String($0, radix: 16) }.joined()
        let basic = String(decoding: Base64.encode(Array("u:\(held)".utf8)), as: UTF8.self)
        let cases: [(fields: [(String, String)], method: String, target: String, destination: String, encrypted: Bool)] = [
            ([], "GET", "/\(held)", "api.com:443", true), ([], "GET", "/?key=\(held)", "api.com:443", true),
            ([], "GET", "/?key=\(escaped)", "api.com:443", true),
            ([("X-Other", held)], "GET", "/", "api.com:443", true), ([("X-Other", "a\(held)b")], "GET", "/", "api.com:443", true),
            ([("Cookie", "k=\(held)")], "GET", "/", "api.com:443", true), ([("User-Agent", held)], "GET", "/", "api.com:443", true),
            ([("Authorization", "Bearer \(held)")], "GET", "/", "evil.com:443", true),
            ([("Authorization", "Bearer \(held)")], "GET", "/", "api.com:8443", true),
            ([("Authorization", "Bearer \(held)")], "GET", "/", "api.com:80", false),
            ([("Authorization", "Bearer x\(held)")], "GET", "/", "api.com:443", true),
            ([("Authorization", "Token \(held)")], "GET", "/", "api.com:443", true), ([("Authorization", held)], "GET", "/", "api.com:443", true),
            ([("Authorization", "Basic \(basic)")], "GET", "/", "api.com:443", true),
            ([("X-Other", "Basic \(basic)")], "GET", "/", "api.com:443", true),
            ([("Authorization", "Bearer \(held)"), ("Authorization", "x")], "GET", "/", "api.com:443", true),
        ]
        for (fields, method, target, destination, encrypted) in cases {
            let request = try request(fields, method: method, target: target, to: destination, encrypted: encrypted)
            let error = #expect(throws: RequestSecrets.Misplaced.self) { _ = try RequestSecrets(request, secrets: [key]) }
            #expect(error?.secret == "key" && error?.place.contains(held) == false)
        }
    }

    @Test("a credential of the sandbox's own is seen")
    func foreign() throws {
        let key = try secret("Secret0123456789")
        #expect(try RequestSecrets(try request([("Authorization", "Bearer other")]), secrets: [key]).foreignCredential == "authorization")
        let both = try RequestSecrets(try request([("Authorization", "Bearer \(key.placeholder)"), ("X-Api-Key", "mine")]), secrets: [key])
        #expect(both.foreignCredential == "x-api-key" && both.used == ["key"])
    }

    @Test("a JSON body is filled at its pointer and nowhere else")
    func body() throws {
        let place = SecretBinding.Body(method: "POST", path: try PathPattern("/v1"), pointer: "/auth/0/to~1ken")
        let key = try secret("Secret0123456789", body: place)
        let bound = try RequestSecrets(try request([]), secrets: [key])
        #expect(bound.inBody.count == 1)
        #expect(try RequestSecrets(try request([], method: "PUT"), secrets: [key]).inBody.isEmpty)
        #expect(try RequestSecrets(try request([], target: "/v2"), secrets: [key]).inBody.isEmpty)
        #expect(try RequestSecrets(try request([], to: "evil.com:443"), secrets: [key]).inBody.isEmpty)
        let text: JSON = ["auth": [["to/ken": .string(key.placeholder)]], "n": 1.50]
        let (filled, used) = try BodySecrets.fill(text.encoded, secrets: [key])
        let parsed = try JSON(parsing: filled)
        #expect(used == ["key"] && parsed["auth"]?.array?[0]["to/ken"] == "Secret0123456789")
        #expect(try BodySecrets.fill(Array("{}".utf8), secrets: [key]).used.isEmpty)
        for wrong in [
            ["auth": [["to/ken": .string(key.placeholder)]], "x": .string(key.placeholder)] as JSON, ["x": .string(key.placeholder)],
            .string(key.placeholder),
            ["auth": [["to/ken": .string("a" + key.placeholder)]]],
        ] {
            #expect(throws: RequestSecrets.Misplaced.self) { _ = try BodySecrets.fill(wrong.encoded, secrets: [key]) }
        }
        #expect(throws: RequestSecrets.Misplaced.self) { _ = try BodySecrets.fill(Array("not json \(key.placeholder)".utf8), secrets: [key]) }
    }

    @Test(
        "an answer shows no form of a secret, wherever its pieces are cut",
        arguments: ["sk-ant-api03-AbCdEf0123456789_-xyz", "p4ssw0rd/with+odd&chars==", "0123456789012345"])
    func masked(value: String) throws {
        let key = try secret(value)
        let raw = Array(value.utf8)
        var text: [UInt8] = []
        for needle in PlaceholderNeedles.secrets(of: [key]) { text += Array("<<".utf8) + needle.bytes + Array(">>".utf8) }
        for shift in 0..<3 { text += Base64.encode(Array("abc".utf8.prefix(shift)) + raw + Array("tail".utf8)) + [0x20] }
        let rules = AnswerMask.Rules([key])
        var whole: [UInt8]?
        for size in [1, 2, 3, 7, 16, 61, text.count] {
            var mask = AnswerMask(rules)
            var output = ByteBuffer()
            for start in stride(from: 0, to: text.count, by: size) {
                output.writeImmutableBuffer(mask.feed(ByteBuffer(bytes: text[start..<min(start + size, text.count)])))
            }
            output.writeImmutableBuffer(mask.finish())
            let bytes = Array(output.readableBytesView)
            #expect(bytes.count == text.count)
            for needle in PlaceholderNeedles.secrets(of: [key]) { #expect(!Bytes.contains(bytes, needle.bytes)) }
            #expect(whole == nil || whole == bytes)
            whole = bytes
            #expect((mask.counts["key"] ?? 0) >= PlaceholderNeedles.secrets(of: [key]).count)
        }
        var head = try ResponseHead(lines: [Array("HTTP/1.1 200 \(value)".utf8)[...], Array("X-Echo: a\(value)b".utf8)[...]])
        var mask = AnswerMask(rules)
        mask.mask(&head)
        #expect(!Bytes.contains(head.encoded, raw) && Bytes.contains(head.encoded, Array(key.placeholder.utf8)))
    }

    /// Written by hand: what the code under test makes of it would prove nothing.
    @Test(
        "an answer shows no form that libraries write",
        arguments: [
            #"p4ss!w0rd*9'<x>"#, "p4ss%21w0rd%2A9%27%3Cx%3E", "p4ss%21w0rd*9%27%3Cx%3E", "p4ss!w0rd*9'%3Cx%3E", #"p4ss!w0rd*9'\u003cx\u003e"#,
            #"p4ss!w0rd*9\u0027\u003Cx\u003E"#, "p4ss!w0rd*9&#39;&lt;x&gt;", "p4ss!w0rd*9&#x27;&lt;x&gt;", "7034737321773072642a39273c783e",
        ]) func maskedByLibraries(form: String) throws
    {
        let key = try secret("p4ss!w0rd*9'<x>")
        var mask = AnswerMask(AnswerMask.Rules([key]))
        var output = mask.feed(ByteBuffer(string: "<<\(form)>>"))
        output.writeImmutableBuffer(mask.finish())
        #expect(output.readableBytes == form.utf8.count + 4 && !String(buffer: output).contains(form))
    }

    @Test("a stream is masked as its whole, over chance and every cut")
    func scannerProperty() {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<300 {
            let alphabet = Array("ab".utf8)
            func word(_ range: ClosedRange<Int>) -> [UInt8] {
                (0..<Int.random(in: range, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? 0 }
            }
            let needles = (0..<3).map { owner -> NeedleScanner.Needle in
                let bytes = word(2...6)
                return .init(bytes: bytes, replacement: Array(repeating: UInt8(ascii: "#"), count: bytes.count), owner: owner)
            }
            let text = word(0...60)
            let automaton = NeedleScanner.Automaton(needles)
            var whole = NeedleScanner(automaton)
            let expected = whole.feed(text) + whole.finish()
            for needle in needles { #expect(!Bytes.contains(expected, needle.bytes)) }
            var cut = NeedleScanner(automaton)
            var output: [UInt8] = []
            var index = 0
            while index < text.count {
                let end = min(text.count, index + Int.random(in: 1...5, using: &random))
                output += cut.feed(text[index..<end])
                index = end
            }
            output += cut.finish()
            #expect(output == expected && cut.counts == whole.counts)
        }
    }

    @Test("a body on its way out is stopped before a whole placeholder is")
    func guarded() throws {
        let key = try secret("Secret0123456789")
        let text = Array("some text \(key.placeholder) and more".utf8)
        for size in 1...text.count {
            var watch = BodyGuard(BodyGuard.Rules([key]))
            var passed: [UInt8] = []
            var stopped = false
            for start in stride(from: 0, to: text.count, by: size) {
                do {
                    passed += try watch.feed(ByteBuffer(bytes: text[start..<min(start + size, text.count)])).readableBytesView
                } catch {
                    stopped = true
                    break
                }
            }
            #expect(stopped && !Bytes.contains(passed, Array(key.placeholder.utf8.prefix(8))))
        }
    }
}
