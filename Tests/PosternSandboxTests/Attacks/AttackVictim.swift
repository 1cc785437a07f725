import Glibc
import PosternJSON
import PosternSandbox

/// A process of the host, beside the sandbox, that has all that the attacks are after: files, sockets, keys, memory.
final class AttackVictim {
    /// For the attack suite.
    let aims: JSONObject
    let folder: String
    let name: String
    private let input: Int32
    private let pid: pid_t

    /// The secret never stands in the aims: they say it backwards.
    init(_ column: AttackColumn) throws {
        name = "postern-aim-\(getpid())-\(column.rawValue)"
        // Not below /tmp, which every sandbox has for its own, Landlock's rules say.
        folder = "/var/tmp/\(name)"
        guard mkdir(folder, 0o700) == 0, geteuid() != 0 || chown(folder, column.victim, column.victim) == 0 else {
            throw SandboxError(.refused, "mkdir \(folder)")
        }
        let mark = String((0..<24).map { _ in "abcdefghijkmnpqrstuvwxyz".randomElement() ?? "a" })
        var command = ["/usr/bin/python3", AttackScripts.folder + "/victim.py", folder, mark, name]
        if geteuid() == 0 {
            command = ["/usr/bin/setpriv", "--reuid", "\(column.victim)", "--regid", "\(column.victim)", "--clear-groups"] + command
        }
        var toChild: [Int32] = [-1, -1]
        var fromChild: [Int32] = [-1, -1]
        guard pipe(&toChild) == 0, pipe(&fromChild) == 0 else { throw SandboxError(.refused, "pipe") }
        for descriptor in toChild + fromChild { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, toChild[0], 0)
        posix_spawn_file_actions_adddup2(&actions, fromChild[1], 1)
        defer { posix_spawn_file_actions_destroy(&actions) }
        var arguments = command.map { strdup($0) } + [nil]
        // What other processes must not find: in its environment too.
        var environment = [strdup("AIM_SECRET=\(String(mark.reversed()))"), strdup("HOME=\(folder)/home"), nil]
        defer { for pointer in arguments + environment { free(pointer) } }
        var pid = pid_t()
        let status = posix_spawn(&pid, command[0], &actions, nil, &arguments, &environment)
        close(toChild[0])
        close(fromChild[1])
        self.pid = pid
        input = toChild[1]
        defer { close(fromChild[0]) }
        guard status == 0 else { throw SandboxError(.refused, "the victim cannot be started: \(command[0])") }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !text.contains(0x0A) {
            let count = read(fromChild[0], &buffer, buffer.count)
            guard count > 0 else { throw SandboxError(.refused, "the victim did not start") }
            text += buffer[..<count]
        }
        guard let object = try JSON(parsing: text[..<(text.firstIndex(of: 0x0A) ?? 0)]).object else { throw SandboxError(.refused, "no aims") }
        aims = object
    }

    /// What attacks have left or changed in its folders; empty when nothing.
    var damage: [String] {
        var found = AttackScripts.names(in: folder + "/outside").filter { $0 != "kept" }.map { "made outside/\($0)" }
        found += AttackScripts.names(in: folder + "/home").filter { $0 != ".ssh" }.map { "made home/\($0)" }
        if Processes.text(folder + "/outside/kept")?.isEmpty != false { found.append("emptied outside/kept") }
        var info = stat()
        if stat(folder + "/outside", &info) != 0 || info.st_mode & 0o777 != 0o700 { found.append("changed the mode of outside") }
        return found
    }

    func end() {
        close(input)
        waitpid(pid, nil, 0)
        AttackScripts.remove(folder)
    }
}
