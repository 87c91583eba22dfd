// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Images as Compute told of them before Image had its present API; Image answers, in the caller's name. Gone since
/// 2.36. Upstream has no rules for these: Image's own decide.
enum ImageProxy: Resource {
    static let routes: [Route] = [
        .get("/images", "List images", of: Anything.from, allow: .anyone("images"), index, until: "2.36"),
        .get(
            "/images/detail", "List images with details", of: Anything.from, allow: .anyone("images"), detail,
            until: "2.36"),
        .get("/images/{image_id}", "Show an image", of: Anything.from, allow: .anyone("images"), show, until: "2.36"),
        .delete(
            "/images/{image_id}", "Delete an image", of: Anything.from, allow: .anyone("images"), delete,
            until: "2.36"),
    ]
}

// MARK: - Handlers

extension ImageProxy {
    private static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let (images, page) = try await list(request)
        return .list(
            "images", images.map { image in { summary(image, &$0) } }, page: page,
            ids: images.map { $0["id"]?.string ?? "" })
    }

    private static func detail(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let (images, page) = try await list(request)
        return .list(
            "images", images.map { image in { details(image, &$0) } }, page: page,
            ids: images.map { $0["id"]?.string ?? "" })
    }

    private static func show(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let image = try await find(request)
        return .object("image") { details(image, &$0) }
    }

    private static func delete(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        do throws(Fault) {
            _ = try await request.compute.images.document(
                "DELETE", "/images/" + request["image_id"], requestID: request.id, as: request.caller)
        } catch {
            switch error.status {
            case 404: throw .notFound("Image not found.")
            case 403: throw .forbidden("You are not allowed to delete the image.")
            default: throw error
            }
        }
        return .empty
    }

    static func find(_ request: Request) async throws(Fault) -> JSON {
        do throws(Fault) {
            return try await request.compute.images.document(
                "GET", "/images/" + request["image_id"], requestID: request.id, as: request.caller)
        } catch {
            throw error.status == 404 ? .notFound("Image not found.") : error
        }
    }

    private static func list(_ request: Request) async throws(Fault) -> ([JSON], Page) {
        let maximum = request.compute.options.maxLimit
        let page = try request.page(sortable: [.text("id", mayBeNull: false)], defaults: ["id"], maximum: maximum)
        guard page.limit != 0 else { return ([], page) }
        var query = filters(request)
        query.append(("limit", String(page.limit ?? maximum)))
        if let marker = page.marker { query.append(("marker", marker)) }
        do throws(Fault) {
            let found = try await request.compute.images.document(
                "GET", "/images", query: query, requestID: request.id, as: request.caller)
            return (found["images"]?.array ?? [], page)
        } catch {
            throw error.status == 404 ? .badRequest(error.message) : error
        }
    }

    /// The old filters in Image's words; others are not looked at.
    private static func filters(_ request: Request) -> [(String, String)] {
        let names = [
            "name": "name", "server": "instance_uuid", "type": "image_type", "minRam": "min_ram", "minDisk": "min_disk",
        ]
        return request.queries.compactMap { name, value in
            if name == "status" { return ("status", value.lowercased()) }
            if name == "changes-since" { return ("updated_at", "gte:" + value) }
            if name.hasPrefix("property-") { return (String(name.dropFirst("property-".count)), value) }
            guard let known = names[name] else { return nil }
            // A server may be named by its address.
            let last = value.split(separator: "/").last.map(String.init) ?? value
            return (known, name == "server" ? last : value)
        }
    }
}

// MARK: - Wire

extension ImageProxy {
    private static func summary(_ image: JSON, _ view: inout View) {
        view.put("id", image["id"] ?? "")
        view.put("name", image["name"] ?? .null)
        links(image["id"]?.string ?? "", &view)
    }

    private static func links(_ id: String, _ view: inout View) {
        let places = [
            ("self", view.endpoint + "/images/" + id, nil), ("bookmark", view.lastingEndpoint + "/images/" + id, nil),
            ("alternate", view.root + "/images/" + id, "application/vnd.openstack.image"),
        ]
        view.list("links", places) {
            $0.put("rel", $1.0)
            if let type = $1.2 { $0.put("type", type) }
            $0.put("href", $1.1)
        }
    }

    private static func details(_ image: JSON, _ view: inout View) {
        let properties = ImageClient.properties(of: image)
        summary(image, &view)
        view.put("minRam", image["min_ram"]?.integer ?? 0)
        view.put("minDisk", image["min_disk"]?.integer ?? 0)
        view.put("metadata", properties)
        view.put("created", image["created_at"] ?? .null)
        view.put("updated", image["updated_at"] ?? .null)
        let (status, progress) = state(image["status"]?.string ?? "")
        view.put("status", status)
        view.put("progress", progress)
        view.put("OS-EXT-IMG-SIZE:size", image["size"] ?? .null)
        if let server = properties["instance_uuid"] {
            view.nest("server") { view in
                view.put("id", server)
                let places = [
                    ("self", view.endpoint + "/servers/" + server),
                    ("bookmark", view.lastingEndpoint + "/servers/" + server),
                ]
                view.list("links", places) {
                    $0.put("rel", $1.0)
                    $0.put("href", $1.1)
                }
            }
        }
        if let text = properties["auto_disk_config"] {
            view.put("OS-DCF:diskConfig", Format<Bool>.truth(text) == true ? "AUTO" : "MANUAL")
        }
    }

    private static func state(_ status: String) -> (String, Int) {
        switch status {
        case "active": ("ACTIVE", 100)
        case "queued": ("SAVING", 25)
        case "saving", "uploading", "importing": ("SAVING", 50)
        case "deleted", "pending_delete": ("DELETED", 0)
        case "killed": ("ERROR", 0)
        default: ("UNKNOWN", 0)
        }
    }
}
