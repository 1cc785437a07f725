import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire

/// The control socket of a single-threaded role: frames in, frames out, never blocking.
struct ControlSocket {
    let descriptor: Int32
    private var reader: FrameReader
    private var writer = FrameWriter()

    init(descriptor: Int32, maximumLength: Int) {
        self.descriptor = descriptor
        reader = FrameReader(maximumLength: maximumLength)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }

    var hasUnsent: Bool { !writer.isEmpty }

    /// Queues a message and sends what the socket takes. The message's descriptors are closed once sent.
    mutating func send(_ body: JSON, descriptors: [Int32] = []) {
        writer.append(ControlMessage(body, descriptors: descriptors))
        flush()
    }

    mutating func flush() {
        let descriptor = descriptor
        let sent = writer.flush { bytes, descriptors in max(0, psb_send(descriptor, bytes.baseAddress, bytes.count, descriptors, descriptors.count)) }
        for descriptor in sent { close(descriptor) }
    }

    /// Receives once. `false` when the peer is gone.
    mutating func receive() -> Bool {
        var count = 0
        var descriptors = [Int32](repeating: -1, count: Int(PSB_MAXIMUM_DESCRIPTORS))
        return withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) { buffer in
            let received = psb_receive(descriptor, buffer.baseAddress, buffer.count, &descriptors, &count)
            if received == -Int(EAGAIN) { return true }
            guard received > 0 else { return false }
            reader.append(UnsafeRawBufferPointer(rebasing: buffer[..<received]), descriptors: descriptors[..<count])
            return true
        }
    }

    mutating func next() throws(FrameError) -> ControlMessage? { try reader.next() }
}
