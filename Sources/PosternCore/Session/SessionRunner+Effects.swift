import ManagedAgentsAPI
import PosternJSON
import Synchronization

// The effects of steps, after they are stored: requests to the model, questions to MCP servers, retries. Each comes back as an input.
extension SessionRunner {
    func perform(_ step: SessionStep) {
        for effect in step.effects {
            switch effect {
            case .requestModel(let model, let span): startRequest(model, span)
            case .cancelRequest(let span):
                guard request?.span == span else { continue }
                request?.task.cancel()
                request = nil
            case .scheduleRetry(let delay):
                retry = Task {
                    guard (try? await Task.sleep(for: delay)) != nil else { return }
                    self.retryIsDue()
                }
            case .cancelRetry:
                retry?.cancel()
                retry = nil
            case .listTools(let servers, let listing): list(servers, listing)
            case .callTool(let eventID, let server, let tool, let arguments): call(eventID, server, tool, arguments)
            case .cancelListing(let id), .cancelCall(let id): asking.removeValue(forKey: id)?.cancel()
            }
        }
        if request != nil || retry != nil || !asking.isEmpty { isQuiet.store(false, ordering: .relaxed) }
    }

    private func retryIsDue() {
        retry = nil
        post(.input(.retryDue))
    }

    // MARK: MCP servers

    private func list(_ servers: [MCPServer], _ listing: String) {
        guard let record else { return }
        let (engine, caller) = (engine, MCPCaller(record))
        asking[listing] = Task {
            let results = await withTaskGroup(of: (String, Result<[JSON], MCPFailure>).self) { group in
                for server in servers {
                    group.addTask {
                        do throws(MCPFailure) {
                            return (server.name, .success(try await engine.servers.tools(of: server, for: caller)))
                        } catch {
                            return (server.name, .failure(error))
                        }
                    }
                }
                return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            self.hasEnded(listing, .toolsListed(listing: listing, results))
        }
    }

    private func call(_ eventID: String, _ server: MCPServer, _ tool: String, _ arguments: JSONObject) {
        guard let record else { return }
        let (engine, caller) = (engine, MCPCaller(record))
        asking[eventID] = Task {
            let result: Result<MCPCallResult, MCPFailure>
            do throws(MCPFailure) {
                result = .success(try await engine.servers.call(tool, arguments, of: server, for: caller))
            } catch {
                result = .failure(error)
            }
            self.hasEnded(eventID, .mcpCallFinished(eventID: eventID, result))
        }
    }

    /// What was cancelled is not told: an interrupt has settled it, or the next process will.
    private func hasEnded(_ id: String, _ input: SessionInput) {
        guard !Task.isCancelled, asking.removeValue(forKey: id) != nil else { return }
        post(.input(input))
    }

    // MARK: Model requests

    private func startRequest(_ model: ModelRequest, _ span: String) {
        let engine = engine
        let id = id
        let task = Task {
            let previews = Mutex(PreviewMapper(makeID: engine.source.makeID))
            let result: Result<ModelResponse, ModelError>
            do throws(ModelError) {
                result = .success(
                    try await engine.provider.respond(to: model) { preview in
                        guard let frame = previews.withLock({ $0.handle(preview) }) else { return }
                        engine.hub.publishPreview(frame.kind, type: frame.type, bytes: frame.bytes, session: id)
                    })
            } catch {
                result = .failure(error)
            }
            if Task.isCancelled { return }
            self.requestHasEnded(span, result, previews.withLock { $0.ids })
        }
        request = (span, task)
    }

    private func requestHasEnded(_ span: String, _ result: Result<ModelResponse, ModelError>, _ previewIDs: [Int: String]) {
        guard request?.span == span else { return }
        request = nil
        post(.input(.modelFinished(span: span, result, previewIDs: previewIDs)))
    }
}
