// SPDX-License-Identifier: Apache-2.0
package import Clients
package import Kernel

/// What the room reaches the outside by, beside its stores.
package struct ImagePorts: Sendable {
    /// Where imports wait for a worker; nil is a queue of the room's own.
    package var queue: OperationQueue?
    package var remote: any RemoteImages
    /// Nil where no plugin needs it.
    package var workshop: (any ImageWorkshop)?
    /// Whose signatures images may have.
    package var certificates: any Certificates
    /// The way to the other rooms, in the name of `caller`.
    package var transport: (any Transport)?
    package var caller: Caller
    /// Where images of far stores are kept; nil is no cache.
    package var cacheMedium: (any ImageCacheMedium)?
    package var cacheOptions: ImageCacheOptions

    package init(
        queue: OperationQueue? = nil, remote: any RemoteImages = FakeRemoteImages(),
        workshop: (any ImageWorkshop)? = nil, certificates: any Certificates = FakeCertificates(),
        transport: (any Transport)? = nil, caller: Caller = .nobody,
        cacheMedium: (any ImageCacheMedium)? = nil, cacheOptions: ImageCacheOptions = ImageCacheOptions()
    ) {
        self.queue = queue
        self.remote = remote
        self.workshop = workshop
        self.certificates = certificates
        self.transport = transport
        self.caller = caller
        self.cacheMedium = cacheMedium
        self.cacheOptions = cacheOptions
    }
}

/// Tokens of users whose import needs them at another image service. They are never stored: an import that has to
/// begin again after a restart fails, and says so.
package actor ImportTokens {
    private var tokens: [String: String] = [:]

    func keep(_ token: String, for task: String) { tokens[task] = token }
    func token(of task: String) -> String? { tokens[task] }
    func forget(_ task: String) { tokens[task] = nil }
}
