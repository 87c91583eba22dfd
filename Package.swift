// swift-tools-version: 6.2
// The map: one line per target, grouped by layer. An arrow in STYLE.md section 1 is a dependency here and nothing else is.
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

func shim(_ name: String, pkgConfig: String? = nil, apt: String) -> Target {
    .systemLibrary(name: name, path: "Sources/C/\(name)", pkgConfig: pkgConfig, providers: [.apt([apt])])
}
func kernel(_ name: String, _ uses: Target.Dependency...) -> Target {
    .target(name: name, dependencies: uses, path: "Sources/Kernel/\(name)", swiftSettings: strict)
}
func room(_ name: String) -> Target {
    .target(
        name: name, dependencies: ["Kernel", "Clients"], path: "Sources/Services/\(name)", exclude: ["README.md"],
        swiftSettings: strict)
}
func driver(_ name: String, _ uses: Target.Dependency...) -> Target {
    .target(name: name, dependencies: ["Kernel"] + uses, path: "Sources/Drivers/\(name)", swiftSettings: strict)
}
func tests(_ name: String, _ uses: Target.Dependency...) -> Target {
    .testTarget(name: name, dependencies: uses, path: "Tests/\(name)", swiftSettings: strict)
}

let package = Package(
    name: "apus",
    products: [.executable(name: "apus", targets: ["apus"])],
    targets: [
        // C: system libraries, nothing else
        shim("CSQLite", pkgConfig: "sqlite3", apt: "libsqlite3-dev"),
        shim("CMicrohttpd", pkgConfig: "libmicrohttpd", apt: "libmicrohttpd-dev"),
        shim("COpenSSL", pkgConfig: "openssl", apt: "libssl-dev"),
        shim("CLibvirt", pkgConfig: "libvirt", apt: "libvirt-dev"),
        shim("CXmlSec", pkgConfig: "xmlsec1-openssl", apt: "libxmlsec1-dev"),
        shim("CCurl", pkgConfig: "libcurl", apt: "libcurl4-openssl-dev"),
        shim("CLDAP", pkgConfig: "ldap", apt: "libldap-dev"),
        shim("CRabbitMQ", pkgConfig: "librabbitmq", apt: "librabbitmq-dev"),
        shim("CCrypt", pkgConfig: "libcrypt", apt: "libcrypt-dev"),
        shim("CZlib", pkgConfig: "zlib", apt: "zlib1g-dev"),
        shim("CLinux", apt: "libc6-dev"),
        shim("CCeph", apt: "librbd-dev"),

        // Kernel: knows no OpenStack service
        kernel("Base", "CLinux"),
        kernel("JSON", "Base"),
        kernel("Config", "Base"),
        kernel("Observability", "Base", "JSON", "Config"),
        kernel("HTTP", "Base", "Config", "Observability", "CMicrohttpd", "CCurl", "CLinux"),
        kernel("SQL", "Base", "JSON", "Config", "Observability", "CSQLite"),
        kernel("Access", "Base", "JSON", "Config", "Observability", "COpenSSL", "CCrypt"),
        kernel("API", "Base", "JSON", "Config", "Observability", "HTTP", "SQL", "Access"),
        kernel("Work", "Base", "JSON", "Observability", "SQL"),
        kernel("OVSDB", "Base", "JSON", "Observability", "CLinux", "COpenSSL"),
        .target(
            name: "Kernel",
            dependencies: ["Base", "JSON", "Config", "Observability", "HTTP", "SQL", "Access", "API", "Work"],
            path: "Sources/Kernel/Umbrella", swiftSettings: strict),
        .target(
            name: "Simulation", dependencies: ["Kernel"], path: "Sources/Kernel/Simulation", swiftSettings: strict),

        // Clients: the public APIs, typed; in process or over HTTP
        .target(name: "Clients", dependencies: ["Kernel"], path: "Sources/Clients", swiftSettings: strict),

        // Services: one room each
        room("Identity"), room("Image"), room("Placement"), room("Network"), room("Compute"),
        room("LoadBalancer"),

        // Drivers: one target per back end
        driver("ImageImports", "Image", "CZlib"),
        .target(
            name: "Engines", dependencies: ["Base", "Config", "CLinux"], path: "Sources/Drivers/Engines",
            swiftSettings: strict),
        driver("NetworkOVN", "Network", "OVSDB"),
        driver("RoutingBIRD", "Network"), driver("NamesDesignate", "Network"),
        driver("HypervisorLibvirt", "Compute", "OVSDB", "CLibvirt", "CLinux"),
        driver("LoadBalancerHAProxy", "LoadBalancer"), driver("LoadBalancerOVN", "LoadBalancer", "OVSDB"),
        driver("IdentityLDAP", "Identity", "CLDAP"),
        driver("FederationSAML", "Identity", "CXmlSec"),
        driver("BusRabbitMQ", "CRabbitMQ"),
        driver("ImageFiles", "Image", "CLinux", "COpenSSL"),
        driver("ImageHTTP", "Image"), driver("ImageS3", "Image"), driver("ImageObjectStore", "Image"),
        driver("ImageCeph", "Image", "CCeph"),

        // The binary
        .executableTarget(
            name: "apus",
            dependencies: [
                "ImageImports",
                "Kernel", "Clients", "Identity", "Image", "Placement", "Network", "Compute", "Engines", "NetworkOVN",
                "LoadBalancer", "LoadBalancerHAProxy", "LoadBalancerOVN",
                "HypervisorLibvirt", "ImageFiles", "ImageHTTP", "ImageS3", "ImageObjectStore", "ImageCeph", "OVSDB",
                "IdentityLDAP", "FederationSAML", "RoutingBIRD", "NamesDesignate",
                "BusRabbitMQ",
            ],
            path: "Sources/apus", swiftSettings: strict),

        // Tests: same file names as what they test
        tests("BaseTests", "Base"),
        tests("JSONTests", "JSON", "Base"),
        tests("ConfigTests", "Config", "Base"),
        tests("ObservabilityTests", "Observability", "Base", "JSON"),
        tests("HTTPTests", "HTTP", "Base", "Observability"),
        tests("SQLTests", "SQL", "Base", "JSON", "Observability"),
        tests("AccessTests", "Access", "Base", "JSON"),
        tests("APITests", "Kernel", "Simulation"),
        tests("WorkTests", "Kernel", "Simulation"),
        tests("OVSDBTests", "OVSDB", "Base", "JSON"),
        tests("IdentityTests", "Identity", "FederationSAML", "Kernel", "Clients", "Simulation"),
        tests("IdentityLDAPTests", "IdentityLDAP", "Identity", "Kernel"),
        tests("ImageTests", "Image", "ImageFiles", "ImageImports", "Kernel", "Clients", "Simulation"),
        tests(
            "ImageStoreTests", "Image", "ImageFiles", "ImageHTTP", "ImageS3", "ImageObjectStore", "ImageCeph",
            "Kernel"),
        tests("PlacementTests", "Placement", "Kernel", "Clients", "Simulation"),
        tests("NetworkTests", "Network", "Placement", "Kernel", "Clients", "Simulation"),
        tests("ComputeTests", "Compute", "Placement", "Kernel", "Clients", "Simulation"),
        tests("LoadBalancerTests", "LoadBalancer", "Network", "Kernel", "Clients", "Simulation"),
        tests(
            "LoadBalancerDriverTests", "LoadBalancerHAProxy", "LoadBalancerOVN", "LoadBalancer", "NetworkOVN",
            "Network",
            "OVSDB", "Engines", "Kernel"),
        tests("HypervisorLibvirtTests", "HypervisorLibvirt", "Compute", "Kernel"),
        tests("NetworkOVNTests", "NetworkOVN", "Network", "OVSDB", "Engines", "Kernel"),
        tests("RoutingBIRDTests", "RoutingBIRD", "Network", "Kernel"),
        tests("NamesDesignateTests", "NamesDesignate", "Network", "Kernel"),
        tests("BusRabbitMQTests", "BusRabbitMQ", "Kernel", "CRabbitMQ"),
        tests("EnginesTests", "Engines", "Base"),
        tests("Tidy", "Base"),
    ]
)

// Tests/Fuzz/formats builds it, with the sanitizers that libFuzzer needs; nothing else does.
if Context.environment["APUS_FUZZ"] != nil {
    package.targets += [
        .systemLibrary(name: "CFuzzer", path: "Tests/Fuzz/CFuzzer"),
        .executableTarget(
            name: "FormatFuzzer", dependencies: ["CFuzzer", "Image", "Kernel"], path: "Tests/Fuzz/Formats",
            exclude: ["corpus"],
            swiftSettings: strict),
    ]
}
