import ManagedAgentsAPI
import PosternJSON

/// A client of the Managed Agents API and of Postern's own routes under `/postern/v1`. A value: cheap to copy, safe to share.
/// Answers stay JSON, so that what this version does not know is not lost.
package struct ManagedAgentsClient: Sendable {
    let transport: any ClientTransport
    let credential: Secret
    let options: Options

    package struct Options: Sendable {
        package var retry: RetryPolicy = .standard
        package var pacing: Pacing = .live
        /// Longest wait for an answer's head, per try (contract, section 1.5).
        package var timeout: Duration = .seconds(600)
        /// Largest answer that is read whole, bytes.
        package var maximumAnswer = 256 << 20
        /// Largest frame of a stream, bytes; a tool result with a PDF is the largest legitimate one.
        package var maximumFrame = 64 << 20
        /// Sent as `x-stainless-helper` where a service counts its helpers' calls; `nil` sends none.
        package var helper: String?

        package init() {}
    }

    package init(transport: any ClientTransport, credential: Secret, options: Options = Options()) {
        self.transport = transport
        self.credential = credential
        self.options = options
    }

    /// The same client with another bearer, for example an item's sessions token.
    package func with(credential: Secret) -> ManagedAgentsClient {
        ManagedAgentsClient(transport: transport, credential: credential, options: options)
    }

    /// What a call may ask for besides the usual.
    package struct CallOptions: Sendable {
        package var headers: ClientHeaders = [:]
        package var timeout: Duration?
        package var retry: RetryPolicy?

        package init(headers: ClientHeaders = [:], timeout: Duration? = nil, retry: RetryPolicy? = nil) {
            self.headers = headers
            self.timeout = timeout
            self.retry = retry
        }
    }

    /// Any call. `body` nil sends an empty one, as the contract's calls without parameters do.
    package func request(
        _ method: ClientMethod, _ path: RequestPath, query: RequestQuery = [:], body: JSON? = nil, options call: CallOptions = CallOptions()
    ) async throws(ClientError) -> ClientAnswer {
        try await request(method, path, query: query, bytes: body?.encoded ?? [], options: call)
    }

    /// Any call, with a body that is encoded already.
    package func request(
        _ method: ClientMethod, _ path: RequestPath, query: RequestQuery = [:], bytes: [UInt8], options call: CallOptions = CallOptions()
    ) async throws(ClientError) -> ClientAnswer {
        let response = try await open(method, path, query: query, bytes: bytes, options: call)
        do {
            let body = try await response.body.collect(upTo: options.maximumAnswer)
            return ClientAnswer(status: response.status, headers: response.headers, bytes: body)
        } catch {
            throw .transport(error)
        }
    }

    /// Sends until an answer that is not to be retried comes; returns a 2xx with its body unread, throws any other.
    func open(
        _ method: ClientMethod, _ path: RequestPath, query: RequestQuery, bytes: [UInt8], options call: CallOptions
    ) async throws(ClientError) -> ClientResponse {
        guard !path.hasEmptyParameter else { throw .malformed("an id in the path is empty") }
        let policy = call.retry ?? options.retry
        var outgoing = ClientRequest(
            method: method, target: path.text + query.text, headers: headers(method, path, call.headers), body: bytes,
            timeout: call.timeout ?? options.timeout)
        var retry = 0
        while true {
            let wait: Duration
            do {
                let response = try await transport.send(outgoing)
                if (200..<300).contains(response.status) { return response }
                let body = (try? await response.body.collect(upTo: 1 << 20)) ?? []
                let now = Timestamp.now().microseconds / 1_000_000
                let random = options.pacing.random()
                guard let delay = policy.delay(afterStatus: response.status, headers: response.headers, retry: retry, random: random, unixTime: now)
                else { throw ClientError.api(APIFailure(status: response.status, headers: response.headers, body: body, unixTime: now)) }
                wait = delay
            } catch let error as TransportError {
                guard let delay = policy.delay(after: error, retry: retry, random: options.pacing.random()) else { throw .transport(error) }
                wait = delay
            } catch let error as ClientError {
                throw error
            } catch {
                throw .malformed("\(error)")
            }
            retry += 1
            outgoing.headers["x-stainless-retry-count"] = String(retry)
            do { try await options.pacing.sleep(wait) } catch { throw .transport(.cancelled) }
        }
    }

    private func headers(_ method: ClientMethod, _ path: RequestPath, _ extra: ClientHeaders) -> ClientHeaders {
        var headers: ClientHeaders = [
            "authorization": "Bearer \(credential.value)",
            "accept": "application/json",
            "anthropic-version": "2026-10-21",
            "user-agent": "postern",
            "x-stainless-retry-count": "0",
        ]
        if method != .get { headers["content-type"] = "application/json" }
        if let beta = Self.beta(path.text) { headers["anthropic-beta"] = beta }
        headers["x-stainless-helper"] = options.helper
        for field in extra.fields { headers[field.name] = field.value }
        return headers
    }

    /// The beta header that belongs to a route (contract, section 1.2).
    static func beta(_ path: String) -> String? {
        for (prefix, value) in [
            ("/v1/memory_stores", "agent-memory-2026-07-22"), ("/v1/tunnels", "mcp-tunnels-2026-06-22"),
            ("/v1/user_profiles", "user-profiles-2026-08-18"), ("/v1/dreams", "dreaming-2026-04-21"),
        ] where path.hasPrefix(prefix) { return value }
        for prefix in ["/v1/skills", "/v1/files", "/v1/models", "/postern/", "/healthz", "/readyz", "/metrics"] where path.hasPrefix(prefix) {
            return nil
        }
        return "managed-agents-2026-04-01"
    }
}

/// A successful answer.
package struct ClientAnswer: Sendable {
    package var status: Int
    package var headers: ClientHeaders
    package var bytes: [UInt8]

    package init(status: Int, headers: ClientHeaders, bytes: [UInt8]) {
        self.status = status
        self.headers = headers
        self.bytes = bytes
    }

    /// The body as JSON; an empty body counts as `null`.
    package func json() throws(ClientError) -> JSON {
        guard !bytes.isEmpty else { return .null }
        do { return try JSON(parsing: bytes) } catch { throw .malformed("\(error)") }
    }

    package func object() throws(ClientError) -> JSONObject {
        let value = try json()
        guard let object = value.object else { throw .malformed("an object was expected, not \(value.kind)") }
        return object
    }
}
