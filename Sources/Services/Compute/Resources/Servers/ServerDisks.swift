// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// The disks of servers that are asked for: checked against flavor, image and Block storage before anything is written.
struct ServerDisks: Sendable {
    /// What was asked for beside the image's own disk; empty when there is nothing but that and what the flavor has.
    private(set) var devices: [BlockDeviceDraft] = []
    /// What a root disk that is a volume was made of; nil when the server boots from its image.
    private(set) var rootProperties: [String: String]?
    /// Volumes that are there already and may be had by several servers.
    private var shared: Set<String> = []
    /// What the content of a root volume asks of the flavor.
    private var leastRAM = 0
    /// Of the volumes that are there already.
    private var zones: [String] = []

    var isVolumeBacked: Bool { rootProperties != nil }
    private var count: Int { devices.count + (isVolumeBacked ? 0 : 1) }
    /// Those that are there already.
    var volumes: [String] { devices.filter { $0.source == .volume }.compactMap(\.uuid) }

    /// What no boot sequence can be made of.
    static var noBootSequence: Fault {
        .badRequest(
            "Block Device Mapping is Invalid: Boot sequence for the instance and image/block device mapping "
                + "combination is not valid.")
    }

    static func plan(
        _ draft: ServerDraft, _ flavor: Flavor, _ image: ImageClient.Image?, _ request: Request
    ) async throws(Fault) -> ServerDisks {
        var disks = ServerDisks()
        let defined = try BlockDeviceDraft.defined(by: image)
        disks.devices = BlockDeviceDraft.merge(defined, draft.devices)
        guard !disks.devices.isEmpty else {
            guard draft.imageRef != nil else { throw noBootSequence }
            try request.compute.options.storage.admit(disks: disks.count)
            return disks
        }
        let isRooted = defined.contains { $0.bootIndex == 0 }
        try disks.checkBoot(draft, isRooted: isRooted)
        if draft.maxCount > 1, disks.devices.contains(where: { $0.source == .volume }) {
            throw .badRequest("Cannot attach one or more volumes to multiple instances")
        }
        try await disks.checkVolumes(request)
        guard disks.leastRAM <= flavor.memoryMB else {
            throw .badRequest("Flavor's memory is too small for requested image.")
        }
        // The image tells more of its disks than the volumes that they were.
        if isRooted, let image { disks.rootProperties = image.guestProperties }
        // The image's own disk is there without being written down.
        disks.devices.removeAll { $0.source == .image && $0.destination == .local }
        try disks.addFlavorDisks(flavor)
        try request.compute.options.storage.admit(disks: disks.count)
        try disks.checkLocal(flavor, isImageRooted: !disks.isVolumeBacked)
        return disks
    }

    /// Where a server with these volumes may be: where it was asked for, unless they would be elsewhere
    /// (`[cinder] cross_az_attach`).
    func zone(asked: String?, _ options: ComputeOptions) throws(Fault) -> String? {
        guard !options.storage.crossesZones, let zone = zones.first else { return asked }
        guard Set(zones).count == 1 else {
            throw .badRequest("Volumes are in different availability zones: \(zones.joined(separator: ","))")
        }
        // The usual zone is none to be bound to.
        guard let asked else { return zone == AvailabilityZones.usual ? nil : zone }
        guard asked == zone else {
            throw .badRequest(
                "Server and volumes are not in the same availability zone. Server is in: \(asked). Volumes are in: "
                    + zone)
        }
        return asked
    }

    /// Boot indexes count from 0 without a gap.
    /// - Parameter isRooted: whether the image names the root disk.
    private func checkBoot(_ draft: ServerDraft, isRooted: Bool) throws(Fault) {
        var indexes = devices.compactMap(\.bootIndex).filter { $0 >= 0 }.sorted()
        // In the older form the image comes first without being named.
        if draft.isOldDevices || draft.devices.isEmpty, draft.imageRef != nil, !isRooted { indexes.insert(0, at: 0) }
        guard !indexes.isEmpty, indexes == Array(0..<indexes.count) else { throw Self.noBootSequence }
        if draft.imageRef != nil, draft.devices.contains(where: { $0.destination == .volume && $0.isNamedRoot }) {
            throw .badRequest("The volume cannot be assigned the same device name as the root device vda")
        }
    }

