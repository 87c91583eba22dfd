// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Whether and how images of far stores are kept on this machine, under glance-api.conf's names.
package struct ImageCacheOptions: Options {
    package static let section = INI.defaultSection

    /// What stands between clients and images, as upstream's deployments name it.
    package enum Flavor: String, Sendable, CaseIterable {
        case keystone
        case caching = "keystone+caching"
        case management = "keystone+cachemanagement"
    }

    /// The one way in which it is known what is in the cache.
    package enum Driver: String, Sendable, CaseIterable { case database = "centralized_db" }

    /// The cache's own folder; nil is no cache.
    package var folder: String?
    package var maxSize = 10 << 30
    package var stallTime = Duration.seconds(86400)
    package var prefetcherWakes = Duration.seconds(300)
    package var flavor = Flavor.keystone
    /// By what this machine is told from others that share the database.
    package var node = ""

    package init() {}

    /// Whether downloads fill the cache and are served from it.
    var readsThrough: Bool { flavor != .keystone }
    /// Whether the older calls of cache management are there.
    var hasOldCalls: Bool { flavor == .management }

    package init(_ read: inout OptionReader) {
        self.init()
        folder = read.string(
            "image_cache_dir", help: "A folder of the image cache's own; without it there is no cache.")
        maxSize = read.int(
            "image_cache_max_size", default: maxSize, in: 0...Int.max,
            help: "So many bytes the image cache is pruned to, least recently used images first.")
        stallTime = read.duration(
            "image_cache_stall_time", default: stallTime,
            help: "A fetch into the image cache that got no bytes for so long is given up.")
        _ = read.choice(
            "image_cache_driver", default: Driver.database,
            help: "How it is known what is in the image cache: by the database.")
        prefetcherWakes = read.duration(
            "cache_prefetcher_interval", default: prefetcherWakes, atLeast: .seconds(1),
            help: "How often the image cache is looked after: queued images fetched, others pruned and cleaned.")
        node =
            read.string(
                "worker_self_reference_url", help: "The URL by which this machine is named as one that caches an image."
            )
            ?? ""
        read.section("paste_deploy")
        flavor = read.choice(
            "flavor", default: Flavor.keystone,
            help: "With caching or cachemanagement downloads go through the image cache of image_cache_dir.")
        if flavor != .keystone, folder == nil {
            read.refuse("flavor = \(flavor.rawValue) needs [DEFAULT] image_cache_dir.")
        }
    }
}
