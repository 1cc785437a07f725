import Glibc
import PosternSandboxWire

/// `postern-init` is started by Postern only, with its control socket as descriptor 3.
enum Roles {
    static let version = 1

    static let usage = """
        postern-init is part of Postern and is started by it:
          postern-init spawner [--bwrap PATH] [--uids FIRST-LAST] [--worker UID …]   starts sandboxes for a worker
          postern-init overlay POINT PROGRAM …                      puts a copy-on-write workspace together first
          postern-init network PROGRAM …                            makes a network with ports below 1024 first
          postern-init sandbox                                      process 1 of a sandbox
          postern-init unconfined                                   the same tools without a sandbox (driver "none")

        """

    static func run(_ arguments: [String]) -> Int32 {
        switch arguments.dropFirst().first {
        case "spawner":
            guard let options = SpawnerOptions(arguments: Array(arguments.dropFirst(2))) else { break }
            return SpawnerLoop.main(options)
        case "sandbox" where arguments.count == 2: return Supervisor.main(layers: Set(SandboxLayer.allCases))
        case "unconfined" where arguments.count == 2: return Supervisor.main(layers: [])
        case "sandbox" where arguments.count == 4 && arguments[2] == UnsafeLayers.option:
            guard let unsafe = UnsafeLayers(arguments[3]) else { break }
            return Supervisor.main(layers: unsafe.layers, unsafe: unsafe)
        case "network": return NetworkRole.main(Array(arguments.dropFirst(2)))
        case "overlay": return OverlayRole.main(Array(arguments.dropFirst(2)))
        case "--version":
            print(version)
            return 0
        default: break
        }
        write(2, usage)
        return 2
    }

    private static func write(_ descriptor: Int32, _ text: String) {
        var text = text
        text.withUTF8 { _ = Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }
}
