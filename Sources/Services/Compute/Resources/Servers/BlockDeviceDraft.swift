// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A disk as asked for when a server is created, in the newer form or in the older (`block_device_mapping`).
struct BlockDeviceDraft: Sendable {
    var source: BlockDevice.Source
    var destination: BlockDevice.Destination
    /// The image, volume or snapshot it is made of.
    var uuid: String?
    var bootIndex: Int?
    var size: Int?
    var volumeType: String?
    var guestFormat: String?
    var bus: String?
    var kind: String?
    var device: String?
    var tag: String?
    var deletesWithServer: Bool

    /// Reads both members; a request has one of them at most.
    static func read(_ body: inout Body, hasImage: Bool, _ request: Request) throws(Fault) -> [BlockDeviceDraft] {
        let new = try body.takeObjects("block_device_mapping_v2")
        let old = try body.takeObjects("block_device_mapping")
        if new != nil, old != nil {
            throw .badRequest(
                "Using different block_device_mapping syntaxes is not allowed in the same request.")
        }
        if let new {
            return try new.mapping { item throws(Fault) in try BlockDeviceDraft(item, hasImage: hasImage, request) }
                .compactMap { $0 }
        }
        let drafts = try (old ?? []).mapping { item throws(Fault) in try BlockDeviceDraft(old: item) }
        return hasImage ? drafts : rooted(drafts)
    }

    private static var invalid: String { "Block Device Mapping is Invalid: " }

    /// Nil for a device that is only named to be left out.
    private init?(_ item: Body, hasImage: Bool, _ request: Request) throws(Fault) {
        var item = item
        let isLeftOut = item.has("no_device") && item.peek("no_device")?.isNull == false
        let source = try item.take("source_type", .choice(BlockDevice.Source.self))
        destination = try item.take("destination_type", .choice(BlockDevice.Destination.self)) ?? .local
        uuid = try item.take("uuid", .deviceReference)
        for name in ["image_id", "volume_id", "snapshot_id"] {
            let id = try item.take(name, .text(0...255))
            if source.map({ $0.rawValue + "_id" }) == name { uuid = uuid ?? id }
        }
        bootIndex = try item.option("boot_index", .integer())
        size = try item.take("volume_size", .volumeSize)
        volumeType = try item.option("volume_type", .text(0...255), since: "2.67")
        guestFormat = try item.take("guest_format", .text(0...255))
        bus = try item.take("disk_bus", .text(0...255))
        kind = try item.take("device_type", .text(0...255))
        device = try item.take("device_name", .deviceName)
        // The tag was left out of the schema for ten versions, by mistake.
        tag =
            request.version >= "2.42"
            ? try item.take("tag", .tag) : try item.take("tag", .tag, since: "2.32", until: "2.33")
        deletesWithServer = try item.take("delete_on_termination", .bool) ?? false
        item.ignore("no_device", "virtual_name", "connection_info")
        try item.end()
        if isLeftOut { return nil }
        guard let source else { throw .badRequest(Self.invalid + "Some required fields are missing") }
        self.source = source
        try check(hasImage: hasImage)
    }

    private func check(hasImage: Bool) throws(Fault) {
        let invalid = Self.invalid
        if source == .blank, uuid != nil { throw .badRequest(invalid + "Invalid device UUID.") }
        if source != .blank, uuid?.isEmpty != false { throw .badRequest(invalid + "Missing device UUID.") }
        if source == .image, destination == .local, !(hasImage && bootIndex == 0) {
            throw .badRequest(invalid + "Mapping image to local is not supported.")
        }
        if source == .volume || source == .snapshot, destination == .local {
            throw .badRequest(invalid + "Mapping \(source.rawValue) to local is not supported.")
        }
        if destination == .local, volumeType != nil {
            throw .badRequest(invalid + "Specifying a volume_type with destination_type=local is not supported.")
        }
        if source == .volume, volumeType != nil {
            throw .badRequest(invalid + "Specifying volume type to existing volume is not supported.")
        }
        let buses = ["fdc", "ide", "sata", "scsi", "usb", "virtio", "xen", "lxc", "uml"]
        if let bus, !buses.contains(bus) {
            throw .badRequest(invalid + "The provided disk bus \(bus) is not valid.")
        }
    }

    private init(old: Body) throws(Fault) {
        var item = old
        let virtual = try item.take("virtual_name", .text(0...255))
        let volume = try item.take("volume_id", .uuid)
        let snapshot = try item.take("snapshot_id", .text(0...255))
        size = try item.take("volume_size", .volumeSize)
        device = try item.take("device_name", .deviceName)
        deletesWithServer = try item.take("delete_on_termination", .bool) ?? false
        item.ignore("no_device", "connection_info")
        try item.end()
        if let virtual, virtual == "swap" || virtual.hasPrefix("ephemeral") {
            (source, destination, deletesWithServer) = (.blank, .local, true)
            guestFormat = virtual == "swap" ? "swap" : nil
        } else if let snapshot, !snapshot.isEmpty {
            (source, destination, uuid) = (.snapshot, .volume, snapshot)
        } else if let volume {
            (source, destination, uuid) = (.volume, .volume, volume)
        } else {
            throw .badRequest(Self.invalid + "Unrecognized legacy format.")
        }
    }

    /// In the older form the server boots from the device that has the root's name, else from the first volume.
    private static func rooted(_ drafts: [BlockDeviceDraft]) -> [BlockDeviceDraft] {
        var drafts = drafts
        let names = ["vda", "/dev/vda"]
        let at =
            drafts.firstIndex { $0.destination == .volume && names.contains($0.device ?? "") }
            ?? drafts.firstIndex { $0.destination == .volume }
        if let at { drafts[at].bootIndex = 0 }
        return drafts
    }
}

extension Format where Value == String {
    fileprivate static var deviceReference: Format {
        text(1...255).map { text throws(Misfit) in
            guard isClean(text, "._-") else { throw Misfit("'\(text)' does not match '^[a-zA-Z0-9._-]*$'") }
            return text
        }
    }

    static var deviceName: Format {
        text(1...255).map { text throws(Misfit) in
            guard isClean(text, "._/-") else { throw Misfit("'\(text)' does not match '^[a-zA-Z0-9._/-]*$'") }
            return text
        }
    }

    private static func isClean(_ text: String, _ others: String) -> Bool {
        text.unicodeScalars.allSatisfy {
            ("a"..."z").contains($0) || ("A"..."Z").contains($0) || ("0"..."9").contains($0)
                || others.unicodeScalars.contains($0)
        }
    }
}

extension Format where Value == Int {
    /// Gibibytes, 1 to the largest 32 bit number.
    fileprivate static var volumeSize: Format { integer(1...Int(Int32.max)) }
}
