// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// JSON schemas of metadata definitions.
package enum MetadefSchemas: Resource {
    package static let routes: [Route] = [
        schema("namespace", "namespace", namespace), schema("namespaces", "namespaces", list("namespaces", namespace)),
        schema("object", "object", object), schema("objects", "objects", list("objects", object)),
        schema("property", "property", property(isNamed: true)), schema("properties", "properties", properties),
        schema("tag", "tag", tag), schema("tags", "tags", list("tags", tag)),
        schema("resource_type", "resource type association", association),
        schema("resource_types", "resource type associations", list("resource_type_associations", association)),
    ]

    private static func schema(_ path: String, _ noun: String, _ document: JSON) -> Route {
        .get(
            "/schemas/metadefs/\(path)", "Show metadata \(noun) schema", of: Anything.from,
            allow: .anyone("discovery"), { _, _ async throws(Fault) in .json(document) })
    }

    private static let namespace: JSON = [
        "name": "namespace", "required": ["namespace"], "additionalProperties": false, "definitions": definitions,
        "properties": [
            "namespace": text("The unique namespace text.", 80),
            "display_name": text("The user friendly name for the namespace. Used by UI if available.", 80),
            "description": text("Provides a user friendly description of the namespace.", 500),
            "visibility": [
                "type": "string", "description": "Scope of namespace accessibility.", "enum": ["public", "private"],
            ],
            "protected": ["type": "boolean", "description": "If true, namespace will not be deletable."],
            "owner": text("Owner of the namespace.", 255),
            "created_at": moment("Date and time of namespace creation"),
            "updated_at": moment("Date and time of the last namespace modification"),
            "schema": ["type": "string", "readOnly": true], "self": ["type": "string", "readOnly": true],
            "resource_type_associations": [
                "type": "array",
                "items": [
                    "type": "object",
                    "properties": [
                        "name": ["type": "string"], "prefix": ["type": "string"],
                        "properties_target": ["type": "string"],
                    ],
                ],
            ],
            "properties": ["$ref": "#/definitions/property"],
            "objects": [
                "type": "array",
                "items": [
                    "type": "object",
                    "properties": [
                        "name": ["type": "string"], "description": ["type": "string"],
                        "required": ["$ref": "#/definitions/stringArray"],
                        "properties": ["$ref": "#/definitions/property"],
                    ],
                ],
            ],
            "tags": [
                "type": "array", "items": ["type": "object", "properties": ["name": ["type": "string"]]],
            ],
        ],
    ]

    private static let object: JSON = [
        "name": "object", "required": ["name"], "additionalProperties": false, "definitions": definitions,
        "properties": [
            "name": ["type": "string", "maxLength": 80], "description": ["type": "string"],
            "required": ["$ref": "#/definitions/stringArray"], "properties": ["$ref": "#/definitions/property"],
            "schema": ["type": "string", "readOnly": true], "self": ["type": "string", "readOnly": true],
            "created_at": moment("Date and time of object creation"),
            "updated_at": moment("Date and time of the last object modification"),
        ],
    ]

    private static let tag: JSON = [
        "name": "tag", "required": ["name"], "additionalProperties": false,
        "properties": [
            "name": ["type": "string", "maxLength": 80],
            "created_at": moment("Date and time of tag creation"),
            "updated_at": moment("Date and time of the last tag modification"),
        ],
    ]

    private static let association: JSON = [
        "name": "resource_type_association", "required": ["name"], "additionalProperties": false,
        "properties": [
            "name": text(
                "Resource type names should be aligned with Heat resource types whenever possible: "
                    + "https://docs.openstack.org/heat/latest/template_guide/openstack.html", 80),
            "prefix": text(
                "What the names of the namespace's properties begin with on this type, separator (a colon) included.",
                80),
            "properties_target": text(
                "Which of several sets of pairs that a thing of this type has: volumes have those of users and those "
                    + "of images.", 80),
            "created_at": moment("Date and time of resource type association"),
            "updated_at": moment("Date and time of the last resource type association modification"),
        ],
    ]

    private static func property(isNamed: Bool) -> JSON {
        [
            "name": "property", "required": isNamed ? ["type", "title", "name"] : ["type", "title"],
            "additionalProperties": false, "properties": propertyMembers, "definitions": counts,
        ]
    }

    private static let properties: JSON = {
        var item = property(isNamed: false).object ?? JSONObject()
        item.removeValue(forKey: "definitions")
        return collection("properties", ["type": "object", "additionalProperties": .object(item)], counts)
    }()
}

// MARK: - Pieces

extension MetadefSchemas {
    private static func list(_ name: String, _ item: JSON) -> JSON {
        var item = item.object ?? JSONObject()
        let definitions = item.removeValue(forKey: "definitions")
        return collection(name, ["type": "array", "items": .object(item)], definitions)
    }

    private static func collection(_ name: String, _ items: JSON, _ definitions: JSON?) -> JSON {
        var members = JSONObject([(name, items)])
        for member in ["first", "next", "schema"] { members[member] = ["type": "string"] }
        var schema: JSONObject = [
            "name": .string(name), "properties": .object(members),
            "links": [
                ["rel": "first", "href": "{first}"], ["rel": "next", "href": "{next}"],
                ["rel": "describedby", "href": "{schema}"],
            ],
        ]
        if let definitions { schema["definitions"] = definitions }
        return .object(schema)
    }

    private static let types: JSON = ["array", "boolean", "integer", "number", "object", "string", nil]

    private static let counts: JSON = [
        "positiveInteger": ["type": "integer", "minimum": 0],
        "positiveIntegerDefault0": ["allOf": [["$ref": "#/definitions/positiveInteger"], ["default": 0]]],
        "stringArray": ["type": "array", "items": ["type": "string"], "minItems": 1, "uniqueItems": true],
    ]

    private static let definitions: JSON = {
        var all = counts.object ?? JSONObject()
        all["stringArray"] = ["type": "array", "items": ["type": "string"], "uniqueItems": true]
        all["property"] = [
            "type": "object",
            "additionalProperties": [
                "type": "object", "required": ["title", "type"], "properties": propertyMembers,
            ],
        ]
        return .object(all)
    }()

    private static let propertyMembers: JSON = [
        "name": ["type": "string", "maxLength": 80], "title": ["type": "string"], "description": ["type": "string"],
        "operators": ["type": "array", "items": ["type": "string"]],
        "type": ["type": "string", "enum": types], "required": ["$ref": "#/definitions/stringArray"],
        "minimum": ["type": "number"], "maximum": ["type": "number"],
        "maxLength": ["$ref": "#/definitions/positiveInteger"],
        "minLength": ["$ref": "#/definitions/positiveIntegerDefault0"],
        "pattern": ["type": "string", "format": "regex"], "enum": ["type": "array"],
        "readonly": ["type": "boolean"], "default": [:],
        "items": [
            "type": "object",
            "properties": ["type": ["type": "string", "enum": types], "enum": ["type": "array"]],
        ],
        "maxItems": ["$ref": "#/definitions/positiveInteger"],
        "minItems": ["$ref": "#/definitions/positiveIntegerDefault0"],
        "uniqueItems": ["type": "boolean", "default": false], "additionalItems": ["type": "boolean"],
    ]

    private static func text(_ description: String, _ length: Int64) -> JSON {
        ["type": "string", "description": .string(description), "maxLength": .integer(length)]
    }

    private static func moment(_ description: String) -> JSON {
        ["type": "string", "readOnly": true, "description": .string(description), "format": "date-time"]
    }
}
