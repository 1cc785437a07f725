import Glibc
import PosternJSON
import PosternSandboxWire

/// What goes into a call and comes out of it, as it is on the control socket.
extension RunningSandbox {
    /// An event id that can be the name of an offload file.
    static func isFileName(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count) && text.utf8.first != UInt8(ascii: ".")
            && text.utf8.allSatisfy { byte in
                byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") || (0x30...0x39).contains(byte)
                    || (0x61...0x7A).contains(byte | 0x20)
            }
    }

    /// The outcome in the message, or in the memory file that came with it.
    static func outcome(of message: ControlMessage) throws(SandboxError) -> JSON {
        if let inline = message.body["outcome"] { return inline }
        guard let size = message.body["outcome_bytes"]?.int, (1...MemoryFile.largest).contains(size), let file = message.descriptors.first else {
            throw SandboxError(.lost, "the sandbox gave an answer without an outcome")
        }
        guard let outcome = MemoryFile.json(file, size: size) else { throw SandboxError(.lost, "the sandbox gave an unreadable outcome") }
        return outcome
    }
}
