// SPDX-License-Identifier: Apache-2.0
package import Base
internal import Synchronization

/// The keys of signed tokens on disk, in Keystone's layout: `private.pem` in one directory, and in another the public
/// keys of every node, in files of any name.
package struct JWSRepository: Sendable {
    package let privateDirectory: String
    package let publicDirectory: String

    package init(privateDirectory: String, publicDirectory: String) {
        self.privateDirectory = privateDirectory
        self.publicDirectory = publicDirectory
    }

    /// Makes both directories and a pair, unless there is one.
    package func create(_ algorithm: JWSAlgorithm) throws(Fault) {
        try FileSystem.makeDirectory(privateDirectory, mode: 0o700)
        try FileSystem.makeDirectory(publicDirectory, mode: 0o755)
        guard !FileSystem.exists(privateDirectory + "/private.pem") else { return }
        let pair = try JWSKeys.makePair(algorithm)
        try FileSystem.write(pair.publicKey, to: publicDirectory + "/public.pem", mode: 0o644)
        try FileSystem.write(pair.privateKey, to: privateDirectory + "/private.pem", mode: 0o600)
    }

    package func load(_ algorithm: JWSAlgorithm, accepted: [JWSAlgorithm]) throws(Fault) -> JWSKeys {
        let path = privateDirectory + "/private.pem"
        guard let signer = FileSystem.text(path) else {
            throw .internalError("\(path) does not exist. You can generate a key pair using `create_jws_keypair`.")
        }
        let verifiers = names.compactMap { FileSystem.text("\(publicDirectory)/\($0)") }
        guard !verifiers.isEmpty else {
            throw .internalError(
                "\(publicDirectory) must contain at least one public key but it is empty. You can generate a key pair "
                    + "using `create_jws_keypair`.")
        }
        return try JWSKeys(signer: signer, verifiers: verifiers, algorithm: algorithm, accepted: accepted)
    }

    /// What the files hold; they are few and small, so their text is the surest mark of a change.
    package func mark() -> [String] {
        [FileSystem.text(privateDirectory + "/private.pem") ?? ""]
            + names.map { FileSystem.text("\(publicDirectory)/\($0)") ?? "" }
    }

    private var names: [String] { FileSystem.list(publicDirectory).filter { !$0.hasPrefix(".") } }
}

/// Keys of signed tokens that may be replaced while they are used.
package final class JWSRing: Sendable {
    private struct State {
        var keys: JWSKeys
        var mark: [String]
    }

    private let repository: JWSRepository
    private let algorithm: JWSAlgorithm
    private let accepted: [JWSAlgorithm]
    private let state: Mutex<State>

    package init(_ repository: JWSRepository, algorithm: JWSAlgorithm, accepted: [JWSAlgorithm]) throws(Fault) {
        self.repository = repository
        self.algorithm = algorithm
        self.accepted = accepted
        let mark = repository.mark()
        state = Mutex(State(keys: try repository.load(algorithm, accepted: accepted), mark: mark))
    }

    package var keys: JWSKeys { state.withLock { $0.keys } }

    package func refresh() throws(Fault) -> Bool {
        let mark = repository.mark()
        guard state.withLock({ $0.mark != mark }) else { return false }
        let keys = try repository.load(algorithm, accepted: accepted)
        state.withLock { $0 = State(keys: keys, mark: mark) }
        return true
    }
}
