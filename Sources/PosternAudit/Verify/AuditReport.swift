import PosternJSON

/// The first thing that is wrong with a log.
package struct AuditFinding: Sendable, Equatable, CustomStringConvertible {
    package var file: String
    /// From 1; 0 where the finding is about the whole file.
    package var line: Int
    /// Of the bad record, where it can be told.
    package var seq: Int?
    package var what: String

    package var description: String { "\(file)\(line > 0 ? ":\(line)" : "")\(seq.map { " (record \($0))" } ?? ""): \(what)" }
}

/// What a look at a log came to.
package struct AuditReport: Sendable, Equatable {
    /// `nil` for a log in which nothing is wrong.
    package internal(set) var finding: AuditFinding?
    package internal(set) var files = 0
    /// Up to the finding.
    package internal(set) var records = 0
    package internal(set) var writer: String?
    /// `nil` where the log was not read from its beginning.
    package internal(set) var rootKey: String?
    /// Whether the root key was held against one that was given.
    package internal(set) var isPinned = false
    package internal(set) var lastSeq = 0
    package internal(set) var lastHash = ""
    package internal(set) var checkpoints = 0
    /// Records after the last checkpoint: chained, but not signed. Whoever can write the file could have changed them.
    package internal(set) var unsigned = 0
    /// Checkpoints of a mirror that were found in the log; `nil` without a mirror.
    package internal(set) var mirrored: Int?
    package internal(set) var tornTails = 0
    /// Intents that were closed because nobody knows whether they took effect.
    package internal(set) var unknown = 0
    /// Intents without an outcome: in progress, or the writer was killed.
    package internal(set) var open = 0
    package internal(set) var kinds: [String: Int] = [:]
    package internal(set) var firstTime: String?
    package internal(set) var lastTime: String?

    package init() {}

    package var isGood: Bool { finding == nil }

    package var json: JSON {
        var object: JSONObject = [
            "type": "audit_report", "good": .bool(isGood), "files": JSON(files), "records": JSON(records), "last_seq": JSON(lastSeq),
            "last_hash": .string(lastHash), "checkpoints": JSON(checkpoints), "unsigned_records": JSON(unsigned), "torn_tails": JSON(tornTails),
            "unknown": JSON(unknown), "open_intents": JSON(open), "root_key_pinned": .bool(isPinned), "writer": JSON(writer),
            "root_key": JSON(rootKey), "first_time": JSON(firstTime), "last_time": JSON(lastTime),
            "kinds": .object(JSONObject(kinds.sorted { $0.key < $1.key }.map { ($0.key, JSON($0.value)) })),
        ]
        object["mirrored_checkpoints"] = mirrored.map { JSON($0) }
        if let finding {
            object["finding"] = [
                "file": .string(finding.file), "line": JSON(finding.line), "seq": finding.seq.map { JSON($0) } ?? .null,
                "what": .string(finding.what),
            ]
        }
        return .object(object)
    }
}
