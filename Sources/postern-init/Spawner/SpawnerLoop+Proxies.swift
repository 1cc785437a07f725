import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire

extension SpawnerLoop {
    /// Starts a proxy process on the control socket that came with the message: of a root spawner as a user of its own, which is no session's and
    /// no other proxy's. It ends with its socket, or with this process.
    func startProxy(_ message: ControlMessage) throws(SpawnerFailure) {
        guard let program = run.proxyProgram else { throw SpawnerFailure(text: "this spawner was started without a proxy program") }
        guard let control = message.descriptors.first else { throw SpawnerFailure(text: "proxy takes a control socket") }
        let user = try takeProxyUser()
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(null) }
        var launch = ProcessStart(
            path: program, arguments: ["postern", "egress"], descriptors: [null, null, 2, control], dieWithParent: true,
            ignoresTermination: true)
        if isRoot { (launch.user, launch.group) = (user, user) }
        do throws(SystemFailure) {
            proxies[try launch.start()] = user
        } catch {
            proxyUsers?.giveBack(user, isSwept: true)
            throw SpawnerFailure(text: error.text)
        }
        self.control.send(["type": "done", "id": JSON(message.body["id"]?.int ?? 0)])
    }

    private func takeProxyUser() throws(SpawnerFailure) -> uid_t {
        guard let proxyUsers else { return geteuid() }
        do throws(SessionUsers.Refusal) {
            if let user = try proxyUsers.takeAny(except: []) { return user }
        } catch {
            throw SpawnerFailure(text: "no user can be held for a proxy: \(error)")
        }
        throw SpawnerFailure(text: "every user for proxies is in use")
    }

    /// A proxy, or the process that looked for what it left, has ended; whether `pid` was one.
    func proxyEnded(_ pid: pid_t, isClean: Bool) -> Bool {
        if let user = proxies.removeValue(forKey: pid) {
            if let sweep = proxyUsers?.sweep(user) { proxySweeps[sweep] = user } else { proxyUsers?.giveBack(user, isSwept: true) }
            return true
        }
        guard let user = proxySweeps.removeValue(forKey: pid) else { return false }
        proxyUsers?.giveBack(user, isSwept: isClean)
        return true
    }
}
