import Foundation
import PosternSandboxWire
import Testing

@testable import PosternCommands

@Suite struct HardeningTests {
    // MARK: Mounts

    private let table = MountTable(
        """
        22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,usrquota
        30 22 8:2 / /srv rw,relatime - xfs /dev/sdb1 rw,uqnoenforce
        31 30 0:40 / /srv/a\\040b rw - btrfs /dev/sdc1 rw
        nonsense
        """)

    @Test func theNearestMountHoldsAPath() {
        #expect(table.mounts.count == 3)
        #expect(table.mount(holding: "/srv/x")?.kind == "xfs" && table.mount(holding: "/srv")?.kind == "xfs")
        #expect(table.mount(holding: "/srvx")?.kind == "ext4")
        #expect(table.mount(holding: "/srv/a b/c")?.kind == "btrfs")
    }

    @Test func aQuotaThatBoundsNothingIsNone() {
        #expect(table.mount(holding: "/")?.keepsUserQuota == true && table.mount(holding: "/srv")?.keepsUserQuota == false)
        #expect(MountTable("1 1 8:1 / / rw - ext4 d rw,usrjquota=").mounts.first?.keepsUserQuota == false)
        #expect(MountTable("1 1 8:1 / / rw - ext4 d rw,usrjquota=aquota.user").mounts.first?.keepsUserQuota == true)
    }

    // MARK: Users

    @Test func accountsAndSubordinateRangesAreSeen() {
        let range = UserRange(numbers: 100...199)
        #expect(range.conflicts(passwd: "a:x:99:1::/:\nb:x:200:1::/:\n\nbroken\nc:x:no:1:", subordinate: "d:200:10\ne:0:100\nf:1\n") == [])
        #expect(range.conflicts(passwd: "a:x:100:1::/:\nb:x:199:1::/:", subordinate: "").count == 2)
        for line in ["d:0:101", "d:199:1", "d:150:18446744073709551615", "d:0:18446744073709551615"] {
            #expect(range.conflicts(passwd: "", subordinate: line).count == 1, "\(line)")
        }
    }

    @Test func theRangeIsThatOfTheSpawner() {
        #expect(HardeningItem.userRange.remedy.contains(UserRange.sessions.text))
    }

    // MARK: Settings and files

    private func findings(_ environment: [String: String], folder: String, isRoot: Bool = false) throws -> [String: Finding] {
        let checks = try HardeningChecks(folder: folder, environment: environment, isRoot: isRoot)
        return Dictionary(uniqueKeysWithValues: checks.findings.map { ($0.subject, $0) })
    }

    @Test func filesThatOthersCanReadOrWriteAreNamed() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("postern-hardening-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: folder + "/.postern", withIntermediateDirectories: true)
        for name in ["policy.yaml", "key"] { #expect(FileManager.default.createFile(atPath: "\(folder)/\(name)", contents: Data())) }
        let environment = ["POSTERN_POLICY": folder + "/policy.yaml", "POSTERN_ENVIRONMENT_KEY_FILE": folder + "/key"]
        func set(_ state: Int16, _ policy: Int16, _ key: Int16) throws {
            for (name, mode) in [(".postern", state), ("policy.yaml", policy), ("key", key)] {
                try FileManager.default.setAttributes([.posixPermissions: NSNumber(value: mode)], ofItemAtPath: "\(folder)/\(name)")
            }
        }
        try set(0o700, 0o644, 0o600)
        let sound = try findings(environment, folder: folder)
        for subject in ["state folder", "policy", "environment key"] { #expect(sound[subject]?.verdict == .good, "\(subject)") }
        try set(0o750, 0o664, 0o640)
        let open = try findings(environment, folder: folder)
        for subject in ["state folder", "policy", "environment key"] {
            #expect(open[subject]?.verdict == .limited && open[subject]?.remedy != nil, "\(subject)")
        }
    }

    @Test func settingsThatWidenAreNamed() throws {
        let plain = try findings([:], folder: "/tmp")
        #expect(
            plain["require_all_layers"]?.verdict == .limited && plain["audit mirror"]?.verdict == .limited && plain["policy"]?.verdict == .limited)
        #expect(plain["sandbox driver"] == nil && plain["workspaces"] == nil && plain["launcher"] == nil)
        let wide = try findings(
            [
                "POSTERN_REQUIRE_ALL_LAYERS": "true", "POSTERN_SANDBOX": "none", "POSTERN_SHARED_WORKSPACE": "/tmp", "POSTERN_ON_WORK_COMPAT": "true",
                "POSTERN_AUDIT_MIRROR": "/tmp", "POSTERN_USER": "root",
            ], folder: "/tmp", isRoot: true)
        #expect(wide["require_all_layers"]?.verdict == .good)
        for subject in ["sandbox driver", "workspaces", "launcher", "worker's process"] { #expect(wide[subject]?.verdict == .limited, "\(subject)") }
        // On the log's own file system a mirror shows little.
        #expect(wide["audit mirror"]?.verdict == .limited)
        #expect(throws: ConfigurationError.self) { try findings(["POSTERN_MAX_SESSIONS": "x"], folder: "/tmp") }
    }

    /// What doctor prints is what the page says.
    @Test func everyRemedyIsOnThePage() throws {
        let page = HardeningPage.text
        for finding in try findings([:], folder: "/tmp", isRoot: true).values {
            guard let remedy = finding.remedy else { continue }
            #expect(page.contains(remedy.dropFirst()) && page.contains("`\(finding.subject)`"), "\(finding.subject)")
        }
        #expect(Set(HardeningItem.all.flatMap(\.subjects)).count == HardeningItem.all.flatMap(\.subjects).count)
    }
}
