import PosternJSON

/// What one sandbox may use, as the operator says it; `nil` is no bound. How each is enforced on a machine, and which of them only softly,
/// the worker reports.
package struct ResourceLimits: Sendable, Hashable {
    /// Of all processes together, with what is in `/tmp`, the home folder and `/dev/shm`. Bytes.
    package var memory: Int?
    /// Processes and threads at one time.
    package var processes: Int?
    /// Hundredths of one processor: 150 is one and a half.
    package var cpu: Int?
    /// Bytes a second read from, and as many written to, the disk of the workspace.
    package var io: Int?
    /// Descriptors of each process.
    package var openFiles: Int?
    /// Bytes of one file that a process writes.
    package var fileSize: Int?
    /// Bytes in the workspace.
    package var disk: Int?
    /// Files and folders in the workspace.
    package var inodes: Int?
    /// Bytes of `/tmp` and of the home folder, each.
    package var temporary: Int?
    /// Milliseconds of one tool call; then its whole process tree is killed.
    package var callTime: Int?

    /// No bound at all.
    package init() {}

    /// The smaller of each pair.
    package func narrowed(by other: ResourceLimits) -> ResourceLimits {
        var both = self
        for field in Self.fields { both[keyPath: field.path] = smaller(self[keyPath: field.path], other[keyPath: field.path]) }
        return both
    }

    /// One limit: its key in the policy, its bounds, and its name in `SandboxLimits` of the wire.
    package struct Field: Sendable {
        package enum Unit: Sendable { case bytes, rate, percent, duration, count }

        package let name: String
        package let wireName: String
        package let unit: Unit
        package let bounds: ClosedRange<Int>
        package let help: String
        package let path: any WritableKeyPath<ResourceLimits, Int?> & Sendable
    }

    package static let fields: [Field] = [
        Field(
            name: "memory", wireName: "memory_bytes", unit: .bytes, bounds: (64 << 20)...(64 << 40),
            help: "Memory of all processes of the sandbox together with `/tmp`, the home folder and `/dev/shm`.", path: \.memory),
        Field(
            name: "processes", wireName: "processes", unit: .count, bounds: 16...1_000_000, help: "Processes and threads at one time.",
            path: \.processes),
        Field(
            name: "cpu", wireName: "cpu_percent", unit: .percent, bounds: 1...100_000, help: "Processor time; `100%` is one processor.", path: \.cpu),
        Field(
            name: "io", wireName: "io_bytes_per_second", unit: .rate, bounds: 65_536...(1 << 40),
            help: "Read from the disk of the workspace, and as much written to it.", path: \.io),
        Field(
            name: "open_files", wireName: "open_files", unit: .count, bounds: 64...1_048_576, help: "Open files of each process.", path: \.openFiles),
        Field(
            name: "file_size", wireName: "file_bytes", unit: .bytes, bounds: (1 << 20)...(1 << 50), help: "One file that a process writes.",
            path: \.fileSize),
        Field(name: "disk", wireName: "disk_bytes", unit: .bytes, bounds: (1 << 20)...(1 << 50), help: "All of the workspace.", path: \.disk),
        Field(
            name: "inodes", wireName: "inodes", unit: .count, bounds: 100...1_000_000_000, help: "Files and folders in the workspace.", path: \.inodes
        ),
        Field(
            name: "temporary", wireName: "temporary_bytes", unit: .bytes, bounds: 65_536...(1 << 40),
            help: "`/tmp` and the home folder, each; they count as memory too.", path: \.temporary),
        Field(
            name: "call_time", wireName: "call_timeout_ms", unit: .duration, bounds: 100...3_600_000,
            help: "One tool call; then its whole process tree is killed and the session goes on.", path: \.callTime),
    ]
}

extension ResourceLimits.Field {
    /// What the field takes in a policy.
    package var kind: SchemaKind {
        switch unit {
        case .bytes: .bytes(bounds)
        case .rate: .rate(bounds)
        case .percent: .percent(bounds)
        case .duration: .duration(bounds)
        case .count: .integer(bounds)
        }
    }
}

extension ResourceLimits {
    package init(json: JSON) throws(PolicyValueError) {
        for field in Self.fields {
            guard let value = json[field.name], value != .string(SchemaKind.none) else { continue }
            let number: Int? =
                switch field.unit {
                case .percent: value.string.flatMap(Quantity.percent)
                case .duration: value.string.flatMap(Quantity.milliseconds)
                case .bytes, .rate, .count: value.int
                }
            guard let number, field.bounds.contains(number) else {
                throw PolicyValueError(path: [field.name], value: value.text, rule: "must be \(field.kind.summary)")
            }
            self[keyPath: field.path] = number
        }
    }

    /// Every field, `none` where there is no bound.
    package var json: JSON {
        .object(
            JSONObject(
                Self.fields.map { field in
                    guard let number = self[keyPath: field.path] else { return (field.name, .string(SchemaKind.none)) }
                    switch field.unit {
                    case .percent: return (field.name, .string("\(number)%"))
                    case .duration: return (field.name, .string("\(number)ms"))
                    case .bytes, .rate, .count: return (field.name, JSON(number))
                    }
                }))
    }

    /// The members of the wire's `SandboxLimits`: whole numbers, null where there is no bound.
    package var wireJSON: JSON {
        .object(JSONObject(Self.fields.map { field in (field.wireName, self[keyPath: field.path].map { JSON($0) } ?? .null) }))
    }
}
