import PosternJSON

extension AuditRecord.Kind {
    /// The member `body` of a line.
    var body: JSONObject {
        switch self {
        case .intent(let input): return ["input": input.json]
        case .outcome(let outcome): return outcome.body
        case .offloaded(let offload):
            var body: JSONObject = ["path": .string(offload.path), "bytes": JSON(offload.bytes)]
            body["hmac_sha256"] = offload.digest.map(JSON.string)
            return body
        case .redacted(let redactions):
            return ["door": .string(redactions.door), "action": .string(redactions.action), "counts": .counts(redactions.counts)]
        case .fileDecision(let decision):
            var body: JSONObject = [
                "operation": .string(decision.operation), "path": .string(decision.path), "allowed": .bool(decision.isAllowed),
            ]
            body["rule"] = decision.rule.map(JSON.string)
            return body
        case .workspaceScanned(let counts): return ["counts": .counts(counts)]
        case .egressIntent(let request), .egressRefused(let request): return request.body
        case .egressOutcome(let outcome): return outcome.body
        case .statement(let statement):
            return [
                "connection": .string(statement.connection), "text": statement.text.json, "keyword": .string(statement.keyword),
                "database": .string(statement.database), "role": .string(statement.role),
            ]
        case .secretUsed(let use):
            return ["name": .string(use.name), "host": .string(use.host), "place": .string(use.place), "request": .string(use.request)]
        case .secretChanged(let change):
            var body: JSONObject = ["name": .string(change.name), "state": .string(change.state.rawValue)]
            body["reason"] = change.reason.map(JSON.string)
            return body
        case .budget(let state):
            return ["scope": .string(state.scope), "limit": JSON(state.limit), "used": JSON(state.used), "state": .string(state.state)]
        case .tunnelIntent(let call), .tunnelRefused(let call): return call.body
        case .tunnelOutcome(let outcome): return outcome.body
        case .workerStarted(let start):
            return [
                "name": .string(start.name), "version": .string(start.version), "driver": .string(start.driver),
                "layers": .array(start.layers.map(JSON.string)),
            ]
        case .sessionStarted(let start):
            var body: JSONObject = ["resumed": .bool(start.isResumed)]
            body["agent"] = start.agentID.map(JSON.string)
            body["environment"] = start.environmentID.map(JSON.string)
            body["workspace_mode"] = start.workspaceMode.map(JSON.string)
            if let launcher = start.launcher {
                var script: JSONObject = ["path": .string(launcher.path)]
                script["hmac_sha256"] = launcher.digest.map(JSON.string)
                body["launcher"] = .object(script)
            }
            return body
        case .workerStopped(let reason), .sessionStopped(let reason): return ["reason": .string(reason)]
        case .policyLoaded(let policy):
            var body: JSONObject = ["name": .string(policy.name), "version": JSON(policy.version), "digest": .string(policy.digest)]
            body["ceiling"] = policy.ceiling.map(JSON.string)
            return body
        case .keyUsed(let name, let purpose): return ["name": .string(name), "purpose": .string(purpose)]
        case .approval(let approval):
            var body: JSONObject = ["subject": .string(approval.subject), "allowed": .bool(approval.isAllowed), "by": .string(approval.by)]
            body["rule"] = approval.rule.map(JSON.string)
            return body
        case .frozen(let freeze):
            var body: JSONObject = [
                "subject": .string(freeze.subject), "by": .string(freeze.by), "processes_stopped": JSON(freeze.processesStopped),
                "processes_killed": JSON(freeze.processesKilled), "survivors": JSON(freeze.survivors), "duration_ms": JSON(freeze.milliseconds),
            ]
            // Only a launcher has an elsewhere.
            if freeze.elsewhere > 0 { body["elsewhere"] = JSON(freeze.elsewhere) }
            return body
        case .thawed(let subject, let by): return ["subject": .string(subject), "by": .string(by)]
        case .selfTest(let test):
            var body: JSONObject = ["passed": .bool(test.passed), "checks": .object(JSONObject(test.checks.map { ($0.key, .bool($0.value)) }))]
            if !test.policies.isEmpty { body["policies"] = .array(test.policies.map(JSON.string)) }
            return body
        case .layerOff(let layer, let reason): return ["layer": .string(layer), "reason": .string(reason)]
        case .genesis(let genesis): return genesis.body
        case .rotated(let rotation): return rotation.body
        case .tornTail(let tail): return ["bytes": JSON(tail.bytes), "sha256": .string(tail.sha256)]
        case .unknown(let intent): return intent.body
        case .repeated(let repetition):
            return [
                "kind": .string(repetition.kind), "what": .string(repetition.what), "count": JSON(repetition.count),
                "first_time": .string(repetition.firstTime), "last_time": .string(repetition.lastTime),
            ]
        case .sessionSuspended(let records): return ["records": JSON(records)]
        case .gap(let what, let count): return ["what": .string(what), "count": JSON(count)]
        case .spaceExhausted: return [:]
        case .checkpoint(let checkpoint): return checkpoint.body
        }
    }
}

