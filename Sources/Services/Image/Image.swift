// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Image (Glance): what servers boot from, as rows about it and bytes in a store.
package final class ImageService: Service {
    package static let index = ServiceIndex(
        type: "image", name: "glance", title: "Image", port: 9292, mount: "/image", base: "/v2", catalogPath: "",
        versions: .fixed("2.17"), envelope: .glance, wording: .glance, scopes: .project,
        baseRules: ImageRules.base, memberRules: ImageRules.members,
        resources: [
            ImageDiscovery.self, ImageSchemas.self, ImageRecord.self, ImageTransfer.self, ImageImport.self,
            ImageTags.self,
            ImageActions.self, ImageMember.self, ImageStoreList.self,
            ImageLocations.self,
            MetadefNamespace.self, MetadefObject.self, MetadefProperty.self, MetadefTag.self,
            MetadefResourceType.self, MetadefSchemas.self, ImageTask.self,
            DeletedImage.self, TaskSchemas.self, ImageCacheCalls.self, OldCacheCalls.self,
        ])

    package let database: Database
    package let clock: any WallClock
    package let ids: any Identifiers
    package let log: Log
    package let stores: ImageStores
    package let options: ImageOptions
    package let storeOptions: ImageStoreOptions
    package let imports: ImportOptions
    package let ports: ImagePorts
    /// Where imports wait for a worker.
    package let queue: OperationQueue
    let tokens = ImportTokens()
    var remote: any RemoteImages { ports.remote }
    /// Where digests are computed; stores have threads of their own.
    let digesters: BlockingPool
    /// Copies of far images on this machine.
    let cache: ImageCache?

    package init(
        database: Database, clock: any WallClock, ids: any Identifiers, log: Log, stores: ImageStores,
        options: ImageOptions, storeOptions: ImageStoreOptions = ImageStoreOptions(),
        imports: ImportOptions = ImportOptions(), ports: ImagePorts = ImagePorts()
    ) {
        self.database = database
        self.clock = clock
        self.ids = ids
        self.log = log
        self.stores = stores
        self.options = options
        self.storeOptions = storeOptions
        self.imports = imports
        self.ports = ports
        queue = ports.queue ?? OperationQueue(database: database, clock: clock, ids: ids)
        digesters = BlockingPool(name: "image digests", threads: 2, queue: 1024)
        let parts = ImageCacheParts(database: database, clock: clock, ids: ids, log: log, digesters: digesters)
        cache = ports.cacheMedium.map { ImageCache($0, ports, parts) }
    }
}

extension Request {
    var image: ImageService { room(ImageService.self) }
}
