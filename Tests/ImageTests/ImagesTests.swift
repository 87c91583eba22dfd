// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Testing

struct ImagesTests {
    @Test("Who accepts anything is refused by a page, as Glance's own client reads it; who asks for JSON by JSON")
    func refusals() async throws {
        let cloud = try await ImageCloud()
        let page = await cloud.download("<none>", headers: [("Accept", "*/*")])
        #expect(page.status == 404)
        #expect(page.header("Content-Type") == "text/html; charset=UTF-8")
        let lines = String(decoding: page.bytes, as: UTF8.self).split(separator: "\n")
            .map { $0.replacing(/<.+?>/, with: "").trimmingPrefix { $0 == " " } }.filter { !$0.isEmpty }
        #expect(lines.map(String.init) == ["404 Not Found", "404 Not Found", "No image found with ID &lt;none&gt;"])
        let document = await cloud.download("none", headers: [("Accept", "application/json")])
        #expect(document["message"].string == "No image found with ID none")
        #expect(document.header("Content-Type") == "application/json")
    }

    @Test("An image is made, filled, shown, read back, renamed and deleted")
    func walk() async throws {
        let cloud = try await ImageCloud()
        let made = await cloud.call("POST", "/images", ImageCloud.raw)
        #expect(made.status == 201)
        let id = try #require(made["id"].string)
        #expect(made["status"].string == "queued")
        #expect(made["visibility"].string == "shared")
        #expect(made["owner"].string == "project-a")
        #expect(made["size"].isNull)
        #expect(made.header("Location")?.hasSuffix("/v2/images/\(id)") == true)
        #expect(made.header("OpenStack-image-import-methods") == "glance-direct,web-download,copy-image")

        #expect(await cloud.download(id).status == 204)
        #expect(await cloud.upload(id, Array("hello".utf8)).status == 204)
        let shown = await cloud.show(id)
        #expect(shown["status"].string == "active")
        #expect(shown["size"].integer == 5)
        #expect(shown["virtual_size"].integer == 5)
        #expect(shown["checksum"].string == "5d41402abc4b2a76b9719d911017c592")
        #expect(shown["os_hash_algo"].string == "sha512")
        #expect(shown["os_hash_value"].string?.hasPrefix("9b71d224bd62f3785d96d46ad3ea3d73") == true)

        let read = await cloud.download(id)
        #expect(read.status == 200)
        #expect(read.bytes == Array("hello".utf8))
        #expect(read.header("Content-MD5") == "5d41402abc4b2a76b9719d911017c592")
        #expect(read.header("Content-Type") == "application/octet-stream")

        let renamed = await cloud.patch(id, [["op": "replace", "path": "/name", "value": "debian"]])
        #expect(renamed.status == 200)
        #expect(renamed["name"].string == "debian")
        #expect(await cloud.list() == ["debian"])
        #expect(await cloud.call("DELETE", "/images/\(id)").status == 204)
        #expect(await cloud.show(id).status == 404)
        #expect(await cloud.show(id).message == "No image found with ID \(id)")
        #expect(cloud.store.locations.isEmpty)
    }

    @Test(
        "Bad members are refused by name",
        arguments: [
            (["name": 7], 400, "name"), (["disk_format": "floppy"], 400, "disk_format"),
            (["min_disk": "3"], 400, "min_disk"), (["min_ram": -1], 400, "min_ram"),
            (["visibility": "secret"], 400, "visibility"), (["protected": "yes"], 400, "protected"),
            (["tags": "a"], 400, "tags"), (["os_distro": 4], 400, "os_distro"), (["id": "x"], 400, "id"),
            (["kernel_id": "x"], 400, "kernel_id"), (["file": "x"], 403, "'file' is read-only"),
            (["status": "active"], 403, "'status' is read-only"), (["deleted": "x"], 403, "'deleted' is reserved"),
            (["os_glance_x": "x"], 403, "reserved"), (["visibility": "public"], 403, "publicize_image"),
            (["owner": "project-b"], 403, "owned by 'project-b'"), ([], 400, "object"),
        ] as [(JSON, Int, String)])
    func badBodies(body: JSON, status: Int, part: String) async throws {
        let answer = try await ImageCloud().call("POST", "/images", body)
        #expect(answer.status == status)
        #expect(answer.message.contains(part), "\(answer.message)")
    }

