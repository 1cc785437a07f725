// swift-tools-version: 6.2
import PackageDescription

// One package; see CONTRIBUTING.md for the module map and for who may import whom.

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

/// Set by `scripts/fuzz` to the archive of libFuzzer: then there is the product `postern-fuzz`, and the code that it reaches tells libFuzzer its way.
let fuzzer = Context.environment["POSTERN_FUZZ"]

/// `POSTERN_TESTS=A,B swift test` builds only those test targets and what they need: otherwise every target is built for any test.
let onlyTests = Context.environment["POSTERN_TESTS"].map { Set($0.split(separator: ",").map(String.init)) }

/// The targets with these names and all that they depend on.
func closure(of names: Set<String>, in targets: [Target]) -> [Target] {
    var wanted = names
    // Run by these tests, not linked into them.
    if !names.isDisjoint(with: ["PosternSandboxTests", "PosternWorkerTests"]) { wanted.insert("postern-init") }
    if names.contains("PosternCommandsTests") { wanted.formUnion(["postern", "postern-init"]) }
    var count = 0
    while count != wanted.count {
        count = wanted.count
        for target in targets where wanted.contains(target.name) {
            for case .byNameItem(let name, _) in target.dependencies { wanted.insert(name) }
        }
    }
    return targets.filter { wanted.contains($0.name) }
}

extension Target.Dependency {
    static func nio(_ name: String) -> Self { .product(name: name, package: "swift-nio") }
    static let logging: Self = .product(name: "Logging", package: "swift-log")
    static let crypto: Self = .product(name: "Crypto", package: "swift-crypto")
    /// RSA.
    static let cryptoExtras: Self = .product(name: "CryptoExtras", package: "swift-crypto")
    static let collections: Self = .product(name: "DequeModule", package: "swift-collections")
    static let http: Self = .product(name: "Hummingbird", package: "hummingbird")
    static let httpCore: Self = .product(name: "HummingbirdCore", package: "hummingbird")
    static let httpTypesNIO: Self = .product(name: "NIOHTTPTypes", package: "swift-nio-extras")
    static let httpTLS: Self = .product(name: "HummingbirdTLS", package: "hummingbird")
    static let httpClient: Self = .product(name: "AsyncHTTPClient", package: "async-http-client")
    static let httpTypes: Self = .product(name: "HTTPTypes", package: "swift-http-types")
    static let lifecycle: Self = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
    static let signals: Self = .product(name: "UnixSignals", package: "swift-service-lifecycle")
    static let grdb: Self = .product(name: "GRDB", package: "GRDB.swift")
    static let sqlite: Self = .product(name: "GRDBSQLite", package: "GRDB.swift")
    static let tls: Self = .product(name: "NIOSSL", package: "swift-nio-ssl")
    static let http2: Self = .product(name: "NIOHTTP2", package: "swift-nio-http2")
    static let hpack: Self = .product(name: "NIOHPACK", package: "swift-nio-http2")
    static let x509: Self = .product(name: "X509", package: "swift-certificates")
    static let asn1: Self = .product(name: "SwiftASN1", package: "swift-asn1")
    static let yams: Self = .product(name: "Yams", package: "Yams")
    static let arguments: Self = .product(name: "ArgumentParser", package: "swift-argument-parser")
}

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    let traced: SwiftSetting = .unsafeFlags(["-sanitize=fuzzer"])
    return .target(name: name, dependencies: dependencies, swiftSettings: fuzzer == nil ? settings : settings + [traced])
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies + ["SeededRandom"], swiftSettings: settings)
}

