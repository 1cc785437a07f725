import PosternJSON
import PosternSandboxWire
import Testing

/// The rule alone, on tables as the kernel prints them.
@Suite struct MountProofTests {
    private static let file = FileIdentity(device: 2049, inode: 77)
    private static let tree = MountManifest.Tree(
        place: "/workspace", file: file, masks: ["p": .itself, "p/docker.sock": .hidden, "disk/q": .itself],
        carried: [CarriedMount(path: "disk", device: "8:2", root: "/")])

    private static let base = [
        "10 1 0:30 / / ro - tmpfs tmpfs rw", "11 10 0:31 /postern-1-x/etc /etc ro - tmpfs tmpfs rw", "12 10 8:1 /srv/w /workspace rw - ext4 d rw",
        "13 12 8:2 / /workspace/disk rw - ext4 d rw",
    ]
    private static let masks = [
        "14 12 8:1 /srv/w/p /workspace/p rw - ext4 d rw", "15 14 0:31 /postern-1-x/closed-file /workspace/p/docker.sock ro - tmpfs tmpfs rw",
        "16 13 8:2 /q /workspace/disk/q rw - ext4 d rw",
    ]

    private static func refusal(_ lines: [String], mount: Int = 12, file: FileIdentity = file, tree: MountManifest.Tree = tree) -> String? {
        var proof = MountProof(MountTable(lines.joined(separator: "\n")))
        return proof.add(tree, mount: mount, file: file) ?? proof.refusal()
    }

    @Test func whatWasLookedThroughIsTaken() {
        #expect(Self.refusal(Self.base + Self.masks) == nil)
        // Bubblewrap binds with all that is below: the same again lies over it.
        #expect(Self.refusal(Self.base + Self.masks + ["17 14 0:31 /postern-1-x/closed-file /workspace/p/docker.sock ro - tmpfs t rw"]) == nil)
    }

    @Test(arguments: [
        // A link of the host's, by another file system, by the same, by a name that begins alike.
        "8:9 / /workspace/p", "8:1 /etc /workspace/p", "8:1 /srv/w2/p /workspace/p", "8:1 /srv/w/p2 /workspace/p", "8:1 / /workspace/p",
        "8:1 /srv/w/p//deleted /workspace/p",
        // Renamed away afterwards, to a name that nobody expects and to one where another mount is expected.
        "8:1 /etc /workspace/other", "8:1 /etc /workspace/disk", "8:1 /srv/w/p /workspace/q", "8:1 /etc /elsewhere",
        // Something else over what is hidden.
        "8:1 /srv/w/p/docker.sock /workspace/p/docker.sock", "0:31 /postern-1-y/closed-file /workspace/p/docker.sock",
        "8:1 /postern-1-x/closed-file /workspace/p/docker.sock",
        // Not of the disk that is mounted below the tree.
        "8:1 /srv/w/disk/q /workspace/disk/q", "8:2 /etc /workspace/disk/q", "8:2 /etc /workspace/disk",
    ]) func whatIsMountedBesideIsRefused(mount: String) {
        #expect(Self.refusal(Self.base + Self.masks + ["20 14 \(mount) rw - ext4 d rw"]) != nil)
    }

    @Test func aMissingMaskIsRefused() {
        for index in Self.masks.indices {
            var lines = Self.masks
            lines.remove(at: index)
            #expect(Self.refusal(Self.base + lines)?.contains("'/workspace/") == true)
        }
    }

    @Test func anotherFolderIsRefused() {
        let lines = Self.base + Self.masks
        #expect(Self.refusal(lines, file: FileIdentity(device: 2049, inode: 78)) != nil)
        #expect(Self.refusal(lines, file: FileIdentity(device: 2050, inode: 77)) != nil)
        // The right file, but on a mount that is not the one at that place.
        #expect(Self.refusal(lines, mount: 14) != nil && Self.refusal(lines, mount: 99) != nil)
        // Only an overlay is taken for one.
        #expect(Self.refusal(lines, tree: MountManifest.Tree(place: "/workspace", file: nil)) != nil)
    }

    @Test func theManifestComesThroughWhole() throws {
        let manifest = MountManifest(trees: [Self.tree, MountManifest.Tree(place: "/srv/o", file: nil)])
        #expect(MountManifest(json: try JSON(parsing: manifest.json.encoded)) == manifest)
        for broken in [#"{}"#, #"{"trees":[]}"#, #"{"trees":[{"place":"/w","file":"x","hidden":[],"itself":[],"carried":[]}]}"#] {
            #expect(MountManifest(json: try JSON(parsing: Array(broken.utf8))) == nil)
        }
    }
}
