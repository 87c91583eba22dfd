// SPDX-License-Identifier: Apache-2.0
import Compute
import Engines
import HypervisorLibvirt
import Identity
import Kernel
import NetworkOVN

/// What `apus up` was asked for, in flags, environment and file: whole and checked.
struct UpSettings: Sendable {
    /// The flags that are short for options.
    private static let short = [
        "hypervisor": "DEFAULT.compute_driver", "network": "ml2.mechanism_drivers", "hosts": "up.hosts",
        "port-offset": "up.port_offset", "listen": "DEFAULT.bind_host",
        "password-rounds": "identity.password_hash_rounds",
    ]
    static let flags = ["data", "config"] + short.keys.sorted()

    let data: String
    /// The files that were read.
    let files: [String]
    let configuration: Configuration
    private let asked: Flags

    init(_ flags: Flags) throws(Fault) {
        guard let data = flags["data"], !data.isEmpty else {
            throw .badRequest("apus up: --data DIR says where the cloud is kept; it is made when it is missing")
        }
        try self.init(flags, data: data)
    }

    init(_ flags: Flags, data: String) throws(Fault) {
        asked = flags
        self.data = FileSystem.absolute(data)
        let own = self.data + "/apus.conf"
        files = flags["config"].map { [FileSystem.absolute($0)] } ?? (FileSystem.exists(own) ? [own] : [])
        var given: [String: String] = [:]
        var spelling: [String: String] = [:]
        for (name, option) in UpSettings.short {
            given[option] = flags[name]
            spelling[option] = name
        }
        do {
            configuration = try Configuration.load(
                files: files, environment: Environment.all(), flags: given, spelling: spelling, known: Cloud.options)
        } catch {
            throw .badRequest("apus: the configuration has \(error)")
        }
        _ = try policies(.silent)
    }

    /// The same, read again: files may say something else now.
    func again() throws(Fault) -> UpSettings { try UpSettings(asked, data: data) }

    var up: UpOptions { configuration[UpOptions.self] }
    var listen: ListenOptions { configuration[ListenOptions.self] }
    var hypervisor: UpOptions.HypervisorKind { up.hypervisor }
    var network: UpOptions.NetworkKind { up.network }
    var offset: Int { up.offset }
    var needsEngines: Bool { hypervisor == .libvirt || network == .ovn }

    var databasePath: String { configuration[DatabaseOptions.self].path.map(FileSystem.absolute) ?? data + "/apus.db" }

    /// What the engines are told; a hypervisor or an OVN that runs elsewhere needs none here.
    var engines: EngineOptions {
        var options = configuration[EngineOptions.self]
        options.hypervisor = hypervisor == .libvirt && configuration[LibvirtOptions.self].connectionURI == nil
        if hypervisor == .fake { options.chassisName = "fake-1" }
        return options
    }

    func log(_ clock: any WallClock) -> Log {
        configuration[LogOptions.self].log(standard: data + "/log/apus.log", clock: clock)
    }

    /// The policies in force, from the operator's file as it is now.
    func policies(_ log: Log) throws(Fault) -> PolicyBook {
        let options = configuration[PolicyOptions.self]
        let path = options.file ?? data + "/policy.yaml"
        do {
            return try PolicyBook(
                Cloud.indexes.map { PolicyBook.Chapter($0.type, $0.rules) },
                overrides: options.overrides(standard: path), enforceScope: options.enforceScope, log: log)
        } catch {
            throw .badRequest("apus: the policy file \(path) has mistakes:\n\(error)")
        }
    }

    /// The address of a service as clients reach it.
    func url(_ port: Int) -> String { listen.url(port + offset) }
}