    /// Blank disks that the flavor gives and that nothing asked for differently.
    private mutating func addFlavorDisks(_ flavor: Flavor) throws(Fault) {
        if flavor.ephemeralGB > 0, !devices.contains(where: \.isEphemeral) {
            devices.append(BlockDeviceDraft(blank: flavor.ephemeralGB, format: nil))
        }
        if flavor.swapMB > 0, !devices.contains(where: \.isSwap) {
            devices.append(BlockDeviceDraft(blank: flavor.swapMB, format: "swap"))
        }
    }

    private func checkLocal(_ flavor: Flavor, isImageRooted: Bool) throws(Fault) {
        let ephemeral = devices.filter(\.isEphemeral).reduce(0) { $0 + ($1.size ?? flavor.ephemeralGB) }
        guard ephemeral <= flavor.ephemeralGB else {
            throw .badRequest(
                "Ephemeral disks requested are larger than the instance type allows. If no size is given in one block "
                    + "device mapping, flavor ephemeral size will be used.")
        }
        let swaps = devices.filter(\.isSwap)
        guard swaps.count < 2 else {
            throw .badRequest("Block Device Mapping is Invalid: More than one swap drive requested.")
        }
        guard swaps.first?.size ?? 0 <= flavor.swapMB else {
            throw .badRequest("Swap drive requested is larger than instance type allows.")
        }
        let local = devices.count { $0.destination == .local } + (isImageRooted ? 1 : 0)
        guard local <= 3 else {
            throw .badRequest(
                "Block Device Mapping is Invalid: You specified more local devices than the limit allows")
        }
    }
}

// MARK: - Volumes

extension ServerDisks {
    private mutating func checkVolumes(_ request: Request) async throws(Fault) {
        let storage = request.compute.storage.acting(as: request.caller)
        var types: [(id: String, name: String)]?
        for at in devices.indices where devices[at].destination == .volume {
            if let type = devices[at].volumeType {
                let known: [(id: String, name: String)]
                if let types { known = types } else { known = try await storage.volumeTypes(requestID: request.id) }
                types = known
                guard known.contains(where: { $0.id == type || $0.name == type }) else {
                    throw .badRequest("Volume type \(type) could not be found.")
                }
            }
            let properties = try await check(at, storage, request)
            if devices[at].bootIndex == 0 { rootProperties = properties }
        }
    }

    /// Looks at what a volume is, or is to be made of; answers what its content tells of itself.
    private mutating func check(
        _ at: Int, _ storage: BlockStorageClient, _ request: Request
    ) async throws(Fault) -> [String: String] {
        let id = devices[at].uuid ?? ""
        let isRoot = devices[at].bootIndex == 0
        switch devices[at].source {
        case .volume:
            guard let volume = try await storage.volume(id, requestID: request.id) else {
                throw .badRequest("Block Device Mapping is Invalid: failed to get volume \(id).")
            }
            try volume.requireFree(request)
            if isRoot, !volume.isBootable { throw .badRequest("Block Device \(id) is not bootable.") }
            devices[at].size = volume.size
            zones.append(volume.zone)
            if volume.isMultiattach { shared.insert(id) }
            if isRoot { leastRAM = volume.leastRAM }
            return volume.imageProperties
        case .snapshot:
            guard let snapshot = try await storage.snapshot(id, requestID: request.id) else {
                throw .badRequest("Block Device Mapping is Invalid: failed to get snapshot \(id).")
            }
            devices[at].size = devices[at].size ?? snapshot.size
            guard isRoot, let volume = try await storage.volume(snapshot.volumeID, requestID: request.id) else {
                return [:]
            }
            leastRAM = volume.leastRAM
            return volume.imageProperties
        case .image:
            try await requireStorage(storage, "image", request)
            return try await checkImage(id, at, request)
        case .blank:
            try await requireStorage(storage, "blank", request)
            guard devices[at].size != nil else {
                throw .badRequest("Blank volumes (source: 'blank', dest: 'volume') need to have non-zero size")
            }
            return [:]
        }
    }

