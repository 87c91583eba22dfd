// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What the operator adds to every guest's metadata: a file's JSON, and the answers of services that are told of the
/// server (nova/api/metadata/vendordata_dynamic.py).
struct VendorData {
    private let room: ComputeService

    init(_ room: ComputeService) { self.room = room }

    /// The file is read at each asking: it may be changed while the cloud runs.
    func fixed() -> JSON {
        guard let path = room.options.metadata.vendorFile else { return [:] }
        guard let text = FileSystem.text(path), let json = try? JSON.parse(Array(text.utf8)) else {
            room.log.warning("vendor data cannot be read", ["file": path])
            return [:]
        }
        return json
    }

    func dynamic(for server: Server) async throws(Fault) -> [(String, JSON)] {
        let body: JSON = [
            "project-id": .string(server.projectID), "instance-id": .string(server.id),
            "image-id": server.imageID.map(JSON.string) ?? "", "user-data": server.userData.map(JSON.string) ?? .null,
            "hostname": .string(server.hostname),
            "metadata": .object(
                JSONObject(server.metadata.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })),
            "boot-roles": "",
        ]
        var answers: [(String, JSON)] = []
        for target in room.options.metadata.vendorTargets where !answers.contains(where: { $0.0 == target.name }) {
            answers.append((target.name, try await ask(target, body.bytes(), server)))
        }
        return answers
    }

    private func ask(
        _ target: (name: String, url: String), _ body: [UInt8], _ server: Server
    ) async throws(Fault) -> JSON {
        do throws(Fault) {
            let reply = try await room.vendorServices.send(
                "POST", target.url,
                headers: [
                    ("Content-Type", "application/json"), ("Accept", "application/json"),
                    ("User-Agent", "openstack-nova-vendordata"),
                ], body: body, timeout: room.options.metadata.vendorTimeout, limit: 1 << 20)
            guard (200..<300).contains(reply.status) else {
                throw .unavailable("it answered \(reply.status)")
            }
            if reply.body.isEmpty { return [:] }
            guard let json = try? JSON.parse(reply.body) else { throw .unavailable("its answer is no JSON") }
            return json
        } catch {
            room.log.warning(
                "a vendor data service failed",
                ["service": target.name, "url": target.url, "server": server.id, "error": error.message])
            if room.options.metadata.vendorFailureIsFatal {
                throw .unavailable("The vendor data service \(target.name) failed: \(error.message)")
            }
            return [:]
        }
    }
}
