extension AuditRecord {
    /// A keyed digest that stands for a text, and the text's size.
    package struct Digest: Sendable, Hashable {
        /// Lower-case hex of `AuditKey.digest`.
        package var digest: String
        /// Of the canonical JSON.
        package var bytes: Int

        package init(digest: String, bytes: Int) {
            self.digest = digest
            self.bytes = bytes
        }
    }

    /// A text by its digest, and by what it says where that was asked for.
    package struct Content: Sendable, Hashable {
        package var digest: Digest
        package var payload: Payload?

        package init(_ digest: Digest, payload: Payload? = nil) {
            self.digest = digest
            self.payload = payload
        }
    }

    /// The beginning of a text, after redaction.
    package enum Payload: Sendable, Hashable {
        /// - isCut: there was more of it.
        case text(String, isCut: Bool)
        /// A rule keeps all of it back.
        case withheld(by: String)
    }

    package struct Outcome: Sendable, Equatable {
        package var output: Digest
        package var isError: Bool
        /// What the tool produced, before offloading; `nil` where no tool ran.
        package var producedBytes: Int?
        package var offloadedTo: String?
        package var exitCode: Int32?
        package var milliseconds: Int?
        package var timedOut: Bool
        /// Why the worker, and not the tool, wrote the result; `nil` for a tool's own.
        package var reason: String?

        package init(
            output: Digest, isError: Bool, producedBytes: Int?, offloadedTo: String?, exitCode: Int32?, milliseconds: Int?, timedOut: Bool,
            reason: String?
        ) {
            self.output = output
            self.isError = isError
            self.producedBytes = producedBytes
            self.offloadedTo = offloadedTo
            self.exitCode = exitCode
            self.milliseconds = milliseconds
            self.timedOut = timedOut
            self.reason = reason
        }
    }

    package struct Redactions: Sendable, Equatable {
        /// Where the text was to leave: `result`, `egress`, `tunnel`.
        package var door: String
        /// What was done: `mask`, `hash`, `block`.
        package var action: String
        /// How many of each kind were found.
        package var counts: [String: Int]

        package init(door: String, action: String, counts: [String: Int]) {
            self.door = door
            self.action = action
            self.counts = counts
        }
    }

    package struct Offload: Sendable, Equatable {
        /// Inside the sandbox.
        package var path: String
        /// What the tool produced.
        package var bytes: Int
        /// Lower-case hex of `AuditKey.digest` over the file as the worker found it; `nil` where it could not be read.
        package var digest: String?

        package init(path: String, bytes: Int, digest: String?) {
            self.path = path
            self.bytes = bytes
            self.digest = digest
        }
    }

    package struct FileDecision: Sendable, Equatable {
        /// `read`, `write`, `hide`, …
        package var operation: String
        package var path: String
        package var isAllowed: Bool
        /// The rule that decided; `nil` where none matched.
        package var rule: String?

        package init(operation: String, path: String, isAllowed: Bool, rule: String?) {
            self.operation = operation
            self.path = path
            self.isAllowed = isAllowed
            self.rule = rule
        }
    }

    package struct WorkerStart: Sendable, Equatable {
        package var name: String
        package var version: String
        /// The sandbox driver.
        package var driver: String
        /// The layers in force.
        package var layers: [String]

        package init(name: String, version: String, driver: String, layers: [String]) {
            self.name = name
            self.version = version
            self.driver = driver
            self.layers = layers
        }
    }

    package struct SessionStart: Sendable, Equatable {
        package var agentID: String?
        package var environmentID: String?
        package var workspaceMode: String?
        /// Taken up again after the worker was stopped.
        package var isResumed: Bool
        /// The script that it is handed to, instead of a sandbox of this worker's.
        package var launcher: Launcher?

        package init(agentID: String?, environmentID: String?, workspaceMode: String?, isResumed: Bool, launcher: Launcher? = nil) {
            self.agentID = agentID
            self.environmentID = environmentID
            self.workspaceMode = workspaceMode
            self.isResumed = isResumed
            self.launcher = launcher
        }
    }

    package struct Launcher: Sendable, Equatable {
        package var path: String
        /// Lower-case hex of `AuditKey.digest` over the file just before it was started; `nil` where it could not be read.
        package var digest: String?

        package init(path: String, digest: String?) {
            self.path = path
            self.digest = digest
        }
    }

    /// A policy came into force for the session of the record.
    package struct PolicyLoad: Sendable, Equatable {
        package var name: String
        package var version: Int
        package var digest: String
        /// Digest of the ceiling that it narrows; `nil` for a ceiling.
        package var ceiling: String?

        package init(name: String, version: Int, digest: String, ceiling: String?) {
            self.name = name
            self.version = version
            self.digest = digest
            self.ceiling = ceiling
        }
    }

    /// An answer given inside the perimeter.
    package struct Approval: Sendable, Equatable {
        /// What was asked for: `tool`, `egress`, `budget`.
        package var subject: String
        package var isAllowed: Bool
        /// Who answered; a time-out is an answer too.
        package var by: String
        package var rule: String?

        package init(subject: String, isAllowed: Bool, by: String, rule: String?) {
            self.subject = subject
            self.isAllowed = isAllowed
            self.by = by
            self.rule = rule
        }
    }

    package struct Freeze: Sendable, Equatable {
        /// A session's id, an agent's id, or `all`.
        package var subject: String
        /// A user of the worker's machine.
        package var by: String
        /// Processes that stand still, that did not and were killed, and that could not be killed.
        package var processesStopped: Int
        package var processesKilled: Int
        package var survivors: Int
        /// Sessions that run, or may, where the worker has no hand.
        package var elsewhere: Int
        package var milliseconds: Int

        package init(
            subject: String, by: String, processesStopped: Int, processesKilled: Int, survivors: Int, elsewhere: Int = 0, milliseconds: Int
        ) {
            self.subject = subject
            self.by = by
            self.processesStopped = processesStopped
            self.processesKilled = processesKilled
            self.survivors = survivors
            self.elsewhere = elsewhere
            self.milliseconds = milliseconds
        }
    }

    package struct SelfTest: Sendable, Equatable {
        /// Each check and whether its boundary held.
        package var checks: [String: Bool]
        package var passed: Bool { checks.values.allSatisfy { $0 } }
        /// Whose sandbox was tested; none is the machine's own, with default limits.
        package var policies: [String]

        package init(checks: [String: Bool], policies: [String] = []) {
            self.checks = checks
            self.policies = policies
        }
    }
}