extension AuditRecord.Digest {
    fileprivate var json: JSON { ["hmac_sha256": .string(digest), "bytes": JSON(bytes)] }
}

extension AuditRecord.Content {
    fileprivate var json: JSON {
        var body: JSONObject = ["hmac_sha256": .string(digest.digest), "bytes": JSON(digest.bytes)]
        switch payload {
        case .text(let text, let isCut)?:
            body["payload"] = .string(text)
            if isCut { body["payload_cut"] = true }
        case .withheld(let rule)?: body["payload_withheld"] = .string(rule)
        case nil: break
        }
        return .object(body)
    }
}

extension AuditRecord.Outcome {
    fileprivate var body: JSONObject {
        var body: JSONObject = [
            "output": output.json, "is_error": .bool(isError), "offloaded": .bool(offloadedTo != nil), "timed_out": .bool(timedOut),
        ]
        body["produced_bytes"] = producedBytes.map { JSON($0) }
        body["offloaded_to"] = offloadedTo.map(JSON.string)
        body["exit_code"] = exitCode.map { .int(Int64($0)) }
        body["duration_ms"] = milliseconds.map { JSON($0) }
        body["reason"] = reason.map(JSON.string)
        return body
    }
}

extension AuditRecord.EgressRequest {
    fileprivate var body: JSONObject {
        var body: JSONObject = [
            "id": .string(id), "host": .string(host), "port": JSON(port), "method": .string(method), "decision": .string(decision),
            "opaque": .bool(isOpaque),
        ]
        body["path"] = path?.json
        body["address"] = address.map(JSON.string)
        body["rule"] = rule.map(JSON.string)
        return body
    }
}

extension AuditRecord.EgressOutcome {
    fileprivate var body: JSONObject {
        var body: JSONObject = [
            "id": .string(id), "bytes_sent": JSON(bytesSent), "bytes_received": JSON(bytesReceived), "duration_ms": JSON(milliseconds),
        ]
        body["status"] = status.map { JSON($0) }
        body["error"] = error.map(JSON.string)
        return body
    }
}

extension AuditRecord.TunnelCall {
    fileprivate var body: JSONObject {
        var body: JSONObject = ["id": .string(id), "tunnel": .string(tunnel), "decision": .string(decision)]
        body["route"] = route.map(JSON.string)
        body["upstream"] = upstream.map(JSON.string)
        body["method"] = method.map(JSON.string)
        if !messages.isEmpty {
            body["messages"] = .array(
                messages.map { message in
                    var body: JSONObject = ["method": .string(message.method)]
                    body["tool"] = message.tool.map(JSON.string)
                    body["input"] = message.input?.json
                    return .object(body)
                })
        }
        body["rule"] = rule.map(JSON.string)
        if !caller.isEmpty { body["caller"] = .object(JSONObject(caller.map { ($0.key, JSON.string($0.value)) })) }
        return body
    }
}

extension AuditRecord.TunnelOutcome {
    fileprivate var body: JSONObject {
        var body: JSONObject = [
            "id": .string(id), "bytes_sent": JSON(bytesSent), "bytes_received": JSON(bytesReceived), "duration_ms": JSON(milliseconds),
        ]
        body["status"] = status.map { JSON($0) }
        body["error"] = error.map(JSON.string)
        if hiddenTools > 0 { body["hidden_tools"] = JSON(hiddenTools) }
        body["request"] = request?.json
        body["answer"] = answer?.json
        if !outputs.isEmpty { body["outputs"] = .array(outputs.map(\.json)) }
        if furtherOutputs > 0 { body["further_outputs"] = JSON(furtherOutputs) }
        return body
    }
}

extension AuditRecord.Genesis {
    fileprivate var body: JSONObject {
        var body: JSONObject = ["root_key": .string(rootKey), "algorithm": "Ed25519", "hash": "SHA-256"]
        if let replaced { body["replaced"] = ["file": .string(replaced.file), "sha256": .string(replaced.sha256)] }
        return body
    }
}

extension AuditRecord.Rotation {
    fileprivate var body: JSONObject {
        [
            "previous_first": JSON(previousFirst), "key": .string(key), "checkpoints": JSON(checkpoints),
            "open": .array(open.map { .object($0.body) }),
        ]
    }
}

extension AuditRecord.OpenIntent {
    fileprivate var body: JSONObject {
        ["kind": .string(kind.rawValue), "session": .string(session), "id": .string(id), "seq": JSON(seq)]
    }
}

extension AuditRecord.Checkpoint {
    fileprivate var body: JSONObject {
        var body: JSONObject = ["number": JSON(number), "key": .string(key), "next": .string(next), "reason": .string(reason)]
        if !signature.isEmpty { body["signature"] = .string(signature) }
        return body
    }
}

extension JSON {
    fileprivate static func counts(_ counts: [String: Int]) -> JSON { .object(JSONObject(counts.map { ($0.key, JSON($0.value)) })) }
}
