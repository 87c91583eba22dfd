// SPDX-License-Identifier: Apache-2.0
package import Base
internal import Synchronization

/// Fernet keys that may be rotated while they are used: by this process, another, or whatever copies them here.
package final class FernetRing: Sendable {
    private struct State {
        var keys: FernetKeys
        var mark: [String]
    }

    private let repository: FernetRepository?
    private let readsNullKey: Bool
    private let state: Mutex<State>

    /// Keys that stay as they are.
    package init(_ keys: FernetKeys) {
        repository = nil
        readsNullKey = false
        state = Mutex(State(keys: keys, mark: []))
    }

    /// The keys of a directory.
    /// - Parameter readsNullKey: whether what was encrypted before there were any keys is read as well.
    package init(_ repository: FernetRepository, readsNullKey: Bool = false) throws(Fault) {
        self.repository = repository
        self.readsNullKey = readsNullKey
        // The mark first: a rotation between the two is seen at the next look, not missed.
        let mark = try repository.mark()
        state = Mutex(State(keys: try repository.load(readsNullKey: readsNullKey), mark: mark))
    }

    package var keys: FernetKeys { state.withLock { $0.keys } }

    /// Looks whether the files are others now, and reads them if so. In the middle of a rotation it throws; the keys
    /// stay, and the next look succeeds.
    package func refresh() throws(Fault) -> Bool {
        guard let repository else { return false }
        let mark = try repository.mark()
        guard state.withLock({ $0.mark != mark }) else { return false }
        let keys = try repository.load(readsNullKey: readsNullKey)
        return state.withLock { state in
            let isNew = state.keys.keys != keys.keys
            state = State(keys: keys, mark: mark)
            return isNew
        }
    }
}
