import CPosternSandbox

/// A seccomp program: classic BPF over the number, the architecture and the arguments of a system call. A value; looking at it does
/// not depend on the code that wrote it.
package struct FilterProgram: Sendable, Hashable {
    package struct Instruction: Sendable, Hashable {
        package var code: UInt16
        package var ifTrue: UInt8
        package var ifFalse: UInt8
        package var value: UInt32

        package init(_ code: UInt16, _ value: UInt32, ifTrue: UInt8 = 0, ifFalse: UInt8 = 0) {
            (self.code, self.value, self.ifTrue, self.ifFalse) = (code, value, ifTrue, ifFalse)
        }
    }

    /// The operations that the filter is written in; a listing of any other would be a guess, so there is none.
    enum Operation: UInt16 {
        case load = 0x20
        case jump = 0x05
        case ifEqual = 0x15
        case ifGreater = 0x25
        case ifAtLeast = 0x35
        case ifAnyBit = 0x45
        case and = 0x54
        case answer = 0x06
    }

    package struct Malformed: Error, Hashable, CustomStringConvertible {
        package var description: String
    }

    package var instructions: [Instruction]
    /// AUDIT_ARCH_* of the machine that it is for.
    package var architecture: UInt32

    package init(_ instructions: [Instruction], architecture: UInt32) {
        self.instructions = instructions
        self.architecture = architecture
    }

    /// The one that `postern-init` installs on every process of a sandbox: the very instructions, read back from the compiled program.
    package static let installed = FilterProgram(
        (0..<psb_filter_length()).map { index in
            let instruction = psb_filter_instruction(index)
            return Instruction(instruction.code, instruction.value, ifTrue: instruction.if_true, ifFalse: instruction.if_false)
        }, architecture: psb_filter_architecture())

    func operation(at index: Int) throws(Malformed) -> (Operation, Instruction) {
        guard instructions.indices.contains(index) else { throw Malformed(description: "instruction \(index) is beyond the end") }
        guard let operation = Operation(rawValue: instructions[index].code) else {
            throw Malformed(description: "instruction \(index) has the code \(instructions[index].code), which is none of the filter's")
        }
        return (operation, instructions[index])
    }
}

/// What the kernel does with a system call.
package enum FilterVerdict: Sendable, Hashable, CustomStringConvertible {
    case allow
    /// The call fails with this errno, without having begun.
    case refuse(errno: UInt32)
    case kill
    /// Another action, by its number.
    case other(UInt32)

    init(action: UInt32) {
        switch action & 0xFFFF_0000 {
        case 0x7FFF_0000: self = .allow
        case 0x0005_0000: self = .refuse(errno: action & 0xFFFF)
        case 0x8000_0000: self = .kill
        default: self = .other(action)
        }
    }

    package var description: String {
        switch self {
        case .allow: "allowed"
        case .refuse(1): "EPERM"
        case .refuse(38): "ENOSYS"
        case .refuse(let code): "errno \(code)"
        case .kill: "killed"
        case .other(let action): "action \(action)"
        }
    }
}
