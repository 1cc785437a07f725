import Glibc
import PosternJSON
import PosternSandboxWire

/// One call of a file tool, in its own process.
struct FileTool {
    let roots: ToolRoots
    let store: OutputStore
    /// Characters above which a text is not shown whole.
    let threshold: Int
    /// Event id of the call; names an offload file.
    let call: String
    let environment: [String]

    /// Bytes of text that `read` shows and `edit` changes at most.
    static let textLimit = 262_144

    func run(_ request: ToolRequest) -> ToolAnswer {
        do throws(ToolFailure) {
            switch request.name {
            case "read": return try read(request.input)
            case "write": return try write(request.input)
            case "edit": return try edit(request.input)
            case "glob": return try glob(request.input)
            case "grep": return try grep(request.input)
            default: throw ToolFailure("\(request.name): no such tool; there are bash, read, write, edit, glob and grep")
            }
        } catch {
            var answer = ToolAnswer(text: error.text, isError: true)
            answer.refusal = error.refusal
            return answer
        }
    }

    /// Opens the regular file `path` for reading or changing. Anything else is refused before a byte of it is read.
    func openRegular(_ tool: String, _ path: String, _ resolved: ToolRoots.Resolved, _ flags: Int32) throws(ToolFailure) -> (
        descriptor: Int32, size: Int
    ) {
        // A device or a FIFO is not even opened.
        guard let before = Posix.status(AT_FDCWD, resolved.bytes, follow: false) else { throw ToolFailure(tool, path, code: errno) }
        guard Posix.isKind(before, S_IFREG) else { throw ToolFailure("\(tool): \(path): not a regular file") }
        let descriptor: Int32
        do throws(SystemFailure) {
            descriptor = try ToolRoots.open(resolved, flags)
        } catch {
            throw ToolFailure(tool, path, code: error.code)
        }
        guard let info = Posix.status(descriptor), Posix.isKind(info, S_IFREG) else {
            close(descriptor)
            throw ToolFailure("\(tool): \(path): not a regular file")
        }
        return (descriptor, Int(info.st_size))
    }

    /// The whole file, at most `limit` bytes of it and one more, should it have grown.
    func contents(_ tool: String, _ path: String, _ descriptor: Int32, limit: Int) throws(ToolFailure) -> [UInt8] {
        var bytes: [UInt8] = []
        var failure: Int32?
        bytes = [UInt8](unsafeUninitializedCapacity: limit + 1) { buffer, count in
            if let read = Posix.read(descriptor, into: UnsafeMutableRawBufferPointer(buffer)) { count = read } else { failure = errno }
        }
        if let failure { throw ToolFailure(tool, path, code: failure) }
        return bytes
    }
}
