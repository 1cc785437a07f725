import PosternEgress
import PosternGate
import PosternPolicy
@testable import PosternWorker
import Testing

@Suite struct SessionSecretsTests {
    private static func secret(_ name: String = "key") throws -> PolicySecret {
        PolicySecret(
            name: name, source: .file(path: "/run/\(name)"), binding: SecretBinding(name: name, hosts: [try HostPattern("api.test")]))
    }

    private static func secrets(_ value: String) async throws -> SessionSecrets {
        await SessionSecrets([try secret()]) { _ throws(SecretSourceError) in .init(value: SecretValue(value), lease: nil) }
    }

    @Test func aValueOfTheSameShapeKeepsThePlaceholder() async throws {
        var secrets = try await Self.secrets("abcdefgh12345678")
        let placeholder = secrets.bound[0].placeholder
        guard case .unchanged = secrets.replace(try Self.secret(), with: SecretValue("abcdefgh12345678")) else { return #expect(Bool(false)) }
        guard case .inPlace(let bound?) = secrets.replace(try Self.secret(), with: SecretValue("87654321hgfedcba")) else {
            return #expect(Bool(false))
        }
        #expect(bound.placeholder == placeholder && bound.value.text == "87654321hgfedcba")
        // The old one may still come back from where it was sent.
        #expect(secrets.known.count == 2)
    }

    @Test func aValueOfAnotherShapeHasAnotherPlaceholder() async throws {
        var secrets = try await Self.secrets("abcdefgh12345678")
        let placeholder = secrets.bound[0].placeholder
        guard case .reshaped(let bound) = secrets.replace(try Self.secret(), with: SecretValue("another.shape-with-more.1")) else {
            return #expect(Bool(false))
        }
        #expect(bound.placeholder != placeholder && secrets.bound.count == 1 && secrets.known.count == 2)
    }

    @Test func whatIsLostStaysMaskedAndMayComeBack() async throws {
        var secrets = try await Self.secrets("abcdefgh12345678")
        let placeholder = secrets.bound[0].placeholder
        let lost = [secrets.lose("key"), secrets.lose("key"), secrets.lose("other")]
        #expect(lost == [true, false, false])
        #expect(secrets.values.isEmpty && secrets.known.count == 1)
        guard case .inPlace(let bound?) = secrets.replace(try Self.secret(), with: SecretValue("abcdefgh12345678")) else {
            return #expect(Bool(false))
        }
        #expect(bound.placeholder == placeholder && secrets.known.count == 1)
    }

    @Test func aValueThatCannotBeMaskedIsNotUsedAndStillSearchedFor() async throws {
        var secrets = await SessionSecrets([try Self.secret(), try Self.secret("other")]) { source throws(SecretSourceError) in
            .init(value: SecretValue(source == .file(path: "/run/key") ? "abcdefgh12345678" : "ijklmnop11111111"), lease: nil)
        }
        for value in ["short", "xxijklmnop11111111yy", "with a blank in it 1"] {
            guard case .unusable = secrets.replace(try Self.secret(), with: SecretValue(value)) else { return #expect(Bool(false), "\(value)") }
            #expect(secrets.values["key"] == nil)
        }
        #expect(secrets.known.count == 4)
    }

    @Test func whatIsMissingAtFirstCanCome() async throws {
        var secrets = await SessionSecrets([try Self.secret()]) { _ throws(SecretSourceError) in
            throw SecretSourceError("file", "there is no such file", remedy: "make it")
        }
        #expect(secrets.missing.map(\.name) == ["key"] && secrets.bound.isEmpty)
        guard case .reshaped = secrets.replace(try Self.secret(), with: SecretValue("abcdefgh12345678")) else { return #expect(Bool(false)) }
        #expect(secrets.bound.count == 1)
    }
}
