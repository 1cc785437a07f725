import Glibc
import PosternJSON
import PosternSandboxWire
import Testing

@testable import PosternSandbox

/// A worker that is not root has been taken over and asks its root spawner for what its own user cannot do.
@Suite(.enabled(if: geteuid() == 0)) struct WorkerRightsTests {
    /// A spawner of root's for user `Mode.userID`, and what it serves.
    struct Perimeter {
        let spawner: Spawner
        let scratch: Scratch
        var own: String { scratch.path + "/own" }
        var served: ServedPlaces

        static func with(_ body: (Perimeter) async throws -> Void) async throws {
            let scratch = try Scratch()
            for (name, owner) in [("own", Mode.userID), ("read", 0), ("write", 0), ("closed", 0), ("other", 0)] {
                mkdir("\(scratch.path)/\(name)", name == "closed" ? 0o700 : 0o755)
                chown("\(scratch.path)/\(name)", owner, owner)
            }
            for name in ["read/text", "write/text", "other/text", "closed/secret", "closed/unnamed", "write/private"] {
                try text("\(name)\n", "\(scratch.path)/\(name)")
            }
            try text("bound\n", "\(scratch.path)/own/mine")
            symlink("\(scratch.path)/closed", "\(scratch.path)/write/link")
            symlink("\(scratch.path)/closed/secret", "\(scratch.path)/closed/link")
            mkfifo("\(scratch.path)/closed/fifo", 0o600)
            try text("another's\n", "\(scratch.path)/closed/another")
            chown("\(scratch.path)/closed/another", 4_321, 4_321)
            var served = ServedPlaces(user: Mode.userID)
            served.trees = [
                ServedTree(path: "\(scratch.path)/read", isWritable: false), ServedTree(path: "\(scratch.path)/write", isWritable: true),
                ServedTree(path: "\(scratch.path)", isWritable: false),
            ]
            served.files = ["secret", "link", "fifo", "another", "missing"].map { "\(scratch.path)/closed/\($0)" }
            served.denied = ["\(scratch.path)/write/private"]
            var configuration = Spawner.Configuration()
            configuration.served = served
            let spawner = try await Spawner.connect(Spawner.start(configuration), served: served)
            try await body(Perimeter(spawner: spawner, scratch: scratch, served: served))
            await spawner.close()
            await scratch.remove(try await Spawners.of(.root))
        }

        private static func text(_ text: String, _ path: String) throws {
            let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
            defer { close(file) }
            try #require(file >= 0 && text.utf8.count == write(file, text, text.utf8.count))
        }

        func descriptor(_ path: String) throws -> Int32 {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            try #require(descriptor >= 0, "\(path)")
            return descriptor
        }

        /// A start order of a sandbox in the worker's own folder, changed by whoever has the worker.
        func start(_ change: (inout JSONObject, inout [Int32]) throws -> Void) async throws {
            var pair: [Int32] = [-1, -1]
            try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
            defer { close(pair[0]) }
            var order: JSONObject = [
                "type": "start", "driver": "bubblewrap", "mode": "rw", "limits": SandboxLimits().json, "workspace": "w", "outputs": "o", "binds": [],
            ]
            var descriptors = [pair[1], try descriptor(own), try descriptor(own)]
            try change(&order, &descriptors)
            _ = try await spawner.connection.request(order, descriptors: descriptors)
        }

        /// - Returns: why it was refused.
        func refusal(_ change: (inout JSONObject, inout [Int32]) throws -> Void) async throws -> String {
            do {
                try await start(change)
            } catch let error as SandboxError {
                return error.message
            }
            return "it was done"
        }
    }

    /// What is asked for as it should be is done, so that the refusals below are no accident.
    @Test func servesWhatWasNamed() async throws {
        try await Perimeter.with { perimeter in
            var spec = SandboxSpec(
                sessionID: "sesn_test", workspace: .managed(directory: perimeter.own + "/workspace"), toolOutputs: perimeter.own + "/outputs")
            spec.binds = [
                SandboxBind(hostPath: perimeter.scratch.path + "/read", path: "/srv/read"),
                SandboxBind(hostPath: perimeter.scratch.path + "/write/text", path: "/srv/text", isWritable: true),
            ]
            let sandbox = try await BubblewrapDriver(spawner: perimeter.spawner).start(spec)
            let told = try await sandbox.call(
                ToolInvocation(id: "a", name: "bash", input: ["command": "cat /srv/text; echo more >>/srv/text; ls /srv/read; touch /srv/read/x"]))
            #expect(told.text.contains("write/text") && told.text.contains("text") && told.text.contains("Read-only"), "\(told.text)")
            await sandbox.stop()
            let file = try #require(try await perimeter.spawner.openFile(perimeter.served.files[0]))
            defer { close(file) }
            var bytes = [UInt8](repeating: 0, count: 64)
            #expect(String(decoding: bytes[..<max(0, read(file, &bytes, 64))], as: UTF8.self) == "closed/secret\n")
            #expect(try await perimeter.spawner.openFile(perimeter.scratch.path + "/closed/unnamed") == nil)
            try await perimeter.spawner.removeFolder(perimeter.own + "/workspace")
            #expect(access(perimeter.own + "/workspace", F_OK) != 0)
        }
    }

    @Test func foldersOfOthersAreLeftAlone() async throws {
        try await Perimeter.with { perimeter in
            for path in [perimeter.scratch.path + "/closed", perimeter.scratch.path] {
                await #expect(throws: SandboxError.self) { try await perimeter.spawner.removeFolder(path + "/secret") }
                await #expect(throws: SandboxError.self) { try await perimeter.spawner.scanWorkspace(path + "/closed") }
                for place in 1...2 {
                    let refusal = try await perimeter.refusal { _, descriptors in
                        close(descriptors[place])
                        descriptors[place] = try perimeter.descriptor(path)
                    }
                    #expect(refusal.contains("belongs to user 0"), "\(refusal)")
                }
            }
            #expect(access(perimeter.scratch.path + "/closed/secret", F_OK) == 0 && access(perimeter.scratch.path + "/w", F_OK) != 0)
            // A folder of the worker's own in which others can put things is no better.
            chmod(perimeter.own, 0o777)
            let refusal = try await perimeter.refusal { _, _ in }
            #expect(refusal.contains("others can write"))
            chmod(perimeter.own, 0o755)
            mkdir(perimeter.own + "/c", 0o755)
            let lock = try ChangesLock(perimeter.own + "/c")
            let changes = await #expect(throws: SandboxError.self) {
                _ = try await perimeter.spawner.changes(ChangesOrder(.apply), in: lock, of: perimeter.own)
            }
            #expect(changes?.message.contains("does not take changes over") == true)
        }
    }

    /// Outputs are a session's own files in a folder of the worker's; through them nobody else's are read.
    @Test func outputsAreOpenedAndNothingElse() async throws {
        try await Perimeter.with { perimeter in
            let (outputs, owner) = (perimeter.own + "/outputs", UInt32(210_007))
            func make(_ folder: String, _ owner: UInt32) throws {
                for path in [outputs, folder] { mkdir(path, 0o700) }
                chown(outputs, Mode.userID, Mode.userID)
                try Files.write("said\n", to: folder + "/out.txt")
                for path in [folder, folder + "/out.txt"] { chown(path, owner, owner) }
            }
            let session = outputs + "/sesn_1"
            try make(session, owner)
            let file = try await perimeter.spawner.openOutput("out.txt", in: session)
            defer { close(file) }
            var bytes = [UInt8](repeating: 0, count: 64)
            #expect(String(decoding: bytes[..<max(0, read(file, &bytes, 64))], as: UTF8.self) == "said\n")
            #expect(fcntl(file, F_GETFL) & O_ACCMODE == O_RDONLY)

            let secret = perimeter.scratch.path + "/closed/secret"
            symlink(secret, session + "/link")
            try #require(link(secret, session + "/hard") == 0)
            try #require(link(session + "/out.txt", session + "/two") == 0)
            mkfifo(session + "/fifo", 0o600)
            chown(session + "/fifo", owner, owner)
            mkdir(session + "/folder", 0o755)
            try Files.write("root's\n", to: session + "/foreign")
            symlink(perimeter.scratch.path + "/closed", outputs + "/away")
            for (name, folder) in [
                ("link", session), ("hard", session), ("two", session), ("fifo", session), ("folder", session), ("foreign", session),
                ("missing", session), ("..", session), ("../closed/secret", session), ("", session), ("secret", outputs + "/away"),
                ("secret", perimeter.scratch.path + "/closed"), ("text", perimeter.scratch.path + "/read"),
            ] {
                await #expect(throws: SandboxError.self, "\(folder)/\(name)") { _ = try await perimeter.spawner.openOutput(name, in: folder) }
            }
            // Nor where the folder is of somebody who is no session.
            try make(outputs + "/sesn_2", 4_321)
            let other = await #expect(throws: SandboxError.self) { try await perimeter.spawner.openOutput("out.txt", in: outputs + "/sesn_2") }
            #expect(other?.message.contains("user 4321, which is no session's") == true)
        }
    }

    @Test func onlyNamedTreesAreShown() async throws {
        try await Perimeter.with { perimeter in
            func bind(_ tree: JSON?, writable: Bool = false, descriptor: String? = nil) async throws -> String {
                try await perimeter.refusal { order, descriptors in
                    var bind: JSONObject = ["path": "/srv/x", "writable": .bool(writable), "hidden": [], "protected": []]
                    bind["tree"] = tree
                    order["binds"] = [.object(bind)]
                    if let descriptor { descriptors.append(try perimeter.descriptor(descriptor)) }
                }
            }
            let closed = perimeter.scratch.path + "/closed"
            #expect(try await bind(nil, descriptor: closed).contains("none of the files and folders"))
            #expect(try await bind(["number": 0], descriptor: closed).contains("descriptors"))
            for number in [-1, 3, 1 << 40] { #expect(try await bind(["number": JSON(number)]).contains("none of the files and folders")) }
            #expect(try await bind(["number": 0], writable: true).contains("read only"))
            for below in ["../closed", "link", "link/secret", "/etc", "a/../../closed"] {
                #expect(try await bind(["number": 1, "below": .string(below)]).contains("cannot be opened"), "\(below)")
            }
            // By name, by another tree, and what it is in.
            for tree: JSON in [["number": 1, "below": "private"], ["number": 1], ["number": 2], ["number": 2, "below": "write/private"]] {
                #expect(try await bind(tree).contains("never shown"), "\(tree)")
            }
            // A workspace that is a folder of the host is a tree as well, and is written unless the order says otherwise.
            for mode: JSON? in ["rw", nil] {
                let refusal = try await perimeter.refusal { order, descriptors in
                    order["workspace"] = nil
                    order["mode"] = mode
                    order["workspace_tree"] = ["number": 0]
                    close(descriptors.remove(at: 1))
                }
                #expect(refusal.contains("read only"), "\(refusal)")
            }
            let refusal = try await perimeter.refusal { order, descriptors in
                order["workspace"] = nil
                close(descriptors[1])
                descriptors[1] = try perimeter.descriptor(closed)
            }
            #expect(refusal.contains("none of the files and folders"), "\(refusal)")
        }
    }

    @Test func nothingRunsWithoutASandbox() async throws {
        try await Perimeter.with { perimeter in
            let refusal = try await perimeter.refusal { order, _ in order["driver"] = "none" }
            #expect(refusal.contains("driver 'none'"))
        }
    }

    @Test func onlyNamedFilesAreRead() async throws {
        try await Perimeter.with { perimeter in
            for path in perimeter.served.files.dropFirst() {
                await #expect(throws: SandboxError.self, "\(path)") { _ = try await perimeter.spawner.openFile(path) }
            }
            for index in [-1, 5, 1 << 40] {
                await #expect(throws: SandboxError.self) {
                    _ = try await perimeter.spawner.connection.request(["type": "open", "file": JSON(index)], descriptors: [])
                }
            }
        }
    }
}