let sources: [Target] = [
    // Shared by every side: values and wire types, no I/O.
    library("PosternJSON"),
    library("ManagedAgentsAPI", ["PosternJSON"]),
    library("PosternTelemetry", ["PosternJSON", .logging]),

    // Control plane.
    library("PosternCore", ["ManagedAgentsAPI", "PosternJSON", .logging, .collections]),
    library("PosternStore", ["PosternCore", "ManagedAgentsAPI", "PosternJSON", .grdb, .sqlite, .crypto, .logging]),
    library(
        "PosternModels",
        [
            "PosternCore", "ManagedAgentsAPI", "PosternJSON", .httpClient, .nio("NIOCore"), .nio("NIOFoundationCompat"), .nio("NIOHTTP1"), .tls,
            .logging,
        ]),
    library(
        "PosternServer",
        [
            "PosternCore", "ManagedAgentsAPI", "PosternJSON", "PosternTelemetry", "PosternTunnelWire", .http, .httpCore, .httpTLS, .httpTypes,
            .httpTypesNIO, .lifecycle, .crypto, .x509, .asn1, .logging, .nio("NIOCore"), .tls,
        ]),

    // The control plane as the runtime that calls private MCP servers.
    library(
        "PosternRuntime",
        [
            "PosternCore", "PosternMCP", "PosternTunnelWire", "PosternTLS", "ManagedAgentsClient", "ManagedAgentsAPI", "PosternJSON", .nio("NIOCore"),
            .logging,
        ]),

    library(
        "PosternEdge",
        [
            "PosternTunnelWire", "PosternTunnelLink", "PosternHTTP", "PosternTLS", "ManagedAgentsClient", "ManagedAgentsAPI", "PosternTelemetry",
            "PosternJSON",
            .nio("NIOCore"), .nio("NIOPosix"), .tls, .x509, .asn1, .crypto, .logging,
        ]),

    // Perimeter.
    library(
        "PosternConnector",
        [
            "PosternTunnelWire", "PosternTunnelLink", "PosternHTTP", "PosternTLS", "PosternMCP", "PosternPolicy", "PosternGate", "PosternAudit",
            "PosternTelemetry", "PosternJSON",
            .collections, .nio("NIOCore"), .nio("NIOPosix"), .tls, .x509, .asn1, .crypto, .cryptoExtras, .logging,
        ]),
    library(
        "ManagedAgentsClient",
        ["ManagedAgentsAPI", "PosternTLS", "PosternJSON", .httpClient, .nio("NIOCore"), .nio("NIOHTTP1"), .nio("NIOFoundationCompat"), .logging]),
    // Both sides: what each reads from strangers.
    library("PosternHTTP", [.nio("NIOCore")]),
    library("PosternTLS"),
    library(
        "PosternMCP",
        [
            "ManagedAgentsClient", "ManagedAgentsAPI", "PosternTunnelWire", "PosternTunnelLink", "PosternHTTP", "PosternTLS", "PosternJSON",
            .nio("NIOCore"),
            .nio("NIOPosix"), .tls, .x509, .asn1, .crypto,
        ]),
    library("PosternAudit", ["PosternJSON", .crypto]),
    library("PosternGate", ["PosternAudit", "PosternJSON", .crypto]),
    library("PosternPolicy", ["PosternJSON", .yams, .crypto]),
    library(
        "PosternEgress",
        [
            "PosternPolicy", "PosternGate", "PosternSandboxWire", "CPosternSandbox", "PosternHTTP", "PosternTLS", "PosternJSON", .nio("NIOCore"),
            .nio("NIOPosix"), .nio("NIOHTTP1"), .nio("NIOTLS"), .tls, .x509, .asn1, .crypto, .logging,
        ]),
    .target(name: "CPosternSandbox", cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]),
    library("PosternSandboxWire", ["PosternJSON"]),
    library("PosternSandbox", ["CPosternSandbox", "PosternSandboxWire", "PosternJSON", .nio("NIOPosix"), .nio("NIOCore"), .logging]),
    library(
        "PosternWorker",
        [
            "ManagedAgentsClient", "ManagedAgentsAPI", "PosternSandbox", "PosternSandboxWire", "CPosternSandbox", "PosternPolicy", "PosternEgress",
            "PosternGate",
            "PosternAudit", "PosternTelemetry", "PosternJSON", .lifecycle,
            .logging,
        ]),

    // Tunnels: what edge, connector, control plane and runtime must mean alike; no I/O.
    library("PosternTunnelWire", ["PosternJSON", "PosternHTTP", "PosternTLS", .x509, .asn1, .crypto, .nio("NIOCore")]),
    library("PosternTunnelLink", ["PosternTunnelWire", "PosternHTTP", "PosternTLS", .nio("NIOCore"), .nio("NIOTLS"), .http2, .hpack]),

    // Tools around both.
    library("PosternScriptedModel", ["PosternJSON", .http, .httpTypes, .nio("NIOCore"), .logging]),
    library(
        "PosternCommands",
        [
            "PosternCore", "PosternStore", "PosternModels", "PosternServer", "PosternTelemetry", "PosternScriptedModel", "ManagedAgentsClient",
            "ManagedAgentsAPI", "PosternWorker", "PosternSandbox", "PosternSandboxWire", "PosternPolicy", "PosternEgress", "PosternGate",
            "PosternAudit", "PosternMCP", "PosternRuntime", "PosternJSON", "PosternEdge", "PosternConnector", "PosternTunnelWire", "PosternTLS",
            "CPosternSandbox", .arguments, .yams,
            .lifecycle, .signals, .logging, .http, .httpTypes, .httpClient,
            .nio("NIOCore"), .nio("NIOPosix"),
        ]),
    .executableTarget(name: "postern", dependencies: ["PosternCommands", .nio("NIOCore"), .nio("NIOPosix")], swiftSettings: settings),
    .executableTarget(
        name: "postern-init",
        dependencies: ["CPosternSandbox", "PosternSandboxWire", "PosternJSON"],
        // Static: it is PID 1 of a root that holds no Swift runtime, and it starts in a millisecond.
        swiftSettings: settings + [.unsafeFlags(["-static-executable"])],
        linkerSettings: [.unsafeFlags(["-static-executable"])]
    ),
    library("PosternTestKit", ["PosternCore", "ManagedAgentsAPI", "PosternJSON"]),
    .target(name: "SeededRandom", path: "Tests/Support/swift/SeededRandom", swiftSettings: settings),
    .target(
        name: "FuzzTargets",
        dependencies: [
            "PosternConnector", "PosternTunnelWire", "PosternHTTP", "PosternTLS", "PosternPolicy", "PosternJSON", "ManagedAgentsAPI", "SeededRandom",
            .nio("NIOCore"),
        ],
        path: "Tests/Support/swift/FuzzTargets", swiftSettings: settings),
]

