import Foundation
import Testing

@testable import PosternSandbox

/// The text of profiles. No macOS was at hand: what these tests hold is what the text says, not what the kernel makes of it.
@Suite struct SeatbeltTests {
    private func profile() -> SeatbeltProfile {
        SeatbeltProfile(workspace: "/Users/w/sesn_1", temporaryFolder: "/tmp/postern/sesn_1", ports: [3128], tag: "postern-1a2b")
    }

    /// Everything from the policy's part on; the system's part is fixed.
    private func policyPart(_ profile: SeatbeltProfile) throws -> String {
        let text = try profile.text()
        let start = try #require(text.range(of: "(allow file-read-metadata"))
        return String(text[start.lowerBound...])
    }

    @Test func theWholeTextOfAPolicy() throws {
        var profile = profile()
        profile.readable = ["/opt/tools"]
        profile.writable = ["/srv/shared/out"]
        profile.hidden = ["/Users/w/.ssh"]
        profile.hiddenPatterns = ["**/.env"]
        profile.protectedPatterns = [".git/hooks/**"]
        profile.ports = [5432, 3128, 3128]
        #expect(
            try policyPart(profile) == """
                (allow file-read-metadata
                    (literal "/opt")
                    (literal "/Users")
                    (literal "/Users/w")
                    (literal "/private")
                    (literal "/private/tmp")
                    (literal "/private/tmp/postern")
                    (literal "/srv")
                    (literal "/srv/shared"))
                (allow file-read*
                    (subpath "/opt/tools")
                    (subpath "/Users/w/sesn_1")
                    (subpath "/private/tmp/postern/sesn_1")
                    (subpath "/srv/shared/out"))
                (allow file-write*
                    (subpath "/Users/w/sesn_1")
                    (subpath "/private/tmp/postern/sesn_1")
                    (subpath "/srv/shared/out"))

                ; Denied again, whatever stands above. No device and no set-id file is made.
                (deny file-write-mknod file-write-setugid)
                (deny file-write-unlink
                    (literal "/Users/w/sesn_1")
                    (literal "/private/tmp/postern/sesn_1")
                    (literal "/Users/w/.ssh")
                    (literal "/Users")
                    (literal "/Users/w")
                    (literal "/private")
                    (literal "/private/tmp")
                    (literal "/private/tmp/postern"))
                (deny file-write*
                    (regex "^/Users/w/sesn_1/\\\\.git/hooks/.+(/.*)?$"))
                (deny file-write-unlink
                    (literal "/Users/w/sesn_1/.git")
                    (literal "/Users/w/sesn_1/.git/hooks"))
                (deny file-read* file-write*
                    (subpath "/Users/w/.ssh")
                    (regex "^/Users/w/sesn_1(/[^/]+)*/\\\\.env(/.*)?$"))

                ; Network: sockets in the session's own folders, and the proxy.
                (allow network-bind
                    (local unix-socket (subpath "/Users/w/sesn_1"))
                    (local unix-socket (subpath "/private/tmp/postern/sesn_1")))
                (allow network-outbound
                    (remote unix-socket (subpath "/Users/w/sesn_1"))
                    (remote unix-socket (subpath "/private/tmp/postern/sesn_1"))
                    (remote ip "localhost:3128")
                    (remote ip "localhost:5432"))

                """)
    }

    @Test func nothingIsAllowedFirstAndNothingIsOpenedAfterTheDenials() throws {
        var profile = profile()
        profile.hidden = ["/srv/keys"]
        profile.protectedPatterns = [".git/hooks"]
        let text = try profile.text()
        #expect(text.hasPrefix("(version 1)\n(deny default (with message \"postern-1a2b\"))\n"))
        let denials = try #require(text.range(of: "; Denied again"))
        #expect(!text[denials.lowerBound...].contains("(allow file"))
        // A rule without a filter holds for everything: only those that are meant to.
        let bare = text.split(separator: "\n").filter { $0.hasPrefix("(allow") && $0.hasSuffix(")") }
        #expect(Set(bare.map(String.init)) == Set(SeatbeltSystem.processes))
        for forbidden in [
            "network*", "(allow default", "mDNSResponder", "dnssd", "SecurityServer", "com.apple.trustd", "iokit", "(subpath \"/\")",
            "/Users\")\n    (subpath",
        ] {
            #expect(!text.contains(forbidden), "\(forbidden)")
        }
    }

    @Test func withoutPortsNoConnectionLeaves() throws {
        var profile = profile()
        profile.ports = []
        #expect(try !profile.text().contains("remote ip"))
    }

    @Test(arguments: [
        #"/Users/w/a"b"#, #"/Users/w/a\b"#, #"/Users/w/a") (allow default) ("#, "/Users/w/ein Ordner", "/Users/w/größe;x",
        "/Users/w/a(b)[c]{d}|e+f*g?h^i$j.k",
        #"/Users/w/#"regex""#,
    ])
    func aNameCannotLeaveItsString(_ path: String) throws {
        var profile = profile()
        profile.workspace = path
        profile.readable = [path + "/r"]
        profile.hidden = [path + "/secret"]
        profile.hiddenPatterns = [#"**/x").y"#]
        let text = try profile.text()
        // Read as the profile language reads it, the text has the same shape as one with harmless names.
        var harmless = self.profile()
        harmless.readable = [harmless.workspace + "/r"]
        harmless.hidden = [harmless.workspace + "/secret"]
        harmless.hiddenPatterns = ["**/xy"]
        #expect(try shape(text) == shape(harmless.text()))
        #expect(strings(text).contains(path))
    }

    @Test func aPatternMatchesWhatItSays() throws {
        let workspace = try SeatbeltPath("/w", "workspace")
        func matches(_ pattern: String, _ path: String) throws -> Bool {
            let filter = try SeatbeltPattern(pattern, below: workspace, "p").filter
            let expression = try #require(strings(filter).first)
            return try Regex(expression).wholeMatch(in: path) != nil
        }
        for (pattern, path) in [
            ("**/.env", "/w/.env"), ("**/.env", "/w/a/b/.env"), ("**/.env", "/w/a/.env/x"), (".git/hooks/**", "/w/.git/hooks/pre-commit"),
            ("*.key", "/w/a.key"),
            ("a?c", "/w/abc"), ("a/**/z", "/w/a/z"), ("a/**/z", "/w/a/b/c/z"), ("a+(b)", "/w/a+(b)"),
        ] { #expect(try matches(pattern, path), "\(pattern) \(path)") }
        for (pattern, path) in [
            ("**/.env", "/w/x.env"), ("**/.env", "/w/aenv"), ("*.key", "/w/d/a.key"), ("a?c", "/w/a/c"), (".git/hooks/**", "/w/xgit/hooks/a"),
            ("a+(b)", "/w/aab"),
            ("**/.env", "/x/w/.env"),
        ] { #expect(try !matches(pattern, path), "\(pattern) \(path)") }
    }

    @Test(arguments: ["", "w", "/", "/a/", "/a//b", "/a/../b", "/./a", "/a\u{0}b", "/a\nb", "/" + String(repeating: "a", count: 1_100)])
    func pathsThatNoRuleCanName(_ path: String) {
        var profile = profile()
        profile.readable = [path]
        let error = #expect(throws: SeatbeltError.self) { try profile.text() }
        #expect(error?.field == "files.read")
    }

    @Test(arguments: ["", "/a", "a/", "a//b", "../a", "a/./b", "a\nb", "a**b"])
    func patternsThatNoRuleCanName(_ pattern: String) {
        var profile = profile()
        profile.protectedPatterns = [pattern]
        #expect(throws: SeatbeltError.self) { try profile.text() }
    }

    @Test func whatWouldHideTheSessionItselfIsAnError() {
        for path in ["/Users", "/Users/w/sesn_1", "/private/tmp"] {
            var profile = profile()
            profile.hidden = [path]
            #expect(throws: SeatbeltError.self) { try profile.text() }
        }
    }

    @Test func aTagIsOnlyLettersDigitsAndHyphens() {
        for tag in ["", "a b", "a\"", "ä"] {
            var profile = profile()
            profile.tag = tag
            #expect(throws: SeatbeltError.self) { try profile.text() }
        }
    }

    // MARK: A reader of the profile language

    /// Parentheses and words, with every string as `S`.
    private func shape(_ text: String) -> String {
        var shape = ""
        scan(text, onString: { _ in shape += "S" }, onOther: { shape.append($0) })
        return shape
    }

    private func strings(_ text: String) -> [String] {
        var strings: [String] = []
        scan(text, onString: { strings.append($0) }, onOther: { _ in })
        return strings
    }

    private func scan(_ text: String, onString: (String) -> Void, onOther: (Character) -> Void) {
        var inside: String?
        var isEscaped = false
        var isComment = false
        for character in text {
            if var string = inside {
                if isEscaped {
                    string.append(character)
                    (inside, isEscaped) = (string, false)
                } else if character == "\\" {
                    isEscaped = true
                } else if character == "\"" {
                    onString(string)
                    inside = nil
                } else {
                    string.append(character)
                    inside = string
                }
            } else if isComment {
                isComment = character != "\n"
            } else if character == ";" {
                isComment = true
            } else if character == "\"" {
                inside = ""
            } else {
                onOther(character)
            }
        }
    }
}