    private mutating func checkImage(_ id: String, _ at: Int, _ request: Request) async throws(Fault) -> [String:
        String]
    {
        guard let image = try await request.compute.images.find(id, requestID: request.id, as: request.caller) else {
            throw .badRequest("Block Device Mapping is Invalid: failed to get image \(id).")
        }
        guard let size = devices[at].size else {
            throw .badRequest("Images with destination_type 'volume' need to have a non-zero size specified")
        }
        guard image.status == "active" else { throw .badRequest("Image \(id) is not active.") }
        guard size >= image.minDisk else {
            throw .badRequest(
                "Volume is smaller than the minimum size specified in image metadata. Volume size is \(size << 30) "
                    + "bytes, minimum size is \(image.minDisk << 30) bytes.")
        }
        if devices[at].bootIndex == 0 { leastRAM = image.minRAM }
        return image.guestProperties
    }

    /// Making a volume needs somebody who makes it.
    private func requireStorage(
        _ storage: BlockStorageClient, _ source: String, _ request: Request
    ) async throws(Fault) {
        do throws(Fault) {
            _ = try await storage.volumeTypes(requestID: request.id)
        } catch {
            guard error.code == "BlockStorageMissing" else { throw error }
            throw .badRequest(
                "Block Device Mapping is Invalid: a device from '\(source)' to 'volume' needs the block storage "
                    + "service, which this cloud does not have.")
        }
    }
}

extension BlockStorageClient.Volume {
    /// A volume is had by one server, or by several when it allows that and the client knows of it.
    func requireFree(_ request: Request) throws(Fault) {
        if isMultiattach, request.version < "2.60" {
            throw .badRequest("Multiattach volumes are only supported starting with compute API version 2.60.")
        }
        guard status == "available" || (isMultiattach && status == "in-use") else {
            throw .badRequest(
                "Invalid volume: Volume \(id) status must be available or downloading to reserve, but the current "
                    + "status is \(status).")
        }
    }
}

// MARK: - Rows

extension ServerDisks {
    /// The rows for one server, with the names its disks will have.
    func rows(for server: Server, _ ids: any Identifiers, _ now: Timestamp) -> [BlockDevice] {
        guard !devices.isEmpty else { return [] }
        var names = DeviceNames(used: devices.compactMap(\.device), bus: server.imageProperties["hw_disk_bus"])
        if !isVolumeBacked { _ = names.next() }
        let order = devices.enumerated().sorted { ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset) }
        return order.enumerated().map { position, item in
            let draft = item.element
            let isVolume = draft.source == .volume
            return BlockDevice(
                id: ids.uuid(), serverID: server.id, position: position, bootIndex: draft.bootIndex,
                source: draft.source, destination: draft.destination, volumeID: isVolume ? draft.uuid : nil,
                snapshotID: draft.source == .snapshot ? draft.uuid : nil,
                imageID: draft.source == .image ? draft.uuid : nil, size: draft.size, volumeType: draft.volumeType,
                guestFormat: draft.guestFormat, bus: draft.bus, kind: draft.kind,
                device: draft.device.map { $0.hasPrefix("/dev/") ? $0 : "/dev/" + $0 } ?? names.next(), tag: draft.tag,
                deletesWithServer: draft.destination == .local || draft.deletesWithServer,
                isShared: shared.contains(draft.uuid ?? ""), state: .wanted, createdAt: now, updatedAt: now)
        }
    }
}

extension [BlockDevice] {
    /// The same, with the volumes that are reserved for them.
    func held(by reservation: VolumeReservation) -> [BlockDevice] {
        map { device in
            var device = device
            device.attachmentID = device.volumeID.flatMap { reservation.attachments[$0] }
            return device
        }
    }
}

extension BlockDeviceDraft {
    var isSwap: Bool { destination == .local && source == .blank && guestFormat == "swap" }
    var isEphemeral: Bool { destination == .local && source == .blank && guestFormat != "swap" }
    fileprivate var isNamedRoot: Bool { device == "vda" || device == "/dev/vda" }

    /// The root first, then local disks, then volumes.
    fileprivate var rank: Int { bootIndex == 0 ? 0 : isEphemeral ? 1 : isSwap ? 2 : 3 }

    fileprivate init(blank size: Int, format: String?) {
        (source, destination, deletesWithServer) = (.blank, .local, true)
        (self.size, guestFormat) = (size, format)
    }
}
