// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// JSON schemas of what this service sends, which older clients read to learn the members' names.
package enum ImageSchemas: Resource {
    package static let routes: [Route] = [
        .get("/schemas/image", "Show image schema", of: Anything.from, allow: .anyone("discovery"), one { image($0) }),
        .get(
            "/schemas/images", "Show images schema", of: Anything.from, allow: .anyone("discovery"),
            one { collection("images", of: image($0), isPaged: true) }),
        .get(
            "/schemas/member", "Show member schema", of: Anything.from, allow: .anyone("discovery"), one { _ in member }
        ),
        .get(
            "/schemas/members", "Show members schema", of: Anything.from, allow: .anyone("discovery"),
            one { _ in collection("members", of: member, isPaged: false) }),
    ]

    private static func one(_ schema: @escaping @Sendable (ImageFormats) -> JSON) -> Route.Handler<Anything> {
        { request, _ async throws(Fault) in .json(schema(request.image.options.formats)) }
    }

    private static let uuidPattern: JSON =
        "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"

    private static func image(_ formats: ImageFormats) -> JSON {
        let words = [
            ("container_format", word("Format of the container", formats.containers)),
            ("disk_format", word("Format of the disk", formats.disks)),
        ]
        return [
            "name": "image",
            "properties": .object(JSONObject(imageMembers + words + knownProperties)),
            "additionalProperties": ["type": "string"],
            "links": [
                ["rel": "self", "href": "{self}"], ["rel": "enclosure", "href": "{file}"],
                ["rel": "describedby", "href": "{schema}"],
            ],
        ]
    }

    private static let imageMembers: [(String, JSON)] = [
        ("id", ["type": "string", "description": "An identifier for the image", "pattern": uuidPattern]),
        ("name", ["type": ["null", "string"], "description": "Descriptive name for the image", "maxLength": 255]),
        (
            "status",
            shown(
                "Status of the image",
                [
                    "queued", "saving", "active", "killed", "deleted", "uploading", "importing", "pending_delete",
                    "deactivated",
                ])
        ),
        (
            "visibility",
            [
                "type": "string", "description": "Scope of image accessibility",
                "enum": ["community", "public", "private", "shared"],
            ]
        ),
        ("protected", ["type": "boolean", "description": "If true, image will not be deletable."]),
        (
            "os_hidden",
            ["type": "boolean", "description": "If true, image will not appear in default image list response."]
        ),
        ("checksum", text("md5 hash of image contents.", 32)),
        ("os_hash_algo", text("Algorithm to calculate the os_hash_value", 64)),
        (
            "os_hash_value",
            text("Hexdigest of the image contents using the algorithm specified by the os_hash_algo", 128)
        ),
        ("owner", ["type": ["null", "string"], "description": "Owner of the image", "maxLength": 255]),
        ("size", number("Size of image file in bytes")),
        ("virtual_size", number("Virtual size of image in bytes")),
        ("created_at", shown("Date and time of image registration")),
        ("updated_at", shown("Date and time of the last image modification")),
        (
            "tags",
            [
                "type": "array", "description": "List of strings related to the image",
                "items": ["type": "string", "maxLength": 255],
            ]
        ),
        ("direct_url", shown("URL to access the image file kept in external store")),
        ("min_ram", ["type": "integer", "description": "Amount of ram (in MB) required to boot image."]),
        ("min_disk", ["type": "integer", "description": "Amount of disk space (in GB) required to boot image."]),
        ("self", shown("An image self url")),
        ("file", shown("An image file url")),
        (
            "stores",
            shown(
                "Store in which image data resides.  Only present when the operator has enabled multiple stores.  May "
                    + "be a comma-separated list of store identifiers.")
        ),
        ("schema", shown("An image schema url")),
        (
            "locations",
            [
                "type": "array", "description": "A set of URLs to access the image file kept in external store",
                "items": [
                    "type": "object", "required": ["url", "metadata"],
                    "properties": ["url": ["type": "string", "maxLength": 255], "metadata": ["type": "object"]],
                ],
            ]
        ),
    ]

    /// Free properties that have a meaning.
    private static let knownProperties: [(String, JSON)] = [
        ("kernel_id", related("kernel")),
        ("ramdisk_id", related("ramdisk")),
        (
            "instance_uuid",
            free(
                "Metadata which can be used to record which instance this image is associated with. (Informational "
                    + "only, does not create an instance snapshot.)")
        ),
        ("architecture", free("Operating system architecture")),
        ("os_distro", free("Common name of operating system distribution")),
        ("os_version", free("Operating system version as specified by the distributor.")),
        ("description", free("A human-readable string describing this image.")),
        ("cinder_encryption_key_id", free("The key to use when mounting a volume created from this image")),
        (
            "cinder_encryption_key_deletion_policy",
            [
                "type": "string", "description": "When the image's encryption key is deleted with it",
                "enum": ["on_image_deletion", "do_not_delete"],
            ]
        ),
    ]

    private static let member: JSON = [
        "name": "member",
        "properties": [
            "member_id": ["type": "string", "description": "An identifier for the image member (tenantId)"],
            "image_id": ["type": "string", "description": "An identifier for the image", "pattern": uuidPattern],
            "created_at": ["type": "string", "description": "Date and time of image member creation"],
            "updated_at": ["type": "string", "description": "Date and time of last modification of image member"],
            "status": [
                "type": "string", "description": "The status of this image member",
                "enum": ["pending", "accepted", "rejected"],
            ],
            "schema": ["readOnly": true, "type": "string"],
        ],
    ]
}

// MARK: - Pieces

extension ImageSchemas {
    private static func collection(_ name: String, of item: JSON, isPaged: Bool) -> JSON {
        var members: [(String, JSON)] = [(name, ["type": "array", "items": item])]
        var links: [JSON] = []
        if isPaged {
            members += [("first", ["type": "string"]), ("next", ["type": "string"])]
            links = [["rel": "first", "href": "{first}"], ["rel": "next", "href": "{next}"]]
        }
        members.append(("schema", ["type": "string"]))
        links.append(["rel": "describedby", "href": "{schema}"])
        return ["name": .string(name), "properties": .object(JSONObject(members)), "links": .array(links)]
    }

    /// A member that only the service writes.
    private static func shown(_ description: String, _ words: [String] = []) -> JSON {
        var schema: JSONObject = ["type": "string", "readOnly": true, "description": .string(description)]
        if !words.isEmpty { schema["enum"] = .array(words.map(JSON.string)) }
        return .object(schema)
    }

    private static func text(_ description: String, _ length: Int64) -> JSON {
        [
            "type": ["null", "string"], "readOnly": true, "description": .string(description),
            "maxLength": .integer(length),
        ]
    }

    private static func number(_ description: String) -> JSON {
        ["type": ["null", "integer"], "readOnly": true, "description": .string(description)]
    }

    private static func word(_ description: String, _ words: [String]) -> JSON {
        [
            "type": ["null", "string"], "description": .string(description),
            "enum": .array([.null] + words.map(JSON.string)),
        ]
    }

    private static func free(_ description: String) -> JSON {
        ["type": "string", "description": .string(description), "is_base": false]
    }

    private static func related(_ kind: String) -> JSON {
        [
            "type": ["null", "string"], "pattern": uuidPattern, "is_base": false,
            "description": .string(
                "ID of image stored in Glance that should be used as the \(kind) when booting an AMI-style image."),
        ]
    }
}
