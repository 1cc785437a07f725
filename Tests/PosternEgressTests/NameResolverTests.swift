import Foundation
import Testing

@testable import PosternEgress

/// The system's resolver on a host that has a search list, in namespaces of its own with a resolver that says what it was asked.
@Suite(
    "Names as they are",
    .enabled(if: getuid() == 0 && ForwardCommand.isInstalled("/usr/bin/unshare") && ForwardCommand.isInstalled("/usr/bin/python3")))
struct NameResolverTests {
    private static let script = """
        set -e
        ip link set lo up
        printf 'search corp.example\\nnameserver 127.0.0.1\\noptions timeout:1 attempts:1 ndots:5\\n' > "$1/resolv.conf"
        printf '127.0.0.9 only-in-hosts\\n' > "$1/hosts"
        mount --bind "$1/resolv.conf" /etc/resolv.conf
        mount --bind "$1/hosts" /etc/hosts
        exec python3 -c '
        import os, socket, subprocess, threading
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 53))
        asked = set()
        def serve():
            while True:
                query, client = server.recvfrom(512)
                labels, place = [], 12
                while query[place]:
                    labels.append(query[place + 1:place + 1 + query[place]].decode())
                    place += query[place] + 1
                asked.add(".".join(labels))
                server.sendto(query[:2] + bytes([0x81, 0x83]) + query[4:6] + bytes(6) + query[12:place + 5], client)
        threading.Thread(target=serve, daemon=True).start()
        def names(*names):
            asked.clear()
            found = [subprocess.run(["getent", "ahosts", name], capture_output=True).returncode == 0 for name in names]
            print(*sorted(asked), found)
        names("files.example", "only-in-hosts")
        '
        """

    private func asked(_ environment: [String: String]) async throws -> String {
        let folder = NSTemporaryDirectory() + "postern-names-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let run = try await ForwardCommand(
            path: "/usr/bin/unshare", arguments: ["-mn", "/bin/sh", "-c", Self.script, "names", folder], environment: environment
        ).run()
        try #require(run.status == 0, "\(run.errors)")
        return run.output
    }

    @Test("a name is never looked up below the host's own domain; the host's own names are found")
    func absolute() async throws {
        #expect(try await asked([:]) == "files.example files.example.corp.example [False, True]\n", "the attack works without the measure")
        #expect(try await asked([SystemResolver.environment.name: SystemResolver.environment.value]) == "files.example [False, True]\n")
    }
}
