import Crypto
import Foundation
import ManagedAgentsClient
import NIOCore
import NIOSSL
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire
import Testing

@testable import PosternMCP

/// Answers that come in pieces, over connections through a tunnel.
extension TunnelTransportTests {
    @Test func aStreamComesAsItIsSentAndItsEndKeepsTheConnection() async throws {
        let go = Gate()
        try await run { _, stream in
            var reader = MessageReader(stream)
            while try await reader.request() != nil {
                try await stream.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
                await go.wait()
                try await stream.send("9\r\ndata: 2\n\n\r\n0\r\n\r\n")
            }
        } _: { end, connections, transport in
            let request = ClientRequest(method: .post, target: "/mcp", headers: [:], body: [], timeout: .seconds(20))
            let answer = try await transport(nil).send(request)
            var body = answer.body.makeAsyncIterator()
            #expect(try await body.next() == Array("data: 1\n\n".utf8))
            go.open()
            #expect(try await body.next() == Array("data: 2\n\n".utf8))
            #expect(try await body.next() == nil)
            #expect(connections.idleCount == 1)
            #expect(await Self.post(transport(nil)) == .success("200 data: 1\n\ndata: 2\n\n"))
            #expect(end.connections == 1)
        }
    }

    @Test func whoeverStopsReadingAtTheResultKeepsTheConnection() async throws {
        let go = Gate()
        try await run { _, stream in
            var reader = MessageReader(stream)
            while try await reader.request() != nil {
                try await stream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
                await go.wait()
                try await stream.send("0\r\n\r\n")
            }
        } _: { end, connections, transport in
            try await Self.readOnce(transport(nil))
            go.open()
            while connections.idleCount == 0 { try await Task.sleep(for: .milliseconds(2)) }
            try await Self.readOnce(transport(nil))
            #expect(end.connections == 1)
        }
    }

    private static func readOnce(_ transport: TunnelTransport) async throws {
        let answer = try await transport.send(ClientRequest(method: .post, target: "/mcp", headers: [:], body: [], timeout: .seconds(20)))
        var body = answer.body.makeAsyncIterator()
        #expect(try await body.next() == Array("hello".utf8))
    }

    @Test func whoeverIsCancelledEndsTheCall() async throws {
        let (begun, ended) = (Gate(), Gate())
        try await run { _, stream in
            var reader = MessageReader(stream)
            guard try await reader.request() != nil else { return }
            try await stream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            begun.open()
            _ = try? await stream.read(within: .seconds(20))
            ended.open()
        } _: { _, connections, transport in
            let call = Task { await Self.post(transport(nil)) }
            await begun.wait()
            call.cancel()
            #expect(await call.value == .failure(.cancelled))
            await ended.wait()
            #expect(connections.count == 0)
        }
    }

    @Test func aSlowReaderSlowsTheSenderDown() async throws {
        let total = 64 << 20
        let sent = Box(0)
        try await run { number, stream in
            guard number == 1 else { return try await Self.serving(number, stream) }
            var reader = MessageReader(stream)
            guard try await reader.request() != nil else { return }
            try await stream.send("HTTP/1.1 200 OK\r\nContent-Length: \(total)\r\n\r\n")
            let piece = ByteBuffer(repeating: UInt8(ascii: "x"), count: 64 << 10)
            for _ in 0..<(total >> 16) {
                try await stream.write(piece)
                sent.change { $0 += 64 << 10 }
            }
        } _: { _, _, transport in
            let answer = try await transport(nil).send(
                ClientRequest(method: .get, target: "/mcp", headers: [:], body: [], timeout: .seconds(20)))
            var body = answer.body.makeAsyncIterator()
            var received = try await body.next()?.count ?? 0
            // Meanwhile others are served, on connections of their own.
            for _ in 0..<20 { #expect(await Self.post(transport(nil)) == .success("200 hello")) }
            #expect(sent.value < total / 2, "\(sent.value) bytes were taken for a reader that does not read")
            while let part = try await body.next() { received += part.count }
            #expect(received == total)
        }
    }
}

extension ByteStream {
    /// Ends TCP, with no word of TLS.
    func cut() async throws {
        try await channel.eventLoop.submit { [channel] in
            let tls = try channel.pipeline.syncOperations.handler(type: NIOSSLServerHandler.self)
            channel.pipeline.syncOperations.removeHandler(tls).whenComplete { _ in channel.close(promise: nil) }
        }.get()
    }
}
