// SPDX-License-Identifier: Apache-2.0
import HTTP
import Testing

struct AddressRuleTests {
    @Test(
        "Addresses set apart for something else are not public, in IPv6's disguises as well",
        arguments: [
            ([8, 8, 8, 8], true), ([1, 1, 1, 1], true), ([0, 0, 0, 0], false), ([10, 1, 2, 3], false),
            ([100, 64, 0, 1], false), ([100, 128, 0, 1], true), ([127, 0, 0, 1], false), ([169, 254, 169, 254], false),
            ([172, 16, 0, 1], false), ([172, 32, 0, 1], true), ([192, 168, 0, 1], false), ([198, 18, 0, 1], false),
            ([224, 0, 0, 1], false), ([255, 255, 255, 255], false), ([192, 0, 2, 1], false), ([], false),
            ([0x26, 0x06] + [UInt8](repeating: 0, count: 13) + [1], true),
            ([UInt8](repeating: 0, count: 15) + [1], false),
            ([UInt8](repeating: 0, count: 10) + [0xff, 0xff, 127, 0, 0, 1], false),
            ([UInt8](repeating: 0, count: 10) + [0xff, 0xff, 8, 8, 8, 8], true),
            ([0xfe, 0x80] + [UInt8](repeating: 0, count: 13) + [1], false),
            ([0xfd, 0] + [UInt8](repeating: 0, count: 13) + [1], false),
            ([0x20, 0x02, 127, 0, 0, 1] + [UInt8](repeating: 0, count: 10), false),
            ([0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 12), false),
            ([0x00, 0x64, 0xff, 0x9b] + [UInt8](repeating: 0, count: 8) + [10, 0, 0, 1], false),
        ] as [([UInt8], Bool)])
    func ranges(address: [UInt8], isPublic: Bool) {
        #expect(AddressBytes.isPublic(address) == isPublic)
    }
}
