import ArgumentParser
import PosternJSON
import PosternPolicy
import PosternWorker
import UnixSignals

/// `postern sandbox egress`
struct SandboxEgressCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "egress", abstract: "Follow what a worker on this machine lets out and refuses, or learn a policy from it.",
        discussion: """
            It speaks to the worker through its state folder, for the worker's user and root only, and changes no decision. A follower that is slow
            misses lines, and says how many. It ends with the worker, after --for, or by Ctrl-C.

            With --learn, what no rule allows is read as far as its request, and refused then. At the end the policy is printed that would allow it.

            Example: postern sandbox egress --follow --session sesn_01
            Example: postern sandbox egress --learn --for 10m > learned.yaml
            """)

    @Flag(name: .long, help: "Show each decision as it is made.")
    var follow = false

    @Flag(name: .long, help: "Print the policy that would allow what was refused, at the end.")
    var learn = false

    @Option(name: .long, help: ArgumentHelp("One session only.", valueName: "id"))
    var session: String?

    @Option(name: .customLong("for"), help: ArgumentHelp("How long, such as 30s or 10m.", valueName: "time"))
    var time: String?

    @OptionGroup var control: WorkerControl

    func validate() throws {
        guard follow || learn else { throw ValidationError("what is to be done? Give --follow, --learn, or both") }
        guard !learn || !control.json else { throw ValidationError("a policy is printed as YAML: --json is for --follow alone") }
        if let time, Quantity.milliseconds(time) == nil {
            throw ValidationError("--for must be a time with its unit, such as 30s or 10m, not \(time)")
        }
    }

    private enum Event: Sendable {
        case ended(Result<EgressFollowing.End, LocalControlError>)
        case stopped
    }

    func run() async throws {
        let following = EgressFollowing(stateFolder: try control.folder())
        let learner = SharedLearner(base: nil)
        let (events, feed) = AsyncStream.makeStream(of: Event.self)
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let tasks = [
            Task { [self] in _ = feed.yield(.ended(await read(following, learner))) },
            Task {
                for await _ in signals { break }
                _ = feed.yield(.stopped)
            },
        ]
        let timer = time.flatMap(Quantity.milliseconds).map { limit in
            Task {
                do { try await Task.sleep(for: .milliseconds(limit)) } catch { return }
                feed.yield(.stopped)
            }
        }
        var iterator = events.makeAsyncIterator()
        let event = await iterator.next() ?? .stopped
        // Nobody waits for a reader that is held up by its own output.
        following.stop()
        for task in tasks { task.cancel() }
        timer?.cancel()
        try finish(event, learner)
    }

    private func read(_ following: EgressFollowing, _ learner: SharedLearner) async -> Result<EgressFollowing.End, LocalControlError> {
        let terminal = Terminal()
        do throws(LocalControlError) {
            let end = try await following.run(session: session, learns: learn) { [follow, learn, json = control.json] line in
                if learn { learner.take(line) }
                guard follow else { return }
                let text = json ? line.json.text : EgressLineRenderer(terminal: terminal).render(line)
                // The policy has standard output to itself.
                if learn { terminal.note(text) } else { terminal.print(text) }
            }
            return .success(end)
        } catch {
            return .failure(error)
        }
    }

    private func finish(_ event: Event, _ learner: SharedLearner) throws {
        let terminal = Terminal()
        if case .ended(.failure(let error)) = event { throw CommandError(.unavailable, error.description) }
        if learn { terminal.put(learner.document) }
        switch event {
        case .ended(.success(.worker)): terminal.note("The worker has ended.")
        case .ended(.success(.lost)): throw CommandError(.unavailable, "the worker is gone without a word")
        case .ended, .stopped: break
        }
    }
}
