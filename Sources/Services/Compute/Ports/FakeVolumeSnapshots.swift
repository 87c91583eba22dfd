// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Chains of files of volumes, the one in use last.
extension FakeHypervisor: GuestVolumeSnapshots {
    package func snapshot(
        volume: String, of server: String, to file: String, freeze: GuestFreeze
    ) async throws(Fault) {
        try await change { () throws(Fault) in
            let at = try volumeFile(volume, of: server)
            guard at.name != file else { return }
            chains[volume, default: [at.name]].append(file)
            guestsByID[server]?.spec.volumes[at.index].connection = .file(path: at.folder + file, format: "qcow2")
        }
    }

    package func merge(_ merge: VolumeMerge, ofVolume volume: String, of server: String) async throws(Fault) {
        try await change { () throws(Fault) in
            let at = try volumeFile(volume, of: server)
            var chain = chains[volume, default: [at.name]]
            if merge.target != nil {
                chain.removeAll { $0 == merge.file }
            } else {
                let below = merge.file.flatMap { chain.firstIndex(of: $0) }.map { chain[...$0] } ?? []
                chain = below + [at.name]
            }
            chains[volume] = chain
        }
    }

    private func volumeFile(
        _ volume: String, of server: String
    ) throws(Fault) -> (index: Int, folder: String, name: String) {
        let volumes = try ours(server).spec.volumes
        guard let index = volumes.firstIndex(where: { $0.volumeID == volume }),
            case .file(let path, _) = volumes[index].connection, let slash = path.lastIndex(of: "/")
        else { throw .notAFile(volume, of: server) }
        return (index, String(path[...slash]), String(path[path.index(after: slash)...]))
    }
}

extension Fault {
    package static func notAFile(_ volume: String, of server: String) -> Fault {
        .conflict("Volume \(volume) of instance \(server) is no file that could be snapshotted through its guest.")
    }
}
