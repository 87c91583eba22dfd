// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What an image says of the import that is under way: properties that only the service writes.
enum ImportMarks {
    /// The task that has the image; nobody else may import into it meanwhile.
    static let task = "os_glance_import_task"
    static let importing = "os_glance_importing_to_stores"
    static let failed = "os_glance_failed_import"
    static let prefix = "os_glance"
}

extension ImageRecord {
    var importTask: String? { properties[ImportMarks.task]?.string }

    mutating func mark(_ name: String, _ value: String?) {
        var all = properties.object ?? JSONObject()
        if let value { all[name] = .string(value) } else { all.removeValue(forKey: name) }
        properties = .object(all)
    }

    func marked(_ name: String) -> [String] {
        (properties[name]?.string ?? "").split(separator: ",").map(String.init)
    }

    mutating func mark(_ name: String, add stores: [String]) {
        mark(name, Set(marked(name)).union(stores).sorted().joined(separator: ","))
    }

    mutating func mark(_ name: String, remove stores: [String]) {
        mark(name, Set(marked(name)).subtracting(stores).sorted().joined(separator: ","))
    }

    /// Back to waiting for bytes; gives what of its bytes is to go.
    mutating func forgetBytes() -> [ImageLocation] {
        defer { locations = [] }
        status = .queued
        size = nil
        virtualSize = nil
        checksum = nil
        osHashAlgo = nil
        osHashValue = nil
        location = nil
        return locations
    }
}
