import NIOCore
import PosternJSON
import PosternPolicy
import Testing

@testable import PosternEgress

/// A secret that has another value while its session lives: the new one goes where the old one could, and neither is ever shown.
@Suite struct SecretBookTests {
    private static func secret(
        _ value: String, name: String = "key", hosts: [String] = ["api.test"], placeholder: String? = nil
    ) throws -> BoundSecret {
        let binding = SecretBinding(name: name, hosts: try hosts.map { try HostPattern($0) })
        var random = SystemRandomNumberGenerator()
        let text = try placeholder ?? #require(Placeholder.make(for: SecretValue(value), using: &random))
        return try #require(BoundSecret(binding: binding, value: SecretValue(value), placeholder: text))
    }

    private func masked(_ text: String, _ book: SecretBook) -> String {
        var mask = AnswerMask(book.maskRules)
        let first = mask.feed(.init(string: text))
        return String(buffer: first) + String(buffer: mask.finish())
    }

    @Test func theNewValueStandsBehindThePlaceholderAndTheOldOneStaysMasked() throws {
        let old = try Self.secret("abcdefgh12345678")
        var book = SecretBook([old])
        _ = book.rotate(try Self.secret("stuvwxyz87654321", placeholder: old.placeholder))
        #expect(book.secrets.map { $0.value.text } == ["stuvwxyz87654321"] && book.secrets[0].placeholder == old.placeholder)
        for value in ["abcdefgh12345678", "stuvwxyz87654321"] { #expect(masked("<\(value)>", book) == "<\(old.placeholder)>") }
        // And back again.
        _ = book.rotate(old)
        #expect(book.secrets.map { $0.value.text } == ["abcdefgh12345678"])
        for value in ["abcdefgh12345678", "stuvwxyz87654321"] { #expect(masked(value, book) == old.placeholder) }
    }

    @Test func aRotationNeverWidensWhereASecretGoes() throws {
        let old = try Self.secret("abcdefgh12345678")
        var book = SecretBook([old])
        _ = book.rotate(try Self.secret("stuvwxyz87654321", hosts: ["evil.test"], placeholder: old.placeholder))
        #expect(book.secrets[0].binding == old.binding)
        book.narrow(to: [])
        _ = book.rotate(try Self.secret("ijklmnop11111111", placeholder: old.placeholder))
        #expect(book.secrets.allSatisfy { $0.isWithdrawn })
        _ = book.rotate(try Self.secret("of-another-shape-123"))
        #expect(book.secrets.allSatisfy { $0.isWithdrawn })
    }

    @Test func withAnotherPlaceholderTheOldOneStandsForNothing() throws {
        let old = try Self.secret("abcdefgh12345678")
        let new = try Self.secret("a-longer-value-of-another-shape-1")
        var book = SecretBook([old])
        _ = book.rotate(new)
        #expect(book.secrets.map(\.isWithdrawn) == [true, false])
        #expect(masked("abcdefgh12345678", book) == old.placeholder && masked("a-longer-value-of-another-shape-1", book) == new.placeholder)
        #expect(throws: RequestSecrets.Misplaced.self) {
            var watch = BodyGuard(book.guardRules)
            _ = try watch.feed(.init(string: "x" + old.placeholder + "y"))
            _ = watch.finish()
        }
    }

    @Test func aSuspendedSecretGoesNowhereUntilItHasAValueAgain() throws {
        let old = try Self.secret("abcdefgh12345678")
        var book = SecretBook([old, try Self.secret("ijklmnop11111111", name: "other")])
        book.suspend("key")
        #expect(book.secrets.map(\.isWithdrawn) == [true, false])
        #expect(masked("abcdefgh12345678", book) == old.placeholder)
        _ = book.rotate(old)
        #expect(book.secrets.map(\.isWithdrawn) == [false, false])
    }

    @Test func aValueThatIsPartOfAnotherIsNotTaken() throws {
        let other = try Self.secret("ijklmnop11111111", name: "other")
        var book = SecretBook([try Self.secret("abcdefgh12345678"), other])
        let taken = [
            book.rotate(try Self.secret("xxijklmnop11111111yy")),
            book.rotate(try Self.secret("jklmnop1111111")),
        ]
        #expect(taken == [false, false])
        #expect(book.secrets.map { $0.value.text } == ["abcdefgh12345678", "ijklmnop11111111"])
    }

    @Test func commandsTravel() throws {
        let secret = try Self.secret("abcdefgh12345678")
        let sent = EgressCommand.rotate(session: "sesn_1", secret).message.body
        guard case .rotate("sesn_1", let read) = try EgressCommand(sent, descriptors: []) else { return #expect(Bool(false), "\(sent.kind)") }
        #expect(read.value == secret.value && read.placeholder == secret.placeholder && read.binding == secret.binding)
        guard
            case .suspend("sesn_1", "key") = try EgressCommand(
                EgressCommand.suspend(session: "sesn_1", secret: "key").message.body, descriptors: [])
        else { return #expect(Bool(false)) }
        #expect(throws: PolicyValueError.self) { try EgressCommand(["type": "rotate", "session": "s", "secret": ["value": "x"]], descriptors: []) }
    }
}
