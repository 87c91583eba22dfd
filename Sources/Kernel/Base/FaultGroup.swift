// SPDX-License-Identifier: Apache-2.0

/// Does something with each item, so many at once; the first fault ends it and is thrown.
package func withFaultGroup<Item: Sendable>(
    _ items: [Item], width: Int, _ deed: @escaping @Sendable (Item) async throws(Fault) -> Void
) async throws(Fault) {
    let fault = await withTaskGroup(of: Fault?.self) { group in
        var rest = items[...]
        for item in rest.prefix(width) { group.addTask { await outcome(item, deed) } }
        rest = rest.dropFirst(width)
        while let ended = await group.next() {
            if let ended {
                group.cancelAll()
                return Fault?.some(ended)
            }
            if let item = rest.popFirst() { group.addTask { await outcome(item, deed) } }
        }
        return nil
    }
    if let fault { throw fault }
}

private func outcome<Item>(_ item: Item, _ deed: (Item) async throws(Fault) -> Void) async -> Fault? {
    do throws(Fault) {
        try await deed(item)
        return nil
    } catch {
        return error
    }
}