    @Test("What Compute says of a server's snapshot, and BlockStorage of a volume's image, is taken and shown")
    func snapshots() async throws {
        let cloud = try await ImageCloud()
        let body: JSON = [
            "name": "snapshot", "visibility": "private", "disk_format": "qcow2", "container_format": "bare",
            "min_disk": 1, "min_ram": 512, "image_type": "snapshot", "image_state": "available",
            "image_location": "snapshot", "instance_uuid": "6c5a0a52-2d7a-4b1a-9f0a-0d6c4b1c2a11",
            "base_image_ref": "6c5a0a52-2d7a-4b1a-9f0a-0d6c4b1c2a12", "user_id": "user-a", "owner_id": "project-a",
            "kernel_id": nil, "ramdisk_id": nil, "boot_roles": "member,reader", "hw_rng_model": "virtio",
            "signature_verified": "False", "root_device_name": "/dev/vda", "bdm_v2": "True",
            "block_device_mapping": "[]",
        ]
        let made = await cloud.call("POST", "/images", body)
        #expect(made.status == 201)
        let shown = await cloud.show(made["id"].string ?? "")
        for (name, value) in body.object ?? JSONObject() { #expect(shown[name] == value, "\(name)") }
        #expect(await cloud.list("image_type=snapshot") == ["snapshot"])
    }

    @Test("An id is taken once")
    func duplicate() async throws {
        let cloud = try await ImageCloud()
        let body: JSON = ["id": "6c5a0a52-2d7a-4b1a-9f0a-0d6c4b1c2a11"]
        #expect(await cloud.call("POST", "/images", body).status == 201)
        let again = await cloud.call("POST", "/images", body)
        #expect(again.status == 409)
        #expect(again.message == "Image ID 6c5a0a52-2d7a-4b1a-9f0a-0d6c4b1c2a11 already exists!")
    }

    @Test("No image has an empty id", arguments: ["GET", "DELETE"])
    func emptyID(method: String) async throws {
        let cloud = try await ImageCloud()
        #expect(await cloud.call(method, "/images/").status == 404)
        #expect(await cloud.call("DELETE", "/images").status == 405)
    }

    @Test("A protected image stays until it is not")
    func protected() async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make(["protected": true])
        let refused = await cloud.call("DELETE", "/images/\(id)")
        #expect(refused.status == 403)
        #expect(refused.message == "Image \(id) is protected and cannot be deleted.")
        _ = await cloud.patch(id, [["op": "replace", "path": "/protected", "value": false]])
        #expect(await cloud.call("DELETE", "/images/\(id)").status == 204)
    }

    @Test("Readers read, members of the project write, others see nothing")
    func rules() async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make()
        #expect(await cloud.show(id, as: .reader()).status == 200)
        #expect(await cloud.call("DELETE", "/images/\(id)", as: .reader()).status == 403)
        #expect(await cloud.call("POST", "/images", ImageCloud.raw, as: .reader()).status == 403)
        #expect(await cloud.show(id, as: .member(project: "project-b")).status == 404)
        #expect(await cloud.show(id, as: .admin()).status == 200)
        let refused = await cloud.patch(id, [["op": "replace", "path": "/visibility", "value": "public"]])
        #expect(refused.status == 403)
        #expect(refused.message == "You are not authorized to complete publicize_image action.")
        let published = await cloud.patch(
            id, [["op": "replace", "path": "/visibility", "value": "public"]], as: .admin())
        #expect(published.status == 200)
        #expect(await cloud.show(id, as: .member(project: "project-b")).status == 200)
        #expect(await cloud.call("DELETE", "/images/\(id)", as: .member(project: "project-b")).status == 403)
    }
}
