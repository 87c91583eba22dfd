// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Machines as Compute told of them before Bare metal existed. Gone since 2.36. Without that service in the catalog
/// reading answers as upstream does then, and writing is refused with the command that does it.
enum BareMetalProxy: Resource {
    static let routes: [Route] = [
        .get(
            "/os-baremetal-nodes", "List bare metal nodes", of: Anything.from,
            allow: .adminOnly("os-baremetal-nodes:list"),
            { _, _ async throws(Fault) in throw absent }, until: "2.36"),
        .get(
            "/os-baremetal-nodes/{id}", "Show a bare metal node", of: Anything.from,
            allow: .adminOnly("os-baremetal-nodes:show"), { _, _ async throws(Fault) in throw absent }, until: "2.36"),
        .post(
            "/os-baremetal-nodes", "Create a bare metal node", of: Anything.from, allow: .anyone("removed"),
            { _, _ async throws(Fault) in throw use("node-create") }, until: "2.36"),
        .delete(
            "/os-baremetal-nodes/{id}", "Delete a bare metal node", of: Anything.from, allow: .anyone("removed"),
            { _, _ async throws(Fault) in throw use("node-delete") }, until: "2.36"),
        .action(
            "/os-baremetal-nodes/{id}/action", "add_interface", "Add an interface to a node", of: Anything.from,
            allow: .anyone("removed"), { _, _ async throws(Fault) in throw use("port-create") }, until: "2.36"),
        .action(
            "/os-baremetal-nodes/{id}/action", "remove_interface", "Remove an interface of a node", of: Anything.from,
            allow: .anyone("removed"), { _, _ async throws(Fault) in throw use("port-delete") }, until: "2.36"),
    ]

    private static var absent: Fault { .notImplemented("The bare metal service is not part of this cloud.") }

    private static func use(_ command: String) -> Fault {
        .badRequest("Command not supported. Please use Ironic command \(command) to perform this action.")
    }
}
