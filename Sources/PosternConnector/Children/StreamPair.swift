import Glibc
import NIOCore
import NIOPosix
import PosternTunnelLink

/// Two ends of a connection within this process, so that a child is called as a server of the network is: with the kernel's bounds on what is
/// under way, and an end that each side sees.
enum StreamPair {
    static func make(on group: any EventLoopGroup) async throws -> (ByteStream, ByteStream) {
        var descriptors: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &descriptors) == 0 else { throw IOError(errnoCode: errno, reason: "socketpair") }
        let near: ByteStream
        do { near = try await stream(descriptors[0], group) } catch {
            close(descriptors[1])
            throw error
        }
        do { return (near, try await stream(descriptors[1], group)) } catch {
            near.close()
            throw error
        }
    }

    /// Takes the descriptor over.
    private static func stream(_ descriptor: Int32, _ group: any EventLoopGroup) async throws -> ByteStream {
        let channel = try await ClientBootstrap(group: group)
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .withConnectedSocket(descriptor).get()
        do { return try await ByteStream.attach(to: channel) } catch {
            channel.close(promise: nil)
            throw error
        }
    }
}
