// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What a caller may see of the servers of one project.
struct ServerRights: Sendable {
    let extended: Bool
    private let allStatus: Bool
    private let unknownStatus: Bool
    let extraSpecs: Bool

    init(_ server: Server, _ request: Request) {
        extended = request.may("os-extended-server-attributes", on: server)
        allStatus = request.may("servers:show:host_status", on: server)
        unknownStatus = !allStatus && request.may("servers:show:host_status:unknown-only", on: server)
        extraSpecs = request.may("servers:show:flavor-extra-specs", on: server)
    }

    /// The status as far as the caller may see it: all, only that it is not known, or none.
    func hostStatus(_ status: String) -> String? {
        allStatus || (unknownStatus && status == "UNKNOWN") ? status : nil
    }
}
