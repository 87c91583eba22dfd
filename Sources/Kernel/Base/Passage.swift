// SPDX-License-Identifier: Apache-2.0
internal import Synchronization

/// A narrow way from one task to another: so many things may stand in it, then who brings more waits. One brings, one
/// takes.
package final class Passage<Element: Sendable>: Sendable {
    private struct State {
        var waiting: [Element] = []
        var isOver = false
        var taker: CheckedContinuation<Void, Never>?
        var bringer: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())
    private let depth: Int

    package init(depth: Int) {
        precondition(depth > 0, "a passage has room")
        self.depth = depth
    }

    /// False when nobody takes any more.
    package func bring(_ element: Element) async -> Bool {
        while true {
            let (isOver, taker, isIn) = state.withLock { state in
                let isIn = !state.isOver && state.waiting.count < depth
                if isIn { state.waiting.append(element) }
                defer { if isIn { state.taker = nil } }
                return (state.isOver, isIn ? state.taker : nil, isIn)
            }
            taker?.resume()
            if isIn || isOver { return isIn }
            await withCheckedContinuation { continuation in
                let hasRoom = state.withLock { state in
                    if state.isOver || state.waiting.count < depth { return true }
                    state.bringer = continuation
                    return false
                }
                if hasRoom { continuation.resume() }
            }
        }
    }

    /// The next one; nil when no more will come.
    package func next() async -> Element? {
        while true {
            let (element, isOver, bringer) = state.withLock { state in
                let element = state.waiting.isEmpty ? nil : state.waiting.removeFirst()
                defer { if element != nil { state.bringer = nil } }
                return (element, state.isOver, element == nil ? nil : state.bringer)
            }
            bringer?.resume()
            if let element { return element }
            if isOver { return nil }
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if state.isOver || !state.waiting.isEmpty { return true }
                    state.taker = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        }
    }

    /// No more comes: by the one who brings, what stands there is still taken; by the one who takes, it is dropped.
    package func end(dropping: Bool = false) {
        let (taker, bringer) = state.withLock { state in
            state.isOver = true
            if dropping { state.waiting = [] }
            defer {
                state.taker = nil
                state.bringer = nil
            }
            return (state.taker, state.bringer)
        }
        taker?.resume()
        bringer?.resume()
    }
}
