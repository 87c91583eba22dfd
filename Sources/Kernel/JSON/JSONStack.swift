// SPDX-License-Identifier: Apache-2.0

/// Values of arrays and objects that are not closed yet; when one closes, its part moves into an array of just the
/// right size. The reader that owns it must call `destroy`.
struct JSONStack<Element> {
    private var base: UnsafeMutablePointer<Element>
    private var capacity: Int
    private(set) var count = 0

    init() {
        capacity = 32
        base = .allocate(capacity: capacity)
    }

    @inline(__always)
    mutating func push(_ element: consuming Element) {
        if count == capacity { grow() }
        (base + count).initialize(to: element)
        count += 1
    }

    @inline(never)
    private mutating func grow() {
        let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
        larger.moveInitialize(from: base, count: count)
        base.deallocate()
        base = larger
        capacity *= 2
    }

    subscript(place: Int) -> Element { base[place] }

    /// All from `mark` on, as they are.
    mutating func take(from mark: Int) -> [Element] {
        let (source, length) = (base + mark, count - mark)
        count = mark
        guard length > 0 else { return [] }
        return Array(unsafeUninitializedCapacity: length) { target, filled in
            target.baseAddress!.moveInitialize(from: source, count: length)
            filled = length
        }
    }

    mutating func drop(to mark: Int) {
        (base + mark).deinitialize(count: count - mark)
        count = mark
    }

    func destroy() {
        base.deinitialize(count: count)
        base.deallocate()
    }
}
