// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// An import as asked for by `POST /tasks`: an image is made of properties, and its bytes come from an address.
struct LegacyImport: Sendable {
    private let input: JSON
    private let url: String
    private let image: ImageRecord

    init(_ request: Request) throws(Fault) {
        guard let body = request.json else { throw .badRequest("Body expected in request.") }
        for name in ["type", "input"] where body[name] == nil { throw .badRequest("Task '\(name)' is required") }
        let type = body["type"] ?? .null
        guard type.string == ImageTask.Kind.import.rawValue else {
            throw .badObject("task", "\(type.text()) is not one of ['import']")
        }
        guard let input = body["input"], input.object != nil else {
            throw .badObject("task", "\(body["input"]?.text() ?? "") is not of type 'object'")
        }
        for name in ["import_from", "import_from_format", "image_properties"] where input[name] == nil {
            throw .badRequest("Input does not contain '\(name)' field")
        }
        guard input["import_from_format"]?.string != nil else {
            throw .badRequest("Input field 'import_from_format' is not a text")
        }
        self.input = input
        url = try LegacyImport.address(input["import_from"] ?? .null, request.image.imports.filter)
        image = try LegacyImport.image(input["image_properties"] ?? .null, request)
    }

    private static func address(_ value: JSON, _ filter: ImportFilter) throws(Fault) -> String {
        guard let url = value.string, !url.isEmpty else {
            throw .badRequest("Invalid location in import_from: \(value.text())")
        }
        if url.hasPrefix("file:///") || url.hasPrefix("filesystem:///") {
            throw .badRequest(
                "File based imports are not allowed. Please use a non-local source of image data in import_from.")
        }
        guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
            throw .badRequest(
                "The given uri import_from is not valid. Please specify a valid uri from the following list of "
                    + "supported uri ['http']")
        }
        guard filter.allows(url) else {
            throw .badRequest("URI for legacy import task does not pass filtering (import_from): \(url)")
        }
        return url
    }

    private static func image(_ json: JSON, _ request: Request) throws(Fault) -> ImageRecord {
        guard let properties = json.object else {
            throw .badObject("task", "\(json.text()) is not of type 'object'")
        }
        var image = ImageRecord.new(request)
        for (name, value) in properties where name != "id" {
            try image.refuseForeign(name)
            try image.set(name, value, request.image.options.formats)
        }
        if image.diskFormat == nil { image.diskFormat = "qcow2" }
        if image.containerFormat == nil { image.containerFormat = "bare" }
        return image
    }

    /// Makes the image and queues its import.
    func begin(_ request: Request) async throws(Fault) -> ImageTask {
        let room = request.image
        let target = SeenImage(image, member: nil)
        try request.requireVisibility(image.visibility, on: target)
        try image.requireQuotas(room.options)
        let image = image
        let task = ImageTask(
            id: request.ids.uuid(), type: .import, status: .pending, owner: request.caller.projectID,
            userID: request.caller.userID, requestID: request.id, imageID: image.id, input: input, result: .null,
            message: "", expiresAt: nil, createdAt: request.now, updatedAt: request.now)
        let operation = ImportImage(
            subject: image.id, taskID: task.id, method: .webDownload, url: url, remote: nil,
            plugins: room.imports.plugins, injected: room.imports.injection(request.caller),
            stores: [room.stores.standard.id], mustAllSucceed: true)
        let quotas = try await ImageQuotas.of(request)
        try await request.database.transaction { transaction throws(Fault) in
            try quotas.requireImage(transaction)
            try transaction.insert(image, or: .conflict("Image ID \(image.id) already exists!"))
            try image.saveWords(transaction)
        }
        try await room.begin(operation, task, request.id) { _, _ throws(Fault) in }
        return task
    }
}