let fuzzTargets: [Target] = [
    .target(name: "CLibFuzzer", path: "Tests/Support/swift/CLibFuzzer"),
    .executableTarget(
        name: "postern-fuzz", dependencies: ["FuzzTargets", "CLibFuzzer"], path: "Tests/Support/swift/postern-fuzz", swiftSettings: settings,
        linkerSettings: [.unsafeFlags(fuzzer.map { [$0, "-lstdc++"] } ?? [])]),
]

let testTargets: [Target] = [
    tests("PosternJSONTests", ["PosternJSON"]),
    tests("ManagedAgentsAPITests", ["ManagedAgentsAPI", "PosternJSON"]),
    tests("PosternCoreTests", ["PosternCore", "ManagedAgentsAPI", "PosternTestKit", "PosternJSON", .logging]),
    tests("PosternStoreTests", ["PosternStore", "PosternCore", "PosternTestKit", "ManagedAgentsAPI", "PosternJSON"]),
    tests(
        "PosternModelsTests",
        [
            "PosternModels", "PosternScriptedModel", "PosternCore", "ManagedAgentsAPI", "PosternJSON", .http, .httpClient, .nio("NIOCore"),
            .nio("NIOPosix"), .tls, .x509, .asn1, .crypto, .logging,
        ]),
    tests(
        "PosternServerTests",
        [
            "PosternServer", "PosternCore", "PosternTestKit", "ManagedAgentsAPI", "PosternJSON", "PosternTunnelWire", .http, .x509, .asn1, .crypto,
            .product(name: "HummingbirdTesting", package: "hummingbird"),
        ]),
    tests(
        "PosternRuntimeTests",
        [
            "PosternRuntime", "PosternServer", "PosternCore", "PosternTestKit", "PosternMCP", "ManagedAgentsClient", "ManagedAgentsAPI",
            "PosternTunnelWire", "PosternTunnelLink", "PosternHTTP", "PosternTLS", "PosternJSON", .nio("NIOCore"), .nio("NIOPosix"), .tls, .x509,
            .asn1,
            .crypto, .logging,
        ]),
    tests("ManagedAgentsClientTests", ["ManagedAgentsClient", "ManagedAgentsAPI", "PosternJSON", .http]),
    tests(
        "PosternMCPTests",
        [
            "PosternMCP", "ManagedAgentsClient", "ManagedAgentsAPI", "PosternTunnelWire", "PosternTunnelLink", "PosternHTTP", "PosternTLS",
            "PosternJSON",
            .nio("NIOCore"), .nio("NIOPosix"), .nio("NIOEmbedded"), .tls, .x509, .asn1, .crypto,
        ]),
    tests("PosternGateTests", ["PosternGate", "PosternAudit", "PosternJSON"]),
    tests("PosternAuditTests", ["PosternAudit", "PosternJSON", .crypto]),
    tests("PosternPolicyTests", ["PosternPolicy", "PosternJSON"]),
    tests(
        "PosternEgressTests",
        [
            "PosternEgress", "PosternPolicy", "PosternGate", "PosternSandboxWire", "PosternHTTP", "PosternTLS", "PosternJSON", .nio("NIOCore"),
            .nio("NIOPosix"),
            .nio("NIOEmbedded"),
            .nio("NIOHTTP1"), .tls, .x509, .asn1, .crypto, .logging,
        ]),
    tests("PosternTLSTests", ["PosternTLS"]),
    tests("PosternTunnelWireTests", ["PosternTunnelWire", "PosternHTTP", "PosternJSON", .x509, .asn1, .crypto, .nio("NIOCore")]),
    tests(
        "PosternTunnelTests",
        [
            "PosternEdge", "PosternConnector", "PosternTunnelWire", "PosternTunnelLink", "PosternHTTP", "PosternTLS", "PosternPolicy", "PosternAudit",
            "PosternGate", "PosternMCP", "ManagedAgentsClient", "PosternTelemetry", "PosternJSON", .nio("NIOCore"), .nio("NIOPosix"),
            .nio("NIOEmbedded"), .tls, .http2, .hpack, .x509, .asn1, .crypto, .cryptoExtras, .logging,
        ]),
    tests("PosternFuzzTests", ["FuzzTargets"]),
    tests("PosternSandboxTests", ["PosternSandbox", "PosternSandboxWire", "PosternJSON"]),
    tests(
        "PosternWorkerTests",
        [
            "PosternWorker", "PosternPolicy", "PosternGate", "PosternAudit", "ManagedAgentsClient", "ManagedAgentsAPI", "PosternSandbox",
            "PosternSandboxWire",
            "PosternJSON", .logging,
        ]),
    tests(
        "PosternCommandsTests",
        ["PosternCommands", "PosternConnector", "PosternMCP", "PosternPolicy", "PosternTunnelWire", "PosternSandboxWire", "PosternJSON"]),
]

let targets = onlyTests.map { closure(of: $0, in: sources + testTargets) } ?? (sources + testTargets + (fuzzer == nil ? [] : fuzzTargets))

let package = Package(
    name: "postern",
    platforms: [.macOS(.v15)],
    products: ["postern", "postern-init", "postern-fuzz"].filter { name in targets.contains { $0.name == name } }.map {
        .executable(name: $0, targets: [$0])
    },
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-asn1", exact: "1.7.4"),
        .package(url: "https://github.com/apple/swift-certificates", exact: "1.21.1"),
        .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-http2", exact: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    ],
    targets: targets
)
