/// Follows a filter with the number of the call known and its arguments not: every way through, with what the arguments must be for it.
/// Classic BPF has no loops, so there is an end.
package struct FilterAnalysis {
    /// Something said about the low half of an argument.
    package struct Condition: Sendable, Hashable, CustomStringConvertible {
        package enum Relation: Sendable, Hashable {
            case equal, anyBit, greater, atLeast
        }
        package var argument: Int
        package var mask: UInt32
        package var relation: Relation
        package var value: UInt32
        package var holds: Bool

        /// What is compared, whatever with.
        var subject: [UInt32] { [UInt32(argument), mask] }

        package var description: String {
            let name = mask == .max ? "arg\(argument)" : "(arg\(argument) & \(Self.number(mask)))"
            return switch (relation, holds) {
            case (.equal, true): "\(name) == \(Self.number(value))"
            case (.equal, false): "\(name) != \(Self.number(value))"
            case (.anyBit, true): "\(name) & \(Self.number(value)) != 0"
            case (.anyBit, false): "\(name) & \(Self.number(value)) == 0"
            case (.greater, let holds): "\(name) \(holds ? ">" : "<=") \(Self.number(value))"
            case (.atLeast, let holds): "\(name) \(holds ? ">=" : "<") \(Self.number(value))"
            }
        }

        private static func number(_ value: UInt32) -> String { value < 100 ? "\(value)" : "0x" + String(value, radix: 16) }

        static func test(_ relation: Relation, _ left: UInt32, _ right: UInt32) -> Bool {
            switch relation {
            case .equal: left == right
            case .anyBit: left & right != 0
            case .greater: left > right
            case .atLeast: left >= right
            }
        }
    }

    package struct Path: Sendable, Hashable {
        package var conditions: [Condition]
        package var verdict: FilterVerdict
    }

    private enum Operand {
        case known(UInt32)
        case argument(Int, mask: UInt32)
    }

    private let program: FilterProgram
    private let number: UInt32
    private let architecture: UInt32
    private let arguments: [UInt64]?
    private var paths: [Path] = []

    /// All ways of call `number` through `program`.
    package static func paths(of number: UInt32, in program: FilterProgram) throws(FilterProgram.Malformed) -> [Path] {
        var analysis = FilterAnalysis(program: program, number: number, architecture: program.architecture, arguments: nil)
        try analysis.follow(0, .known(0), [])
        return analysis.paths
    }

    /// What happens to one call with these six arguments.
    package static func verdict(
        _ number: UInt32, _ arguments: [UInt64] = [0, 0, 0, 0, 0, 0], architecture: UInt32? = nil, in program: FilterProgram
    ) throws(FilterProgram.Malformed) -> FilterVerdict {
        var analysis = FilterAnalysis(
            program: program, number: number, architecture: architecture ?? program.architecture, arguments: arguments)
        try analysis.follow(0, .known(0), [])
        guard let path = analysis.paths.first, analysis.paths.count == 1 else { throw FilterProgram.Malformed(description: "no single way through") }
        return path.verdict
    }

    private init(program: FilterProgram, number: UInt32, architecture: UInt32, arguments: [UInt64]?) {
        (self.program, self.number, self.architecture, self.arguments) = (program, number, architecture, arguments)
    }

    private mutating func follow(_ start: Int, _ loaded: Operand, _ conditions: [Condition]) throws(FilterProgram.Malformed) {
        var (index, operand) = (start, loaded)
        while true {
            let (operation, instruction) = try program.operation(at: index)
            switch operation {
            case .answer:
                paths.append(Path(conditions: conditions, verdict: FilterVerdict(action: instruction.value)))
                return
            case .load: operand = try load(instruction.value)
            case .and:
                operand =
                    switch operand {
                    case .known(let value): .known(value & instruction.value)
                    case .argument(let argument, let mask): .argument(argument, mask: mask & instruction.value)
                    }
            case .jump: index += Int(instruction.value)
            case .ifEqual: try branch(index, .equal, operand, conditions) { index = $0 }
            case .ifGreater: try branch(index, .greater, operand, conditions) { index = $0 }
            case .ifAtLeast: try branch(index, .atLeast, operand, conditions) { index = $0 }
            case .ifAnyBit: try branch(index, .anyBit, operand, conditions) { index = $0 }
            }
            guard index >= 0 else { return }
            index += 1
        }
    }

    /// Goes on at one branch where the outcome is known, by `next`, and at both where it is not.
    private mutating func branch(
        _ index: Int, _ relation: Condition.Relation, _ operand: Operand, _ conditions: [Condition], next: (Int) -> Void
    ) throws(FilterProgram.Malformed) {
        let instruction = program.instructions[index]
        let (yes, no) = (index + Int(instruction.ifTrue), index + Int(instruction.ifFalse))
        switch operand {
        case .known(let value): next(Condition.test(relation, value, instruction.value) ? yes : no)
        case .argument(let argument, let mask):
            var condition = Condition(argument: argument, mask: mask, relation: relation, value: instruction.value, holds: true)
            // Equal to something already: then it is known.
            if let known = conditions.first(where: { $0.subject == condition.subject && $0.relation == .equal && $0.holds }) {
                next(Condition.test(relation, known.value, instruction.value) ? yes : no)
                return
            }
            try follow(yes + 1, operand, conditions + [condition])
            condition.holds = false
            try follow(no + 1, operand, conditions + [condition])
            next(-1)
        }
    }

    /// Of `struct seccomp_data`: number, architecture, instruction pointer, six arguments of eight bytes, little-endian.
    private func load(_ offset: UInt32) throws(FilterProgram.Malformed) -> Operand {
        switch offset {
        case 0: return .known(number)
        case 4: return .known(architecture)
        case 16..<64 where offset % 4 == 0:
            let (index, isHigh) = (Int(offset - 16) / 8, offset % 8 == 4)
            if let arguments {
                guard arguments.indices.contains(index) else { throw FilterProgram.Malformed(description: "argument \(index) is not given") }
                return .known(UInt32(truncatingIfNeeded: isHigh ? arguments[index] >> 32 : arguments[index]))
            }
            guard !isHigh else { throw FilterProgram.Malformed(description: "the high half of argument \(index) is looked at") }
            return .argument(index, mask: .max)
        default: throw FilterProgram.Malformed(description: "offset \(offset) is loaded, which is none of number, architecture and arguments")
        }
    }
}
