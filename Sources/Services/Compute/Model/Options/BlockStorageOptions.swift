// SPDX-License-Identifier: Apache-2.0
package import Clients
package import Kernel

/// Where Block storage is and how it is asked: `[cinder]`; and how many disks servers may have.
package struct BlockStorageOptions: Options {
    package static let section = "cinder"

    /// As Compute finds it.
    package var place = ServicesElsewhere.Place(
        service: "block-storage", types: ["volumev3", "block-storage", "block-store"], base: "/v3")
    /// Whether a server may have volumes of another availability zone than its own.
    package var crossesZones = true
    /// How many disks a server may have; nil is any number.
    package var disksMax: Int?

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section("cinder")
        let info = read.text(
            "catalog_info", "type:name:interface such as volumev3::publicURL",
            help: "Which of the catalog's services Block storage is; unset, one of the types volumev3 and "
                + "block-storage, by its public endpoint."
        ) { text -> (String, String)? in
            let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 3, !parts[0].isEmpty else { return nil }
            let interface = parts[2].hasSuffix("URL") ? String(parts[2].dropLast(3)) : parts[2]
            return ["public", "internal", "admin"].contains(interface) ? (parts[0], interface) : nil
        }
        if let (type, interface) = info {
            // Upstream's two names for the one service.
            place.types = type == "volumev3" ? ["volumev3", "block-storage"] : [type]
            place.interface = interface
        }
        place.address = read.text(
            "endpoint_template", "URL such as http://192.0.2.1:8776/v3/%(project_id)s",
            help: "Where Block storage answers, instead of where the catalog says."
        ) { $0.hasPrefix("http://") || $0.hasPrefix("https://") ? $0 : nil }
        place.region = read.string("os_region_name", help: "The region whose endpoint is taken; unset, the first one.")
        place.authorities = read.text("cafile", "path", help: "Certificates to trust instead of the system's.") { $0 }
        place.isInsecure = read.bool(
            "insecure", default: false, help: "Whether Block storage's certificate is not looked at.")
        place.patience = read.duration(
            "timeout", default: place.patience, atLeast: .seconds(1),
            help: "How long one answer of Block storage may take.")
        crossesZones = read.bool(
            "cross_az_attach", default: crossesZones,
            help: "Whether servers may have volumes of other availability zones than their own.")
        read.section("compute")
        let most = read.int(
            "max_disk_devices_to_attach", default: -1, in: -1...Int.max,
            help: "How many disks a server may have when it is made or a volume is attached; -1 is any number.")
        if most == 0 {
            read.refuse("'0' is invalid for [compute]max_disk_devices_to_attach: no server could have a disk.")
        }
        disksMax = most < 0 ? nil : most
    }
}

extension BlockStorageOptions {
    /// Refuses more disks than servers may have.
    func admit(disks: Int) throws(Fault) {
        guard let disksMax, disks > disksMax else { return }
        throw .forbidden(
            "The maximum allowed number of disk devices (\(disksMax)) to attach to a single instance has been exceeded."
        )
    }
}
