import Crypto
import CryptoExtras
import Foundation
import Testing

@testable import PosternConnector

/// What counts as a token, and what does not: each attack is one change of a token that counts.
@Suite("Bearer tokens")
struct BearerTokenTests {
    private static let forge = TokenForge()
    private static let all = ["ES256", "ES384", "RS256", "PS256", "EdDSA"]
    private static let now = Date()

    private static func settings(_ change: (inout BearerSettings) -> Void = { _ in }) -> BearerSettings {
        var settings = BearerSettings(issuer: TokenForge.issuer, audiences: [TokenForge.audience], keys: .file("keys"))
        change(&settings)
        return settings
    }

    /// What is said of a token; `nil` where it counts.
    private static func refusal(
        _ token: String, _ settings: BearerSettings = settings(), keys: String? = nil, now: Date = now
    ) async throws -> BearerRefusal? {
        let set = try KeySet(Array((keys ?? (try forge.keySet(all))).utf8))
        do throws(BearerRefusal) {
            let caller = try await BearerVerifier(settings: settings, keys: .fixed(set)).check(try BearerToken(token), now: { now })
            #expect(caller.subject == "ada")
            return nil
        } catch {
            return error
        }
    }

    @Test("each algorithm's token counts under the key that it names", arguments: all)
    func algorithms(_ algorithm: String) async throws {
        #expect(try await Self.refusal(try Self.forge.token(algorithm: algorithm)) == nil)
        let others = Self.settings { $0.algorithms = Set(TokenAlgorithm.allCases.filter { $0.rawValue != algorithm }) }
        #expect(try await Self.refusal(try Self.forge.token(algorithm: algorithm), others) == .algorithm)
        // Signed by the right key as something else, or by another key under its name.
        for other in Self.all where other != algorithm {
            let token = try Self.forge.token(algorithm: algorithm, sign: { try Self.forge.signature($0, other) })
            #expect(try await Self.refusal(token) == .signature, "\(other) for \(algorithm)")
            let renamed = try Self.forge.token(algorithm: other, header: { $0["kid"] = algorithm })
            let isRSA = [other, algorithm].allSatisfy { $0.hasSuffix("S256") && !$0.hasPrefix("E") }
            #expect(try await Self.refusal(renamed) == (isRSA ? nil : .algorithm), "\(other) under \(algorithm)")
        }
    }

    @Test("no signature, and one by what everybody knows, is none")
    func publicSecrets() async throws {
        let forge = Self.forge
        for none in ["none", "None", "nOnE", ""] {
            let text = try forge.token(header: { $0["alg"] = none })
            #expect(try await Self.refusal(text) == .algorithm)
            let bare = text.split(separator: ".").dropLast().joined(separator: ".") + "."
            #expect(try await Self.refusal(bare) != nil)
        }
        let rsa = try #require(TokenForge.rsa).publicKey
        for secret in [
            Array(forge.p256.publicKey.rawRepresentation), Array(forge.p256.publicKey.pemRepresentation.utf8), Array(rsa.pemRepresentation.utf8),
        ] {
            for (algorithm, id) in [("HS256", "ES256"), ("HS256", "RS256"), ("RS256", "RS256"), ("ES256", "ES256")] {
                let token = try forge.token(
                    algorithm: algorithm, header: { $0["kid"] = id },
                    sign: { Array(HMAC<SHA256>.authenticationCode(for: $0, using: SymmetricKey(data: secret))) })
                #expect(try await Self.refusal(token) == (algorithm == "HS256" ? .algorithm : .signature))
            }
        }
        // A shared secret in the set is no key either.
        let oct = "{\"keys\": [{\"kid\": \"HS256\", \"kty\": \"oct\", \"k\": \"AAAA\"}, \(try forge.key("ES256"))]}"
        let token = try forge.token(algorithm: "HS256", sign: { Array(HMAC<SHA256>.authenticationCode(for: $0, using: .init(data: [0, 0, 0]))) })
        #expect(try await Self.refusal(token, keys: oct) == .algorithm)
        // The token's own key, and the place of one, are not asked.
        let own = TokenForge()
        let key = try JSONSerialization.jsonObject(with: Data(try own.key("ES256").utf8))
        #expect(try await Self.refusal(try own.token(header: { $0["jwk"] = key })) == .signature)
        #expect(try await Self.refusal(try own.token(header: { $0["jku"] = "https://evil.example/keys" })) == .signature)
        for bytes in [[UInt8](repeating: 0, count: 64), Array(try own.p256.signature(for: [1]).derRepresentation), []] {
            #expect(try await Self.refusal(try forge.token(sign: { _ in bytes })) != nil)
        }
    }

