import Dispatch

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Says when a file was written to or got another name, without looking again and again.
package enum FileWatch {
    /// An element for one or more changes since the last one; what happened must be looked at. Watching ends with the stream.
    package static func changes(of path: String) throws(FileError) -> AsyncStream<Void> {
        #if os(Linux)
        let descriptor = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
        guard descriptor >= 0 else { throw FileError("watch", path) }
        guard inotify_add_watch(descriptor, path, UInt32(IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF)) >= 0 else {
            let error = FileError("watch", path)
            close(descriptor)
            throw error
        }
        let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: DispatchQueue(label: "postern.file-watch"))
        let drain: @Sendable () -> Void = {
            var buffer = [UInt8](repeating: 0, count: 4096)
            while read(descriptor, &buffer, buffer.count) > 0 {}
        }
        #else
        let descriptor = open(path, O_EVTONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError("watch", path) }
        let source = DispatchSource.makeFileSystemObjectSource(
            fileDescriptor: descriptor, eventMask: [.write, .extend, .rename, .delete], queue: DispatchQueue(label: "postern.file-watch"))
        let drain: @Sendable () -> Void = {}
        #endif
        let (stream, feed) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        source.setEventHandler {
            drain()
            feed.yield()
        }
        source.setCancelHandler { close(descriptor) }
        // Dispatch objects may be used from any thread, and cancelling is all that is done with it elsewhere.
        nonisolated(unsafe) let cancelled = source
        feed.onTermination = { _ in cancelled.cancel() }
        source.resume()
        return stream
    }
}
