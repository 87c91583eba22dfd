// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Lets one caller at a time do something about a name (a server, an image), in the order in which they came.
actor Turnstile {
    private var queues: [String: [CheckedContinuation<Void, Never>]] = [:]

    func pass<T: Sendable>(
        _ name: String, _ body: @Sendable () async throws(Fault) -> T
    ) async throws(Fault) -> T {
        await enter(name)
        defer { leave(name) }
        return try await body()
    }

    private func enter(_ name: String) async {
        guard queues[name] != nil else {
            queues[name] = []
            return
        }
        await withCheckedContinuation { queues[name, default: []].append($0) }
    }

    private func leave(_ name: String) {
        guard var queue = queues[name], !queue.isEmpty else {
            queues[name] = nil
            return
        }
        let next = queue.removeFirst()
        queues[name] = queue
        next.resume()
    }
}
