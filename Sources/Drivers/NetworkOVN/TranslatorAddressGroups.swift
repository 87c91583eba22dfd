// SPDX-License-Identifier: Apache-2.0
import Network
import OVSDB

/// An address group is a set of addresses for each version, so that a rule is one row however many blocks there are.
extension AddressGroupSpec: Translated {
    func rows(_ part: Piece.Part, _ translator: Translator) -> [NBRow] {
        [IPVersion.v4, .v6].map { version in
            NBRow(
                "Address_Set", "\(id) \(version.word)",
                [
                    "name": .string(OVNNames.addressSet(id, version)),
                    "addresses": .strings(Set(addresses.filter { $0.version == version }.map(\.description))),
                ],
                ids: ["neutron:address_group_id": id, "neutron:revision_number": "\(generation)"])
        }
    }
}
