// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Whether parts of cards can go to another host while their guest runs: both hosts must be able to, and what the guest
/// gets there must be of the types that it has.
struct PartsTravel {
    private let server: Server
    private let source: ComputeHost?
    private let dest: ComputeHost

    init(_ server: Server, from source: ComputeHost?, to dest: ComputeHost) {
        (self.server, self.source, self.dest) = (server, source, dest)
    }

    func check(_ old: [HostDevice], _ new: [HostDevice]) throws(Fault) {
        let (had, gets) = (types(old), types(new))
        guard !had.isEmpty else { return }
        for (host, word) in [(source, "source"), (dest, "target")] where host.map({ !isAble($0) }) ?? false {
            throw .badRequest(
                "Migration pre-check error: Unable to migrate \(server.id): Either libvirt or QEMU version for compute "
                    + "service \(word) are too old than the supported ones : (QEMU: 8.1.0, libvirt: 8.6.0)")
        }
        let known = Set((dest.resources.mediatedSources ?? []).map(\.type))
        guard Set(had).isSubset(of: known) else {
            throw .badRequest(
                "Migration pre-check error: Unable to migrate \(server.id): Source mdev types \(had) are not supported "
                    + "by this compute : \(known.sorted())")
        }
        guard had == gets else {
            throw .badRequest(
                "Migration pre-check error: Unable to migrate \(server.id): Source mdevs "
                    + "\(old.filter { $0.kind == .mediated }.map(\.address)) are not fully mapped for this compute : "
                    + "\(new.filter { $0.kind == .mediated }.map(\.address))")
        }
    }

    private func types(_ devices: [HostDevice]) -> [String] {
        devices.filter { $0.kind == .mediated }.map { $0.type ?? "" }.sorted()
    }

    private func isAble(_ host: ComputeHost) -> Bool {
        host.resources.hypervisorType != "QEMU" || host.resources.hypervisorVersion >= 8_001_000
    }
}
