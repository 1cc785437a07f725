import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire

/// Compares what is mounted in this sandbox with what the spawner has looked through, before anything of the session is here.
enum MountCheck {
    struct Refusal: Error, CustomStringConvertible {
        var description: String
    }

    /// Takes over the descriptor of the manifest.
    static func run() throws {
        defer { close(MountManifest.descriptor) }
        guard let bytes = Posix.contents(MountManifest.descriptor, most: 16 << 20), let json = try? JSON(parsing: bytes),
            let manifest = MountManifest(json: json)
        else { throw Refusal(description: "nobody has said what is to be mounted here") }
        var proof = MountProof(try MountTable.own())
        for tree in manifest.trees {
            guard let (mount, file) = place(tree.place) else { throw Refusal(description: MountProof.refusal(tree.place)) }
            if let refusal = proof.add(tree, mount: mount, file: file) { throw Refusal(description: refusal) }
        }
        if let refusal = proof.refusal() { throw Refusal(description: refusal) }
    }

    /// What is at `path`, none of whose parts may be a link, and the number of the mount that it is on.
    private static func place(_ path: String) -> (mount: Int, file: FileIdentity)? {
        var file = open("/", psb_open_path | O_DIRECTORY | O_CLOEXEC)
        for part in path.split(separator: "/") where file >= 0 {
            let folder = file
            file = Posix.open(folder, Array(part.utf8), psb_open_path | O_NOFOLLOW)
            close(folder)
        }
        guard file >= 0 else { return nil }
        defer { close(file) }
        guard let identity = FileIdentity(of: file), let mount = mountID(of: file) else { return nil }
        return (mount, identity)
    }

    /// The number of the mount that the file was reached through (proc(5), fdinfo).
    static func mountID(of descriptor: Int32) -> Int? {
        let info = Posix.open(AT_FDCWD, Array("/proc/self/fdinfo/\(descriptor)".utf8), O_RDONLY)
        guard info >= 0 else { return nil }
        defer { close(info) }
        let lines = Posix.contents(info, most: 1 << 16).map { String(decoding: $0, as: UTF8.self).split(separator: "\n") } ?? []
        return lines.first { $0.hasPrefix("mnt_id:") }.flatMap { line in
            line.split { $0 == "\t" || $0 == " " }.dropFirst().first.flatMap { Int($0) }
        }
    }
}
