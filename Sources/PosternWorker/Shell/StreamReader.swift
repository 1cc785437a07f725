import Logging
import ManagedAgentsClient
import PosternJSON

/// Attaches to a session's stream and keeps attached (contract, section 7.1): stream first, then the whole list, then live events. The
/// live ones wait in the socket meanwhile.
struct StreamReader: Sendable {
    enum Found: Sendable {
        case history([JSON])
        case historyFailed
        case live(StreamedEvent)
        /// The session cannot be read any more.
        case detached(ClientError)
    }

    let sessionID: String
    let client: ManagedAgentsClient
    let pacing: Pacing
    let logger: Logger

    /// Runs until detached or cancelled. `mayBegin` decides, once the first stream is open, whether the log is to be acted on.
    func run(mayBegin: () async -> Bool, _ found: (Found) -> Void) async {
        var backoff = ReconnectBackoff()
        var hasBegun = false
        while !Task.isCancelled {
            do throws(ClientError) {
                let stream = try await client.streamEvents(session: sessionID)
                if !hasBegun {
                    guard await mayBegin() else { return }
                    hasBegun = true
                }
                await readHistory(found)
                for try await event in stream {
                    backoff.receivedEvent()
                    found(.live(event))
                }
                logger.debug("the event stream ended")
            } catch {
                if error.isCancellation || Task.isCancelled { return }
                if error.isFatal { return found(.detached(error)) }
                logger.info("event stream: \(error)")
            }
            do { try await pacing.sleep(backoff.failed()) } catch { return }
        }
    }

    private func readHistory(_ found: (Found) -> Void) async {
        do throws(ClientError) {
            found(.history(try await client.list("/v1/sessions/\(sessionID)/events", query: ["limit": "1000"])))
        } catch {
            if error.isCancellation { return }
            logger.warning("the session's events cannot be listed: \(error)")
            found(.historyFailed)
        }
    }
}
