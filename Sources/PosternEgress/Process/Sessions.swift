import CPosternSandbox
import Logging
import NIOCore
import PosternPolicy
import PosternSandboxWire

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Does what the worker says, session by session.
struct Sessions: Sendable {
    let socket: ControlSocket
    let group: any EventLoopGroup
    let resolve: NameResolver
    let logger: Logger

    private struct Running {
        let proxy: SessionProxy
        let stop: AsyncStream<Never>.Continuation
        let listeners: AsyncStream<Listening>.Continuation
    }

    /// A listening socket and what it serves.
    private struct Listening {
        let listener: EgressCommand.Listener
        let descriptor: Int32
    }

    /// Until the worker is gone.
    func run() async {
        let socket = socket
        let reporter = EgressReporter { socket.send(ControlMessage($0.json)) }
        await withDiscardingTaskGroup { tasks in
            var sessions: [String: Running] = [:]
            for await message in socket.messages {
                let command: EgressCommand
                do throws(PolicyValueError) {
                    command = try EgressCommand(message.body, descriptors: message.descriptors)
                } catch {
                    message.descriptors.forEach { _ = close($0) }
                    reporter.post(.failure(session: "", reason: "the worker's message is not understood: \(error)"))
                    continue
                }
                switch command {
                case .configure(let configuration):
                    guard sessions[configuration.session] == nil else {
                        reporter.post(.failure(session: configuration.session, reason: "the session is served already"))
                        continue
                    }
                    guard let (proxy, listeners, stopped) = start(configuration, reporter) else { continue }
                    sessions[configuration.session] = Running(proxy: proxy, stop: stopped.continuation, listeners: listeners.continuation)
                    tasks.addTask { await serve(proxy, listeners.stream, until: stopped.stream, reporter) }
                    reporter.post(.ready(session: configuration.session, certificate: proxy.context.authority.certificate))
                case .listen(let session, let listener, let descriptor):
                    guard let running = sessions[session] else {
                        _ = close(descriptor)
                        continue
                    }
                    running.listeners.yield(Listening(listener: listener, descriptor: descriptor))
                case .recorded(let id): reporter.resolve(id: id, nil)
                case .answer(let id, let bytes): reporter.resolve(id: id, bytes)
                case .narrow(let session, let policy, let digest): sessions[session]?.proxy.context.narrow(to: policy, digest: digest)
                case .day(let session, let used): sessions[session]?.proxy.context.setDay(used: used)
                case .secrets(let session, let bindings): sessions[session]?.proxy.context.narrow(secrets: bindings)
                case .rotate(let session, let secret):
                    // One that cannot be masked beside the others must not be sent.
                    if sessions[session]?.proxy.context.rotate(secret) == false {
                        reporter.post(.failure(session: "", reason: "the new value of \"\(secret.binding.name)\" is part of another secret's"))
                    }
                case .suspend(let session, let name): sessions[session]?.proxy.context.suspend(secret: name)
                case .forwards(let session, let forwards): sessions[session]?.proxy.forwards.keep(only: forwards)
                case .password(let session, let forward, let value): sessions[session]?.proxy.forwards.setPassword(forward, value)
                case .pause(let session):
                    hold(sessions[session], true) { reporter.post(.paused(session: session, true)) }
                case .resume(let session):
                    hold(sessions[session], false) { reporter.post(.paused(session: session, false)) }
                case .redaction(let session, let rules):
                    do {
                        try sessions[session]?.proxy.context.setRedaction(rules)
                    } catch {
                        reporter.post(.failure(session: "", reason: "the redaction rules cannot be used: \(error)"))
                    }
                case .learn(let session, let learns): sessions[session]?.proxy.context.setLearning(learns)
                case .stop(let session): sessions.removeValue(forKey: session)?.stop.finish()
                }
            }
            reporter.close()
            tasks.cancelAll()
        }
    }

    /// Commands to other sessions do not wait for this one's connections.
    private func hold(_ running: Running?, _ isPaused: Bool, then done: @escaping @Sendable () -> Void) {
        guard let gate = running?.proxy.context.gate else { return done() }
        if isPaused { gate.pause(then: done) } else { gate.resume(then: done) }
    }

    private func start(
        _ configuration: EgressConfiguration, _ reporter: EgressReporter
    ) -> (
        SessionProxy, (stream: AsyncStream<Listening>, continuation: AsyncStream<Listening>.Continuation),
        (stream: AsyncStream<Never>, continuation: AsyncStream<Never>.Continuation)
    )? {
        do {
            let proxy = try SessionProxy(configuration, group: group, resolve: resolve, reporter: reporter, logger: logger)
            return (proxy, AsyncStream.makeStream(), AsyncStream.makeStream())
        } catch {
            reporter.post(.failure(session: configuration.session, reason: "the session cannot be served: \(error)"))
            return nil
        }
    }

    /// Serves every listener of a session until the session is stopped or the task cancelled.
    private func serve(
        _ proxy: SessionProxy, _ listeners: AsyncStream<Listening>, until stopped: AsyncStream<Never>, _ reporter: EgressReporter
    ) async {
        await withDiscardingTaskGroup { tasks in
            tasks.addTask {
                await withDiscardingTaskGroup { inner in
                    for await listening in listeners {
                        inner.addTask {
                            do {
                                try await proxy.serve(listening.listener, listening.descriptor)
                            } catch {
                                reporter.post(.failure(session: proxy.context.session, reason: "listener \(listening.listener.text) ended: \(error)"))
                            }
                        }
                    }
                }
            }
            for await _ in stopped {}
            tasks.cancelAll()
        }
        proxy.context.end()
    }
}
