// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The keys that Identity works with. Whoever rotates them on disk need not restart anything.
package struct IdentityKeys: Sendable {
    enum Tokens: Sendable {
        case fernet(FernetRing)
        case signed(JWSRing)
    }

    let tokens: Tokens
    let receipts: FernetRing
    let credentials: FernetRing

    /// Keys that stay as they are.
    package init(tokens: FernetKeys, receipts: FernetKeys, credentials: FernetKeys) {
        self.tokens = .fernet(FernetRing(tokens))
        self.receipts = FernetRing(receipts)
        self.credentials = FernetRing(credentials)
    }

    /// The keys on disk. What the operator did not put elsewhere is made when it is missing.
    package init(_ places: KeyPlaces, ids: any Identifiers) throws(Fault) {
        try places.create(ids)
        let options = places.options
        switch places.provider {
        case .fernet: tokens = .fernet(try FernetRing(places.tokens(ids)))
        case .jws:
            tokens = .signed(
                try JWSRing(places.signing, algorithm: options.algorithm, accepted: options.acceptedAlgorithms))
        }
        receipts = try FernetRing(places.receipts(ids))
        credentials = try FernetRing(places.credentials(ids), readsNullKey: true)
    }

    /// Reads what has changed on disk.
    /// - Returns: whether tokens made before may be worth nothing now.
    func refresh() throws(Fault) -> Bool {
        _ = try receipts.refresh()
        _ = try credentials.refresh()
        switch tokens {
        case .fernet(let ring): return try ring.refresh()
        case .signed(let ring): return try ring.refresh()
        }
    }

    func seal(_ payload: TokenPayload, at time: Timestamp, methods: [String]) -> String {
        switch tokens {
        case .fernet(let ring): ring.keys.encrypt(payload.bytes(methods: methods), at: time)
        case .signed(let ring): ring.keys.token(payload, at: time)
        }
    }

    /// What a token says, and when it was made; 401 for one that is not ours.
    func open(_ text: String, methods: [String]) throws(Fault) -> (payload: TokenPayload, issuedAt: Timestamp) {
        switch tokens {
        case .fernet(let ring):
            guard let message = ring.keys.decrypt(text) else { throw .unauthorized() }
            return (try TokenPayload(message.payload, methods: methods), message.issuedAt)
        case .signed(let ring): return try ring.keys.payload(text)
        }
    }
}

/// Where the keys are: what the operator says, and below one directory otherwise.
package struct KeyPlaces: Sendable {
    package let options: KeyOptions
    package let provider: TokenOptions.Provider
    private let directory: String

    /// - Parameter directory: where tokens' own keys are; the others have directories of their own in it.
    package init(directory: String, _ options: TokenOptions) {
        self.directory = directory
        self.options = options.keys
        provider = options.provider
    }

    package func tokens(_ ids: any Identifiers) -> FernetRepository {
        FernetRepository(directory: options.tokenDirectory ?? directory, chance: ids)
    }

    package func receipts(_ ids: any Identifiers) -> FernetRepository {
        FernetRepository(directory: options.receiptDirectory ?? directory + "/receipts", chance: ids)
    }

    package func credentials(_ ids: any Identifiers) -> FernetRepository {
        FernetRepository(directory: options.credentialDirectory ?? directory + "/credentials", chance: ids)
    }

    package var signing: JWSRepository {
        JWSRepository(
            privateDirectory: options.privateDirectory ?? directory + "/jws/private",
            publicDirectory: options.publicDirectory ?? directory + "/jws/public")
    }

    /// Makes what is missing, but nothing where the operator keeps keys: a new one there would be a mistake's cover.
    func create(_ ids: any Identifiers) throws(Fault) {
        if options.tokenDirectory == nil { try tokens(ids).create() }
        if options.receiptDirectory == nil { try receipts(ids).create() }
        if options.credentialDirectory == nil { try credentials(ids).create() }
        if provider == .jws, options.privateDirectory == nil, options.publicDirectory == nil {
            try signing.create(options.algorithm)
        }
    }
}
