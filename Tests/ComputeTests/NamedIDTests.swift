// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Compute

struct NamedIDTests {
    @Test("Parts of hosts and of cards have for ever the ids that they have had")
    func forever() {
        let card = MediatedSource(address: "0000:84:00.0", type: "nvidia-35", total: 2)
        #expect(card.part(0) == "8d1df53b-d2ac-5e38-8102-5bbbeb123e8e")
        #expect(
            HostParts.id(of: "host-1_0000:81:00.0", below: "11111111-2222-4333-8444-555555555555")
                == "b5767cc1-0e38-5ca8-80fc-1ccb02524f35")
    }
}
