import CLibFuzzer
import FuzzTargets
import Glibc

/// libFuzzer over one of `FuzzTarget.all`; `scripts/fuzz` builds and runs it.
///
///     postern-fuzz --list
///     postern-fuzz --seeds TARGET FOLDER      writes the target's seeds into files
///     postern-fuzz TARGET [options of libFuzzer] [FOLDER...]
@main
enum Fuzz {
    private static let target = FuzzTarget.all.first { $0.name == CommandLine.arguments.dropFirst().first }

    static func main() {
        let arguments = CommandLine.arguments
        if arguments.dropFirst().elementsEqual(["--list"]) {
            for target in FuzzTarget.all { print(target.name) }
        } else if arguments.count == 4, arguments[1] == "--seeds", let target = FuzzTarget.all.first(where: { $0.name == arguments[2] }) {
            for (index, seed) in target.seeds.enumerated() {
                guard let file = fopen("\(arguments[3])/seed-\(index)", "w"), fwrite(seed, 1, seed.count, file) == seed.count, fclose(file) == 0
                else {
                    perror(arguments[3])
                    exit(1)
                }
            }
        } else if target != nil {
            exit(drive([arguments[0]] + arguments.dropFirst(2)))
        } else {
            say("usage: postern-fuzz --list | --seeds TARGET FOLDER | TARGET [options of libFuzzer] [FOLDER...]\n")
            exit(64)
        }
    }

    private static func say(_ text: String) { _ = text.withCString { write(STDERR_FILENO, $0, strlen($0)) } }

    private static func drive(_ arguments: [String]) -> CInt {
        // libFuzzer keeps them until the process ends.
        let copies = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: arguments.count + 1)
        for (index, argument) in arguments.enumerated() { copies[index] = strdup(argument) }
        copies[arguments.count] = nil
        var count = CInt(arguments.count)
        var vector: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = copies
        return LLVMFuzzerRunDriver(&count, &vector) { data, size in
            do {
                try Fuzz.target?.run(Array(UnsafeBufferPointer(start: data, count: size)))
            } catch {
                Fuzz.say("postern-fuzz: \(error)\n")
                abort()
            }
            return 0
        }
    }
}
