import ManagedAgentsClient

/// Why a request of a link has got no answer.
enum SendFailure: Error {
    case transport(TransportError)
    case token(OAuthProblem)
}

extension OAuthTokens {
    /// Sends a request of the server's, with a token where there is one, and again with another one where the server has refused it unread (`OAuthRetry`).
    /// - Parameter transport: leads to the server: nobody else gets its token.
    nonisolated func send(_ request: ClientRequest, by transport: any ClientTransport) async throws(SendFailure) -> ClientResponse {
        var retry = OAuthRetry()
        var token: OAuthToken?
        do throws(OAuthProblem) { token = try await current() } catch { throw .token(error) }
        while true {
            var sent = request
            if let token { sent.headers["Authorization"] = "Bearer \(token.value.value)" }
            let response: ClientResponse
            do { response = try await transport.send(sent) } catch { throw .transport(error) }
            let challenge = BearerChallenge(response.headers)
            let isConnectors = ConnectorAnswer.isOne(status: response.status, by: response.headers[ConnectorAnswer.field])
            guard let need = retry.refused(status: response.status, challenge, isConnectors: isConnectors, hasToken: token != nil) else {
                return response
            }
            let next: OAuthToken?
            do throws(OAuthProblem) { next = try await self.next(after: token, challenge, need) } catch { throw .token(error) }
            guard let next else { return response }
            token = next
        }
    }
}

extension BearerChallenge {
    /// The first `Bearer` challenge of an answer's head.
    init?(_ headers: ClientHeaders) {
        self.init(fields: headers.fields.filter { $0.name.lowercased() == "www-authenticate" }.map(\.value))
    }
}
