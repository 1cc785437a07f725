import PosternJSON
import Testing

@testable import PosternPolicy

@Suite struct PolicyPatternTests {
    @Test(arguments: [
        ("*", "", true), ("*", "anything\nat all", true), ("a*c", "abc", true), ("a*c", "ac", true), ("a*c", "acd", false), ("?", "", false),
        ("?", "é", true), ("git push*", "git push origin", true), ("git push*", " git push", false), ("*a*b*c", "xxaxxbxxabxc", true),
        ("*ab", "aab", true), ("*aab", "aaaab", true), ("a\\*b", "a*b", true), ("a\\*b", "axb", false), ("a\\\\b", "a\\b", true), ("A", "a", false),
        ("a?c*e", "abcdde", true), ("**", "x", true),
    ])
    func globsMatchWholeTexts(pattern: String, text: String, matches: Bool) throws {
        #expect(try TextGlob(pattern).matches(text) == matches)
    }

    @Test func aHostilePatternStaysQuick() throws {
        let glob = try TextGlob(String(repeating: "a*", count: 100) + "b")
        #expect(!glob.matches(String(repeating: "a", count: 20_000)))
    }

    @Test(arguments: [
        (".git/hooks", ".git/hooks", true), (".git/hooks", ".git/hooks/pre-commit", true), (".git/hooks", "sub/.git/hooks", false),
        ("**/.git/hooks", "sub/.git/hooks", true), ("**/.git/hooks", ".git/hooks/x", true), ("**/.env", "a/b/.env", true),
        ("**/.env", "a/.envrc", false),
        ("*.pem", "a.pem", true), ("*.pem", "d/a.pem", false), ("a/**/z", "a/z", true), ("a/**/z", "a/b/c/z/more", true), ("a/**/z", "a/b", false),
        ("a/?", "a/bb", false), ("*", ".hidden", true), ("a/**", "a/b", true), ("A", "a", false),
    ])
    func pathPatternsMeanTheirTrees(pattern: String, path: String, covers: Bool) throws {
        #expect(try PathGlob(pattern).covers(path.split(separator: "/").map(String.init)) == covers)
    }

    @Test func scopesAreKeptApart() throws {
        let host = FileTarget.host(try HostPath("/a/b"))
        let workspace = FileTarget.workspace(["a", "b"])
        #expect(try PathGlob("/a/b").covers(host) && !PathGlob("/a/b").covers(workspace))
        #expect(try PathGlob("a/b").covers(workspace) && !PathGlob("a/b").covers(host))
        #expect(try PathGlob("**/b").covers(workspace) && PathGlob("**/b").covers(host))
    }