    @Test("a header that asks for something else is refused")
    func headers() async throws {
        let forge = Self.forge
        let changes: [(inout [String: Any]) -> Void] = [
            { $0["crit"] = ["exp"] }, { $0["crit"] = [String]() }, { $0["b64"] = false }, { $0["kid"] = nil }, { $0["kid"] = "" }, { $0["kid"] = 1 },
            { $0["kid"] = "other" }, { $0["typ"] = "logout+jwt" }, { $0["typ"] = "dpop+jwt" }, { $0["typ"] = 1 }, { $0["alg"] = nil },
            { $0["alg"] = "es256" }, { $0["alg"] = ["ES256"] }, { $0["kid"] = String(repeating: "k", count: 256) },
        ]
        for (index, change) in changes.enumerated() { #expect(try await Self.refusal(try forge.token(header: change)) != nil, "\(index)") }
        for type in ["JWT", "jwt", "AT+JWT", "application/at+jwt"] {
            #expect(try await Self.refusal(try forge.token(header: { $0["typ"] = type })) == nil)
        }
        #expect(try await Self.refusal(try forge.token(header: { $0["typ"] = nil })) == nil)
    }

    @Test("each claim has to be there and to say what the route asks for")
    func claims() async throws {
        let seconds = Int(Self.now.timeIntervalSince1970)
        let changes: [(String, (inout [String: Any]) -> Void)] = [
            ("iss", { $0["iss"] = nil }), ("iss", { $0["iss"] = TokenForge.issuer + "/" }), ("iss", { $0["iss"] = [TokenForge.issuer] }),
            ("aud", { $0["aud"] = nil }), ("aud", { $0["aud"] = "https://other.example.com" }), ("aud", { $0["aud"] = [String]() }),
            ("aud", { $0["aud"] = TokenForge.audience + "/" }), ("exp", { $0["exp"] = nil }), ("exp", { $0["exp"] = "\(seconds + 600)" }),
            ("exp", { $0["exp"] = true }), ("exp", { $0["exp"] = 1e300 }), ("nbf", { $0["nbf"] = seconds + 31 }), ("nbf", { $0["nbf"] = "0" }),
            ("iat", { $0["iat"] = seconds + 31 }), ("sub", { $0["sub"] = nil }), ("sub", { $0["sub"] = "" }), ("sub", { $0["sub"] = 1 }),
            ("sub", { $0["sub"] = String(repeating: "a", count: 256) }), ("sub", { $0["sub"] = "a\u{0}" }), ("client_id", { $0["client_id"] = "" }),
            ("client_id", { $0["client_id"] = [1] }), ("cnf", { $0["cnf"] = ["jkt": "x"] }),
        ]
        for (claim, change) in changes {
            #expect(try await Self.refusal(try Self.forge.token(TokenForge.claims(change))) == .claim(claim), "\(claim)")
        }
        #expect(try await Self.refusal(try Self.forge.token(TokenForge.claims { $0["aud"] = ["x", TokenForge.audience] })) == nil)
        let scoped = Self.settings { $0.scopes = ["mcp:write"] }
        #expect(try await Self.refusal(try Self.forge.token(), scoped) == nil)
        for scope in ["mcp:read", "mcp:write2", "", "MCP:WRITE"] {
            #expect(try await Self.refusal(try Self.forge.token(TokenForge.claims { $0["scope"] = scope }), scoped) == .scope)
        }
    }

    @Test("time is looked at with the difference of clocks that the route allows, and no more")
    func time() async throws {
        let token = try Self.forge.token(TokenForge.claims(now: Self.now))
        let ends = Double(Int(Self.now.timeIntervalSince1970) + 600)
        for (skew, after, counts) in [(0, -1.0, true), (0, 0.0, false), (30, 29.0, true), (30, 30.0, false)] {
            let settings = Self.settings { $0.clockSkew = skew }
            let refusal = try await Self.refusal(token, settings, now: Date(timeIntervalSince1970: ends + after))
            #expect((refusal == nil) == counts && (counts || refusal == .expired), "\(skew) \(after)")
        }
    }

    @Test("a token has one spelling")
    func spelling() async throws {
        let token = try Self.forge.token()
        let parts = token.split(separator: ".").map(String.init)
        let last = try #require(parts[2].last)
        // Two bits of the last character stand for nothing: all but one value of them is another spelling of the same bytes.
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        let place = try #require(letters.firstIndex(of: last))
        let twin = parts[2].dropLast() + String(letters[place ^ 1])
        for text in [
            "\(parts[0]).\(parts[1]).\(twin)", token + "=", token + ".", "." + token, parts[0] + "." + parts[1], token + "\n", " " + token,
            parts[0] + "." + parts[1] + "." + parts[2] + "A",
        ] { #expect(try await Self.refusal(text) != nil, "\(text.suffix(20))") }
        let long = try Self.forge.token(TokenForge.claims { $0["more"] = String(repeating: "x", count: 8192) })
        #expect(try await Self.refusal(long) == .malformed("it has more than 8192 bytes"))
        // The same claim twice has two readings.
        let header = TokenForge.base64(Array("{\"alg\":\"ES256\",\"kid\":\"ES256\"}".utf8))
        let json = String(decoding: try JSONSerialization.data(withJSONObject: TokenForge.claims()), as: UTF8.self)
        let twice = header + "." + TokenForge.base64(Array("{\"sub\":\"eve\",\(json.dropFirst())".utf8))
        let signed = twice + "." + TokenForge.base64(try Self.forge.signature(Array(twice.utf8), "ES256"))
        #expect(try await Self.refusal(signed) == .malformed("header and claims are not one JSON object each"))
    }

    @Test("of a key set only what is meant for signatures counts")
    func keySets() async throws {
        let (forge, token) = (Self.forge, try Self.forge.token())
        for more in [", \"use\": \"enc\"", ", \"key_ops\": [\"encrypt\"]"] {
            let keys = "{\"keys\": [\(try forge.key("ES256", more: more)), \(try forge.key("EdDSA"))]}"
            #expect(try await Self.refusal(token, keys: keys) == .unknownKey)
        }
        #expect(try await Self.refusal(token, keys: try forge.keySet(more: ", \"alg\": \"ES384\"")) == .algorithm)
        #expect(try await Self.refusal(token, keys: try forge.keySet(more: ", \"use\": \"sig\", \"alg\": \"ES256\"")) == nil)
        // Two keys of one id are nobody's.
        #expect(try await Self.refusal(token, keys: "{\"keys\": [\(try forge.key("ES256")), \(try TokenForge().key("ES256"))]}") == .algorithm)
        for text in ["{}", "[]", "{\"keys\": []}", "x", "{\"keys\": [\(try forge.key("ES256", more: ", \"d\": \"AA\""))]}"] {
            #expect(throws: KeySet.Invalid.self, "\(text)") { try KeySet(Array(text.utf8)) }
        }
        #expect(throws: KeySet.Invalid.self) { try KeySet([UInt8](repeating: 0x20, count: KeySet.longest + 1)) }
    }
}
