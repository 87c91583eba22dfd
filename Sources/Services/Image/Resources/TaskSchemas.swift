// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// JSON schemas of tasks.
package enum TaskSchemas: Resource {
    package static let routes: [Route] = [
        .get("/schemas/task", "Show task schema", of: Anything.from, allow: .anyone("discovery")) {
            _, _ async throws(Fault) in .json(task)
        },
        .get("/schemas/tasks", "Show tasks schema", of: Anything.from, allow: .anyone("discovery")) {
            _, _ async throws(Fault) in .json(tasks)
        },
    ]

    private static let task: JSON = ["name": "task", "properties": .object(members)]

    /// Lists leave out what went in and came out.
    private static let tasks: JSON = {
        var shown = members
        for name in ["input", "result", "message"] { shown.removeValue(forKey: name) }
        return [
            "name": "tasks",
            "properties": [
                "tasks": ["type": "array", "items": ["name": "task", "properties": .object(shown)]],
                "schema": ["type": "string"],
            ],
            "links": [["rel": "describedby", "href": "{schema}"]],
        ]
    }()

    private static let members: JSONObject = [
        "id": [
            "type": "string", "description": "An identifier for the task",
            "pattern": "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$",
        ],
        "type": [
            "type": "string", "description": "The type of task represented by this content",
            "enum": ["import", "api_image_import", "location_import"],
        ],
        "status": [
            "type": "string", "description": "The current status of this task",
            "enum": ["pending", "processing", "success", "failure"],
        ],
        "input": ["type": ["null", "object"], "description": "The parameters required by task, JSON blob"],
        "result": ["type": ["null", "object"], "description": "The result of current task, JSON blob"],
        "owner": ["type": "string", "description": "An identifier for the owner of this task"],
        "message": [
            "type": "string",
            "description":
                "Human-readable informative message only included when appropriate (usually on failure)",
        ],
        "image_id": ["type": "string", "description": "Image associated with the task"],
        "request_id": ["type": "string", "description": "Human-readable informative request-id"],
        "user_id": ["type": "string", "description": "User associated with the task"],
        "expires_at": [
            "type": ["null", "string"], "description": "Datetime when this resource would be subject to removal",
        ],
        "created_at": ["type": "string", "description": "Datetime when this resource was created"],
        "updated_at": ["type": "string", "description": "Datetime when this resource was updated"],
        "self": ["readOnly": true, "type": "string"],
        "schema": ["readOnly": true, "type": "string"],
    ]
}