    @Test(arguments: ["/a/./b", "/a/../b", "a/b", "", "~/x", "/a\u{0}b", "/a\nb"])
    func pathsThatAreReadInTwoWaysAreRefused(text: String) { #expect(throws: PolicyValueError.self) { try HostPath(text) } }

    @Test(arguments: [("//a///b/", "/a/b"), ("/", "/"), ("/a", "/a")])
    func pathsHaveOneSpelling(text: String, path: String) throws { #expect(try HostPath(text).description == path) }

    @Test func denialsWinOverEverything() throws {
        let rules = FileRules(read: [try HostPath("/run"), try HostPath("/srv")], write: [try HostPath("/var")])
        let denials = MandatoryDenials(own: ["/var/work/state", "relative"])
        for path in ["/run/docker.sock", "/run/user/1000/bus", "/srv/x/containerd.sock", "/var/run/dbus/x", "/var/work/state/audit", "/proc/self"] {
            let decision = rules.decide(.host(try HostPath(path)), workspace: .rw, denials: denials)
            #expect(decision.access == FileAccess.none && decision.reason.hasPrefix("no policy can open"), "\(path)")
        }
        #expect(rules.decide(.host(try HostPath("/var/work/other")), workspace: .rw, denials: denials).access == .write)
        #expect(MandatoryDenials().trees.count > 30 && MandatoryDenials().globs.count == MandatoryDenials.builtInGlobs.count)
    }

    @Test func protectedIsReadOnlyAndHiddenIsGone() throws {
        let rules = FileRules(
            write: [try HostPath("/srv")], hidden: [try PathGlob("/srv/a")], protected: [try PathGlob("/srv/b"), try PathGlob("c")])
        func access(_ target: FileTarget, _ mode: WorkspaceMode = .rw) -> FileAccess {
            rules.decide(target, workspace: mode, denials: MandatoryDenials()).access
        }
        #expect(access(.host(try HostPath("/srv/a/x"))) == .none)
        #expect(access(.host(try HostPath("/srv/b/x"))) == .read)
        #expect(access(.host(try HostPath("/srv/x"))) == .write)
        #expect(access(.workspace(["c"])) == .read && access(.workspace(["d"])) == .write && access(.workspace(["d"]), .ro) == .read)
    }

    @Test(arguments: [
        ("", #"{"a":1}"#), ("/a", "1"), ("/b/1", "20"), ("/b/01", nil), ("/b/2", nil), ("/c~1d", "3"), ("/e~0f", "4"), ("/x", nil), ("/a/b", nil),
        ("/b/-", nil),
    ])
    func pointersFollowTheirStandard(pointer: String, text: String?) throws {
        let document: JSON = pointer.isEmpty ? ["a": 1] : ["a": 1, "b": [10, 20], "c/d": 3, "e~f": 4]
        #expect(try JSONPointer(pointer).value(in: document)?.text == text)
    }

    @Test(arguments: ["a", "/a~", "/a~2b"]) func badPointersAreRefused(text: String) {
        #expect(throws: PolicyValueError.self) { try JSONPointer(text) }
    }

    @Test func anArgumentTooLongToMatchIsAskedAbout() throws {
        let question = ToolQuestion(tools: [try TextGlob("*")], when: [try JSONPointer("/c"): [try TextGlob("git push*")]])
        #expect(!question.covers("bash", ["c": .string(String(repeating: " ", count: ToolQuestion.maximumText))]))
        #expect(question.covers("bash", ["c": .string(String(repeating: " ", count: ToolQuestion.maximumText + 1))]))
    }

    @Test func anArgumentThatIsNoTextIsMatchedAsJSON() throws {
        let question = ToolQuestion(tools: [try TextGlob("t")], when: [try JSONPointer("/n"): [try TextGlob("[1,*")]])
        #expect(
            question.covers("t", ["n": [1, 2]]) && !question.covers("t", ["n": 1]) && !question.covers("t", [:])
                && !question.covers("u", ["n": [1, 2]]))
    }

    @Test(arguments: [
        ("512MiB", 512 << 20), ("1GB", 1_000_000_000), ("0B", 0), ("5", nil), ("1.5GiB", nil), ("-1B", nil), ("1mib", nil), (" 1B", nil),
        ("99999999999999999999B", nil), ("9000000TiB", nil), ("B", nil),
    ])
    func bytesHaveUnits(text: String, bytes: Int?) { #expect(Quantity.bytes(text) == bytes) }

    @Test func quantitiesAreWrittenAsTheyAreRead() {
        for number in [0, 1, 1023, 1024, 512 << 20, 3 << 30, (1 << 40) + 1, 1_000_000] {
            #expect(Quantity.bytes(Quantity.text(bytes: number)) == number)
        }
        for number in [0, 1, 999, 1000, 90_000, 3_600_000, 86_400_000] {
            #expect(Quantity.milliseconds(Quantity.text(milliseconds: number)) == number)
        }
    }
}

/// Names are bytes to a file system: what looks alike is not alike.
@Suite struct PolicySpellingTests {
    @Test func composedAndDecomposedLettersDiffer() throws {
        let composed = "\u{E9}"
        let decomposed = "e\u{301}"
        #expect(try !TextGlob(composed).matches(decomposed))
        #expect(try !HostPath("/\(decomposed)/x").isInside(HostPath("/\(composed)")))
        #expect(try !PathGlob("**/\(composed)").covers([decomposed]))
    }
}
