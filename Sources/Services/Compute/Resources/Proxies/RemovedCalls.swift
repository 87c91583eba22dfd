// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Calls that upstream took out and still answers: with 410 at every version, whatever is sent.
enum RemovedCalls: Resource {
    static let routes: [Route] =
        calls.map { method, path, summary in gone(method, path, summary) }
        + [
            gone("POST", "/os-fixed-ips/{id}/action", "Reserve a fixed address", action: "reserve"),
            gone("POST", "/os-fixed-ips/{id}/action", "Release a fixed address", action: "unreserve"),
            gone("POST", "/os-networks/{id}/action", "Disassociate a network", action: "disassociate"),
            gone("POST", "/os-networks/{id}/action", "Disassociate a network's host", action: "disassociate_host"),
            gone("POST", "/os-networks/{id}/action", "Disassociate a project", action: "disassociate_project"),
            gone("POST", "/os-networks/{id}/action", "Associate a host", action: "associate_host"),
            gone("POST", ServerActions.path, "Reset a server's network", action: "resetNetwork"),
        ]

    private static let calls: [(String, String, String)] = [
        ("GET", "/os-agents", "List agent builds"),
        ("POST", "/os-agents", "Create an agent build"),
        ("PUT", "/os-agents/{id}", "Update an agent build"),
        ("DELETE", "/os-agents/{id}", "Delete an agent build"),
        ("GET", "/os-cells", "List cells"),
        ("POST", "/os-cells", "Create a cell"),
        ("GET", "/os-cells/capacities", "Show the cells' capacities"),
        ("GET", "/os-cells/detail", "List cells with details"),
        ("GET", "/os-cells/info", "Show this cell"),
        ("POST", "/os-cells/sync_instances", "Synchronize servers of cells"),
        ("GET", "/os-cells/{id}", "Show a cell"),
        ("PUT", "/os-cells/{id}", "Update a cell"),
        ("DELETE", "/os-cells/{id}", "Delete a cell"),
        ("GET", "/os-cells/{id}/capacities", "Show a cell's capacities"),
        ("POST", "/os-certificates", "Create a certificate"),
        ("GET", "/os-certificates/{id}", "Show a certificate"),
        ("GET", "/os-cloudpipe", "List cloudpipes"),
        ("POST", "/os-cloudpipe", "Create a cloudpipe"),
        ("PUT", "/os-cloudpipe/{id}", "Update a cloudpipe"),
        ("GET", "/servers/{server_id}/consoles", "List XVP consoles"),
        ("POST", "/servers/{server_id}/consoles", "Create an XVP console"),
        ("GET", "/servers/{server_id}/consoles/{id}", "Show an XVP console"),
        ("DELETE", "/servers/{server_id}/consoles/{id}", "Delete an XVP console"),
        ("GET", "/servers/{server_id}/os-virtual-interfaces", "List virtual interfaces"),
        ("GET", "/os-fixed-ips/{id}", "Show a fixed address"),
        ("GET", "/os-floating-ip-dns", "List DNS domains"),
        ("PUT", "/os-floating-ip-dns/{domain}", "Create a DNS domain"),
        ("DELETE", "/os-floating-ip-dns/{domain}", "Delete a DNS domain"),
        ("GET", "/os-floating-ip-dns/{domain}/entries/{id}", "Show a DNS entry"),
        ("PUT", "/os-floating-ip-dns/{domain}/entries/{id}", "Create a DNS entry"),
        ("DELETE", "/os-floating-ip-dns/{domain}/entries/{id}", "Delete a DNS entry"),
        ("GET", "/os-floating-ips-bulk", "List floating addresses"),
        ("POST", "/os-floating-ips-bulk", "Create floating addresses"),
        ("GET", "/os-floating-ips-bulk/{id}", "List a host's floating addresses"),
        ("PUT", "/os-floating-ips-bulk/{id}", "Delete floating addresses"),
        ("GET", "/os-fping", "Ping servers"),
        ("GET", "/os-fping/{id}", "Ping a server"),
        ("POST", "/os-networks", "Create a network"),
        ("POST", "/os-networks/add", "Add a network"),
        ("DELETE", "/os-networks/{id}", "Delete a network"),
        ("POST", "/os-tenant-networks", "Create a project's network"),
        ("DELETE", "/os-tenant-networks/{id}", "Delete a project's network"),
        ("GET", "/os-security-group-default-rules", "List default rules"),
        ("POST", "/os-security-group-default-rules", "Create a default rule"),
        ("GET", "/os-security-group-default-rules/{id}", "Show a default rule"),
        ("DELETE", "/os-security-group-default-rules/{id}", "Delete a default rule"),
    ]

    private static func gone(_ method: String, _ path: String, _ summary: String, action: String? = nil) -> Route {
        Route(
            method, path, summary + ": no more", of: Anything.from, allow: .anyone("removed"),
            { _, _ async throws(Fault) in
                throw .gone("This resource is no longer available. No forwarding address is given.")
            }, status: 410, action: action)
    }
}
