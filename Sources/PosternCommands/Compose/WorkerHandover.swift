import CPosternSandbox
import PosternJSON
import PosternPolicy
import PosternSandbox
import PosternSandboxWire

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What a worker that was started as root hands to itself when it executes itself again as an ordinary user: what only root could read, and
/// the spawner. It goes through a memory file that has no name and is closed once it is read; nothing of it is in arguments or environment.
struct WorkerHandover: Sendable {
    /// Secrets of the environment, by variable.
    var secrets: [String: String] = [:]
    var environmentKey: String?
    var configuration: PolicySet.File?
    var policies: [PolicySet.File] = []
    /// What policies may not open.
    var policyDenials: [String] = []
    /// Settings that name folders, without links, by the key's name.
    var folders: [String: String] = [:]
    var ownFiles: [String] = []
    var served: ServedPlaces
    var spawner: Spawner.Started

    private static let mark = Configuration.ReservedVariable.handoverDescriptor.rawValue

    /// What this process was handed, once; `nil` in one that was not.
    static func received(_ environment: [String: String]) throws(CommandError) -> WorkerHandover? {
        guard let text = environment[mark] else { return nil }
        unsetenv(mark)
        guard let descriptor = Int32(text), descriptor > 2, geteuid() != 0 else {
            throw CommandError(.configuration, "\(mark) is for the program's own use")
        }
        defer { close(descriptor) }
        guard let json = try? JSON(parsing: SecretHandover.contents(descriptor)), let handover = WorkerHandover(json: json) else {
            throw CommandError(.configuration, "what the worker handed to itself cannot be read")
        }
        _ = fcntl(handover.spawner.socket, F_SETFD, FD_CLOEXEC)
        return handover
    }

    /// Goes on as `user`, in this program from its beginning, in the same process: who watches over it sees no change but the user.
    func execute(as user: WorkerUser, environment: [String: String], arguments: [String] = CommandLine.arguments) throws(CommandError) -> Never {
        let file = psb_memory_file("handover")
        guard file >= 0, Self.write(json.encoded, file), lseek(file, 0, SEEK_SET) == 0 else {
            throw CommandError(.failure, "the worker's settings cannot be handed over: \(String(cString: strerror(errno)))")
        }
        for descriptor in [file, spawner.socket] { _ = fcntl(descriptor, F_SETFD, 0) }
        let result = psb_give_up_privileges(user.number, user.group, user.groups, user.groups.count)
        guard result == 0 else {
            throw CommandError(
                .failure,
                "the worker cannot become user \(user.number): \(String(cString: strerror(-result))). "
                    + "Name a user that this machine or container has with --user, or keep it root with --user root")
        }
        var environment = environment.merging(user.variables) { $1 }
        environment[Self.mark] = String(file)
        throw SecretHandover.execute(environment, arguments, what: "as user \(user.number)")
    }

    private static func write(_ bytes: [UInt8], _ file: Int32) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { systemWrite(file, UnsafeRawBufferPointer(rebasing: $0[done...])) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    // MARK: JSON

    private var json: JSON {
        var object = JSONObject()
        object["secrets"] = Self.object(secrets)
        object["environment_key"] = environmentKey.map(JSON.string)
        object["configuration"] = configuration.map { Self.encoded($0) }
        object["policies"] = .array(policies.map { Self.encoded($0) })
        object["policy_denials"] = Self.list(policyDenials)
        object["folders"] = Self.object(folders)
        object["own_files"] = Self.list(ownFiles)
        object["user"] = JSON(Int(served.user))
        object["trees"] = Self.list(served.trees.map(\.text))
        object["files"] = Self.list(served.files)
        object["denied"] = Self.list(served.denied)
        object["no_sandbox"] = .bool(served.allowsNoSandbox)
        object["pid"] = JSON(Int(spawner.processID))
        object["socket"] = JSON(Int(spawner.socket))
        return .object(object)
    }

    private init?(json: JSON) {
        guard let user = json["user"]?.int.flatMap({ UInt32(exactly: $0) }), let pid = json["pid"]?.int.flatMap({ Int32(exactly: $0) }),
            let socket = json["socket"]?.int.flatMap({ Int32(exactly: $0) }), let policies = json["policies"]?.array
        else { return nil }
        secrets = Self.texts(json["secrets"])
        environmentKey = json["environment_key"]?.string
        configuration = json["configuration"].flatMap { Self.file($0) }
        self.policies = policies.compactMap { Self.file($0) }
        policyDenials = Self.list(json["policy_denials"])
        folders = Self.texts(json["folders"])
        ownFiles = Self.list(json["own_files"])
        served = ServedPlaces(
            user: user, trees: Self.list(json["trees"]).compactMap { ServedTree($0) }, files: Self.list(json["files"]),
            denied: Self.list(json["denied"]), allowsNoSandbox: json["no_sandbox"]?.bool ?? false)
        spawner = Spawner.Started(processID: pid, socket: socket)
        guard self.policies.count == policies.count else { return nil }
    }

    init(served: ServedPlaces, spawner: Spawner.Started) {
        self.served = served
        self.spawner = spawner
    }

    private static func encoded(_ file: PolicySet.File) -> JSON { ["name": .string(file.name), "text": .string(file.text)] }
    private static func file(_ json: JSON) -> PolicySet.File? {
        guard let name = json["name"]?.string, let text = json["text"]?.string else { return nil }
        return PolicySet.File(name: name, text: text)
    }
    private static func list(_ texts: [String]) -> JSON { .array(texts.map(JSON.string)) }
    private static func list(_ json: JSON?) -> [String] { (json?.array ?? []).compactMap(\.string) }
    private static func object(_ texts: [String: String]) -> JSON {
        .object(JSONObject(texts.sorted { $0.key < $1.key }.map { ($0.key, JSON.string($0.value)) }))
    }
    private static func texts(_ json: JSON?) -> [String: String] {
        Dictionary((json?.object ?? [:]).compactMap { pair in pair.value.string.map { (pair.key, $0) } }) { $1 }
    }
}

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int { write(descriptor, bytes.baseAddress, bytes.count) }
