import FoundationEssentials
import ManagedAgentsClient

/// Asks what `OAuthFlow` wants to know: each question once, of bounded size and time, and nothing is followed.
package struct OAuthAsking: Sendable {
    /// Leads to the MCP server and to nobody else, through its tunnel where it is behind one.
    private let server: any ClientTransport
    /// Leads to an authorization server: the operator's issuer, or where that has its token endpoint.
    private let authority: @Sendable (BaseURL) throws(TransportError) -> any ClientTransport
    private let time: Duration

    /// - Parameter time: the longest for one answer, connecting and body included.
    package init(
        server: any ClientTransport, time: Duration = .seconds(10),
        authority: @escaping @Sendable (BaseURL) throws(TransportError) -> any ClientTransport
    ) {
        self.server = server
        self.time = time
        self.authority = authority
    }

    func answer(to question: OAuthFlow.Question) async -> OAuthFlow.Answer {
        await withTaskGroup(of: OAuthFlow.Answer.self) { group in
            group.addTask {
                do throws(TransportError) { return try await self.ask(question) } catch {
                    if case .cancelled = error { return .cancelled }
                    return .none("\(question.url.withoutQuery): \(error)")
                }
            }
            group.addTask {
                do { try await Task.sleep(for: time) } catch { return .cancelled }
                return .none("\(question.url.withoutQuery) has not answered within \(time)")
            }
            let first = await group.next() ?? .cancelled
            group.cancelAll()
            return first
        }
    }

    private func ask(_ question: OAuthFlow.Question) async throws(TransportError) -> OAuthFlow.Answer {
        var headers: ClientHeaders = ["Accept": "application/json"]
        if question.form != nil { headers["Content-Type"] = "application/x-www-form-urlencoded" }
        if let authorization = question.authorization { headers["Authorization"] = authorization.value }
        var form = question.form
        if let assertion = question.assertion {
            do { form?.append(contentsOf: "&client_assertion=\(try assertion.token(at: Date(), nonce: Self.nonce()))".utf8) } catch {
                throw .refused("the assertion cannot be signed: \(error)")
            }
        }
        let request = ClientRequest(
            method: form == nil ? .get : .post, target: question.url.target, headers: headers, body: form ?? [], timeout: time)
        let transport = question.stage == .resource ? server : try authority(question.url.base)
        let response = try await transport.send(request)
        var bytes: [UInt8] = []
        do {
            for try await chunk in response.body {
                bytes += chunk
                if bytes.count > OAuthFlow.longest { return .tooLarge }
            }
        } catch {
            throw TransportError(reading: error)
        }
        // A cancelled sequence ends like a complete one.
        if Task.isCancelled { throw .cancelled }
        return .answer(status: response.status, body: bytes)
    }

    /// 128 bits that nobody can guess.
    private static func nonce() -> String {
        var chance = SystemRandomNumberGenerator()
        return [chance.next(), chance.next()].map { String($0, radix: 16) }.joined(separator: "-")
    }
}
