import NIOCore
import NIOPosix

/// Runs tasks on the event loops, each where it was made or woken. A task that prefers this executor goes on in one go where it calls another
/// asynchronous function; one that an event loop runs as the global executor goes back into the loop's queue there, every time.
final class EventLoopExecutor: TaskExecutor {
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        // The present loop, where there is one.
        MultiThreadedEventLoopGroup.singleton.any().execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
