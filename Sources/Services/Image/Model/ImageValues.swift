// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// The states of an image (glance/domain).
package enum ImageStatus: String, Codable, Sendable, JSONValue {
    case queued, saving, uploading, importing, active, deactivated
}

/// Who sees an image.
package enum ImageVisibility: String, Codable, Sendable, JSONValue, CaseIterable {
    case `public`, `private`, shared, community
}

/// What the members that clients set may be, and the names that are not theirs to set.
enum ImageValues {
    /// Members of the image itself, which an answer always has.
    static let base: Set<String> = [
        "id", "name", "status", "visibility", "protected", "os_hidden", "checksum", "os_hash_algo", "os_hash_value",
        "owner", "size", "virtual_size", "container_format", "disk_format", "created_at", "updated_at", "tags",
        "min_ram", "min_disk",
    ]
    static let links: Set<String> = ["direct_url", "self", "file", "schema", "stores"]
    static let readOnly: Set<String> = [
        "created_at", "updated_at", "status", "checksum", "size", "virtual_size", "direct_url", "self", "file",
        "schema", "os_hash_algo", "os_hash_value",
    ]
    private static let reserved: Set<String> = ["location", "deleted", "deleted_at"]
    private static let mayBeNull: Set<String> = ["kernel_id", "ramdisk_id"]

    static func isReserved(_ name: String) -> Bool { reserved.contains(name) || name.hasPrefix("os_glance") }

    /// A free property: text, and nothing else.
    static func property(_ name: String, _ value: JSON) throws(Fault) -> JSON {
        guard name.unicodeScalars.count <= 255 else {
            throw .badRequest("Custom property should not be greater than 255 characters.")
        }
        if value.isNull, mayBeNull.contains(name) { return value }
        let text = try read(name, value, .text)
        if mayBeNull.contains(name), !isDashedUUID(text) {
            throw Wording.glance.invalid(name, value, "'\(text)' does not match the pattern of an image's id")
        }
        if name == "cinder_encryption_key_deletion_policy" {
            _ = try read(name, value, .oneOf("on_image_deletion", "do_not_delete"))
        }
        return value
    }

    static func tags(_ value: JSON) throws(Fault) -> [String] {
        var seen = Set<String>()
        return try read("tags", value, .list(.text(0...255))).filter { seen.insert($0).inserted }
    }

    static func orNull<Value>(_ name: String, _ value: JSON, _ format: Format<Value>) throws(Fault) -> Value? {
        value.isNull ? nil : try read(name, value, format)
    }

    static func amount(_ name: String, _ value: JSON) throws(Fault) -> Int {
        let amount = try read(name, value, .integer())
        guard amount >= 0 else {
            throw .badRequest("Invalid value '\(amount)' for parameter '\(name)': Cannot be a negative value")
        }
        guard amount <= Int(Int32.max) else {
            throw .badRequest("Invalid value '\(amount)' for parameter '\(name)': Cannot be more than \(Int32.max)")
        }
        return amount
    }

    static func word(_ name: String, _ value: JSON, of words: [String]) throws(Fault) -> String? {
        if value.isNull { return nil }
        guard let text = value.string, words.contains(text) else {
            let list = words.map { "'\($0)'" }.joined(separator: ", ")
            throw Wording.glance.invalid(name, value, "\(value.text()) is not one of [None, \(list)]")
        }
        return text
    }

    static func id(_ value: JSON) throws(Fault) -> String {
        guard let text = value.string, isDashedUUID(text) else {
            throw Wording.glance.invalid("id", value, "\(value.text()) does not match the pattern of a UUID")
        }
        return text
    }

    static func isDashedUUID(_ text: String) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        return parts.map(\.count) == [8, 4, 4, 4, 12] && Hex.isUUID(text)
    }

    static func read<Value>(_ name: String, _ value: JSON, _ format: Format<Value>) throws(Fault) -> Value {
        do throws(Misfit) {
            return try format.read(value, false)
        } catch {
            throw Wording.glance.invalid(name, value, error.reason)
        }
    }
}
