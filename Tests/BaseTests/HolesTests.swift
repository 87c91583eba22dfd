// SPDX-License-Identifier: Apache-2.0
import Base
import Testing

struct HolesTests {
    private func stretches(_ bytes: [UInt8], _ block: Int) -> [Range<Int>] {
        bytes.withUnsafeBytes { $0.stretches(ofBlocks: block) }
    }

    @Test("Blocks of zeros are left out, neighbours are one stretch, and the last block may be short")
    func stretches() {
        let (zero, one) = ([UInt8](repeating: 0, count: 4), [0, 0, 0, 1] as [UInt8])
        #expect(stretches([], 4).isEmpty)
        #expect(stretches(zero + zero, 4).isEmpty)
        #expect(stretches(one + one + zero + one, 4) == [0..<8, 12..<16])
        #expect(stretches(zero + [0], 4).isEmpty)
        #expect(stretches(zero + [5], 4) == [4..<5])
        #expect(stretches([7, 7, 7, 7], 4) == [0..<4], "alike, but not zero")
    }
}
