import Logging
import ManagedAgentsAPI
import ManagedAgentsClient
import PosternJSON
import Synchronization

/// Polls and hands items over (contract, section 6.3).
struct Poller: Sendable {
    let server: ItemServer
    let registry: SessionRegistry
    private let machine: Box

    /// The machine, shared with the tasks that acknowledge. After a failed acknowledgement no poll is made before `notBefore`.
    private final class Box: Sendable {
        let state: Mutex<(machine: PollMachine, notBefore: Duration)>
        init(drains: Bool) { state = Mutex((PollMachine(drains: drains), .zero)) }
    }

    init(server: ItemServer, registry: SessionRegistry, drains: Bool) {
        self.server = server
        self.registry = registry
        machine = Box(drains: drains)
    }

    private var pacing: Pacing { server.configuration.pacing }
    private var metrics: WorkerMetrics { server.metrics }

    /// Until the task is cancelled or the queue is drained; otherwise the error that ended it.
    func run() async -> ClientError? {
        defer { metrics.set(.stopped) }
        while !Task.isCancelled {
            if await registry.isFull { metrics.set(.full) }
            await registry.slot()
            if Task.isCancelled { return nil }
            let pause = machine.state.withLock { $0.notBefore } - pacing.now()
            if pause > .zero {
                metrics.set(.waiting)
                do { try await pacing.sleep(pause) } catch { return nil }
                continue
            }
            metrics.set(.polling)
            let answer: PollMachine.Answer
            var failure: ClientError?
            do throws(ClientError) {
                let poll = try await server.client.pollWork(
                    environment: server.configuration.environmentID, workerID: server.state.workerID,
                    holdSeconds: server.configuration.drain ? nil : server.configuration.pollHoldSeconds, retry: RetryPolicy.none)
                answer = poll.item == nil ? .empty(held: poll.isHeld) : .item
                metrics.polled(poll.item == nil ? .empty : .item, at: Timestamp.now())
                if let object = poll.item { await take(object, poll) }
            } catch {
                if error.isCancellation || Task.isCancelled { return nil }
                server.logger.warning("poll failed: \(error)")
                metrics.polled(.failed, at: Timestamp.now())
                answer = error.isFatal ? .fatal : .transient(retryAfter: error.retryAfter)
                failure = error
            }
            switch machine.state.withLock({ $0.machine.polled(answer, random: pacing.random()) }) {
            case .poll: continue
            case .wait(let duration):
                metrics.set(.waiting)
                do { try await pacing.sleep(duration) } catch { return nil }
            case .finished: return nil
            case .failed: return failure
            }
        }
        return nil
    }

    private func take(_ object: JSONObject, _ poll: ManagedAgentsClient.Poll) async {
        guard
            let item = WorkItem(
                polled: object, environmentID: server.configuration.environmentID, repeatsCalls: poll.repeatsCalls,
                policyFragment: poll.policyFragment)
        else {
            server.logger.warning("a polled item has no id and is ignored")
            return
        }
        let acknowledged = Signal()
        let server = server
        await registry.start(item) { superseded in
            _ = await server.serve(item, superseded: superseded) {
                defer { acknowledged.fire() }
                return await acknowledge(item)
            }
            acknowledged.fire()
        }
        // Elsewhere the next poll follows the acknowledgement, as the official worker's does.
        if !poll.isHeld { await withCheckedContinuation { done in acknowledged.onFire { done.resume() } } }
    }

    private func acknowledge(_ item: WorkItem) async -> Bool {
        let answer: PollMachine.AckAnswer
        do throws(ClientError) {
            _ = try await server.client.ackWork(item.id, environment: item.environmentID)
            answer = .done
        } catch {
            server.logger.warning("item \(item.id) could not be acknowledged: \(error)")
            answer = error.isFatal ? .fatal : .transient(retryAfter: error.retryAfter)
        }
        let now = pacing.now()
        let random = pacing.random()
        let step = machine.state.withLock { state in
            let step = state.machine.acknowledged(answer, random: random)
            if case .drop(let wait) = step { state.notBefore = now + wait }
            return step
        }
        switch step {
        case .serve: return true
        case .drop: return false
        case .forceStop:
            do throws(ClientError) {
                _ = try await server.client.stopWork(item.id, environment: item.environmentID, force: true)
            } catch {
                if error.status != 409 { server.logger.warning("the item could not be stopped: \(error)") }
            }
            return false
        }
    }
}
