// SPDX-License-Identifier: Apache-2.0
import BusRabbitMQ
import Clients
import Compute
import Engines
import HypervisorLibvirt
import Identity
import IdentityLDAP
import Image
import Kernel
import LoadBalancer
import NamesDesignate
import Network
import NetworkOVN
import Placement
import RoutingBIRD

/// The one list: what this binary holds.
enum Cloud {
    static let version = "0.1.0"

    /// Every service, in the order of the catalog.
    static let indexes: [ServiceIndex] = [
        IdentityService.index, ImageService.index, PlacementService.index, ComputeService.index, NetworkService.index,
        LoadBalancerService.index,
    ]

    /// The port that answers for all services under their paths, and for the pages of the cloud itself.
    static let gatewayPort = 8800
    /// Where browsers reach consoles (upstream's noVNC proxy).
    static let consolePort = 6080
    /// Where metadata proxies of others ask, once they share a secret with the cloud (upstream's nova-api-metadata).
    static let metadataPort = 8775

    /// Everything that can be configured, in the order of the sample file.
    static let options: [any Options.Type] = [
        UpOptions.self, ListenOptions.self, LogOptions.self, DatabaseOptions.self, CORSOptions.self, PolicyOptions.self,
        IdentityOptions.self, LDAPOptions.self, ImageOptions.self, ImageStoreOptions.self, ImageCacheOptions.self,
        ComputeOptions.self,
        LibvirtOptions.self, HostPartition.self,
        NetworkOptions.self, LoadBalancerOptions.self, PlacementOptions.self, ImportOptions.self,
        OVNOptions.self, BIRDOptions.self, DesignateOptions.self, EngineOptions.self,
        RabbitMQOptions.self,
    ]

    /// Every table, kernel's and rooms'.
    static let migrations: [Migration] = OperationRecord.migrations + indexes.flatMap(\.migrations)
}
