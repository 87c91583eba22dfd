// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Disks that an image asks for: one made of a server on volumes names their snapshots.
extension BlockDeviceDraft {
    /// What an image asks for; empty for one that is simply a disk.
    static func defined(by image: ImageClient.Image?) throws(Fault) -> [BlockDeviceDraft] {
        guard let image, let text = image.properties["block_device_mapping"] else { return [] }
        guard let items = (try? JSON.parse(Array(text.utf8)))?.array else {
            throw .badRequest("Block Device Mapping is Invalid: that of image \(image.id) is no list.")
        }
        let isNew = Format<Bool>.truth(image.properties["bdm_v2"] ?? "") ?? false
        let root = short(image.properties["root_device_name"] ?? "vda")
        return try items.mapping { item throws(Fault) in
            guard let draft = isNew ? BlockDeviceDraft(defined: item) : BlockDeviceDraft(old: item, root: root) else {
                throw .badRequest("Block Device Mapping is Invalid: image \(image.id) has one that is not understood.")
            }
            return draft
        }
    }

    /// The disks of a server: the image's, but for those of which the request has one of the same name, then the
    /// request's. Where the image has a root disk it is not one itself.
    static func merge(_ defined: [BlockDeviceDraft], _ asked: [BlockDeviceDraft]) -> [BlockDeviceDraft] {
        var asked = asked
        if defined.contains(where: { $0.bootIndex == 0 }) {
            asked.removeAll { $0.bootIndex == 0 && $0.source == .image }
        }
        let names = Set(asked.compactMap(\.device).map(short))
        return defined.filter { draft in draft.device.map { !names.contains(short($0)) } ?? true } + asked
    }

    private static func short(_ name: String) -> String {
        name.hasPrefix("/dev/") ? String(name.dropFirst(5)) : name
    }

    private init?(defined item: JSON) {
        guard let source = item["source_type"]?.string.flatMap(BlockDevice.Source.init(rawValue:)),
            let destination = item["destination_type"]?.string.flatMap(BlockDevice.Destination.init(rawValue:))
        else { return nil }
        (self.source, self.destination) = (source, destination)
        uuid = item[source.rawValue + "_id"]?.string
        guard source == .blank || uuid != nil else { return nil }
        bootIndex = item["boot_index"]?.integer
        size = item["volume_size"]?.integer
        volumeType = item["volume_type"]?.string
        guestFormat = item["guest_format"]?.string
        bus = item["disk_bus"]?.string
        kind = item["device_type"]?.string
        device = item["device_name"]?.string
        tag = item["tag"]?.string
        deletesWithServer = item["delete_on_termination"]?.bool ?? false
    }

    private init?(old item: JSON, root: String) {
        if let snapshot = item["snapshot_id"]?.string {
            (source, uuid) = (.snapshot, snapshot)
        } else if let volume = item["volume_id"]?.string {
            (source, uuid) = (.volume, volume)
        } else {
            return nil
        }
        destination = .volume
        size = item["volume_size"]?.integer
        device = item["device_name"]?.string
        bootIndex = device.map { Self.short($0) == root } ?? false ? 0 : -1
        deletesWithServer = item["delete_on_termination"]?.bool ?? false
    }
}
