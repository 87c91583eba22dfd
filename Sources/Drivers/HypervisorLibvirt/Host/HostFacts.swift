// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
internal import CLinux
package import Compute
internal import Glibc
package import Kernel

// MARK: - What the host has

extension LibvirtHypervisor {
    private static let encryptionTraits = ["COMPUTE_EPHEMERAL_ENCRYPTION", "COMPUTE_EPHEMERAL_ENCRYPTION_LUKS"]

    package func resources() async throws(Fault) -> HostResources {
        let (settings, encrypts) = (settings, secrets != nil)
        let abilities = try await abilities.find(session, settings)
        return try await session.call { connection throws(Fault) in
            var node = virNodeInfo()
            guard virNodeGetInfo(connection, &node) == 0 else { throw LibvirtError.last("describe the host") }
            var version: UInt = 0
            guard virConnectGetVersion(connection, &version) == 0 else { throw LibvirtError.last("tell its version") }
            let capabilities = try Self.capabilities(of: connection)
            let disk = try DiskSpace(of: settings.dataDirectory)
            var host = HostResources(
                hostName: settings.hostName, hypervisorType: "QEMU", hypervisorVersion: Int(version),
                hostIP: settings.hostIP, architecture: settings.architecture,
                cpu: Self.cpu(capabilities, node), vcpus: Int(node.cpus), memoryMiB: Int(node.memory / 1024),
                diskGiB: disk.totalGiB)
            host.cpu.features = abilities.features
            host.traits = abilities.traits + (encrypts ? Self.encryptionTraits : [])
            host.numaCells = HostCells.read(capabilities, settings)
            host.pciDevices = settings.devices.devices()
            host.mediatedSources = settings.mediated.sources()
            let known = Set(host.numaCells?.flatMap { $0.sharedCPUs + $0.ownCPUs } ?? [])
            host.ownCPUs = settings.dedicatedCPUs.map { $0.filter(known.contains).count }
            host.sharedCPUs = settings.sharedCPUs.map { $0.filter(known.contains).count }
            host.diskUsedGiB = disk.usedGiB
            host.diskAvailableGiB = disk.availableGiB
            try eachDomain(on: connection) { domain throws(Fault) in
                var facts = virDomainInfo()
                guard virDomainIsActive(domain) == 1, virDomainGetInfo(domain, &facts) == 0 else { return }
                host.guestsRunning += 1
                host.vcpusUsed += Int(facts.nrVirtCpu)
                host.memoryUsedMiB += Int(facts.maxMem / 1024)
            }
            let words = FileSystem.text("/proc/uptime")?.split(separator: ".").first
            host.uptimeSeconds = words.flatMap { Int($0) } ?? 0
            let load = FileSystem.text("/proc/loadavg") ?? ""
            host.load = load.split(separator: " ").prefix(3).compactMap { Double($0) }
            return host
        }
    }

    /// The host's cells, for who must know whether there are several.
    func cells() async throws(Fault) -> [HostResources.NUMACell]? {
        let settings = settings
        return try await session.call { connection throws(Fault) in
            HostCells.read(try Self.capabilities(of: connection), settings)
        }
    }

    private static func capabilities(of connection: virConnectPtr) throws(Fault) -> XMLElement {
        guard let text = virConnectGetCapabilities(connection) else { throw LibvirtError.last("tell its capabilities") }
        defer { text.deallocate() }
        guard let root = XMLElement.parse(String(cString: text)) else {
            throw .internalError("libvirt's capabilities cannot be read.")
        }
        return root
    }

    private static func cpu(_ capabilities: XMLElement, _ node: virNodeInfo) -> HostResources.CPU {
        let found = capabilities["host", "cpu"]
        return HostResources.CPU(
            vendor: found?["vendor"]?.text ?? "", model: found?["model"]?.text ?? "unknown",
            sockets: Int(node.sockets), cores: Int(node.cores), threads: Int(node.threads))
    }
}

/// The file system below a directory, in whole GiB.
private struct DiskSpace {
    let totalGiB: Int
    let usedGiB: Int
    let availableGiB: Int

    init(of directory: String) throws(Fault) {
        try FileSystem.makeDirectory(directory)
        var facts = statvfs()
        guard statvfs(directory, &facts) == 0 else { throw SystemError.fault("Cannot look at \(directory)") }
        func gib(_ blocks: UInt) -> Int { Int((blocks * facts.f_frsize) >> 30) }
        totalGiB = gib(facts.f_blocks)
        usedGiB = gib(facts.f_blocks - facts.f_bfree)
        availableGiB = gib(facts.f_bavail)
    }
}
