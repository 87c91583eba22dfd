// SPDX-License-Identifier: Apache-2.0
import Clients
import Compute
import Identity
import Image
import Kernel
import Network
import Placement

/// The one list: what this binary holds.
enum Cloud {
    static let version = "0.1.0"

    /// Every service, in the order of the catalog.
    static let indexes: [ServiceIndex] = [
        IdentityService.index, ImageService.index, PlacementService.index, ComputeService.index, NetworkService.index,
    ]

    /// The port that answers for all services under their paths, and for the pages of the cloud itself.
    static let gatewayPort = 8800
    /// Where browsers reach consoles (upstream's noVNC proxy).
    static let consolePort = 6080

    /// Every table, kernel's and rooms'.
    static let migrations: [Migration] = OperationRecord.migrations + indexes.flatMap(\.migrations)
}
