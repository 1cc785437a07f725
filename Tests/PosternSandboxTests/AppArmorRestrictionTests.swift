import PosternSandbox
import Testing

@Suite struct AppArmorRestrictionTests {
    private static let others =
        "firefox (unconfined)\n/usr/sbin/cupsd (enforce)\nbwrap-other (unconfined)\nmy bwrap (enforce)\n/snap/x/usr/bin/bwrap (enforce)"

    private func finding(
        _ loaded: AppArmorRestriction.Loaded, setting: String? = "1", files: [String] = [], bubblewrap: String? = "/usr/bin/bwrap"
    ) -> SandboxProbe.Finding {
        AppArmorRestriction(setting: setting, loaded: loaded, files: files, bubblewrap: bubblewrap).finding
    }

    @Test func withoutTheRestrictionNothingIsAsked() {
        for setting in [nil, "0"] { #expect(finding(.list(Self.others), setting: setting).verdict == .good) }
    }

    @Test(arguments: ["bwrap (unconfined)", "/usr/bin/bwrap (enforce)"]) func aLoadedProfileIsGood(line: String) {
        let found = finding(.list(Self.others + "\n" + line + "\n"))
        #expect(found.verdict == .good && found.detail.contains(line))
        // Wherever it is from.
        #expect(finding(.list(line), files: []).verdict == .good)
    }

    /// A file allows nothing; nor does another program's profile with a name that is like it.
    @Test func aFileThatNobodyLoadedIsNotEnough() {
        for list in [Self.others, ""] {
            let file = finding(.list(list), files: ["/etc/apparmor.d/bwrap"])
            #expect(file.verdict == .missing && file.remedy.contains("apparmor_parser -r /etc/apparmor.d/bwrap"))
            let none = finding(.list(list))
            #expect(none.verdict == .missing && none.remedy.contains("install a profile"))
        }
        #expect(finding(.list("/usr/bin/bwrap (enforce)"), bubblewrap: "/opt/bwrap").verdict == .missing)
    }

    @Test func whatCannotBeSeenIsSaid() {
        let file = finding(.unseen("permission denied"), files: ["/etc/apparmor.d/bwrap-userns-restrict"])
        #expect(file.verdict == .degraded && file.detail.contains("permission denied") && file.remedy.contains("aa-status"))
        #expect(finding(.unseen("permission denied")).verdict == .missing)
    }
}
