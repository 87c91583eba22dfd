// SPDX-License-Identifier: Apache-2.0
import Kernel

extension View {
    /// Nova's links to a thing: `self` with the version in the address, `bookmark` without.
    mutating func links(_ path: String) {
        writer.key("links")
        writer.beginArray()
        link("self", endpoint + path)
        link("bookmark", lastingEndpoint + path)
        writer.endArray()
    }

    /// The second of them alone, for things of which a server shows no more.
    mutating func bookmark(_ path: String) {
        writer.key("links")
        writer.beginArray()
        link("bookmark", lastingEndpoint + path)
        writer.endArray()
    }

    private mutating func link(_ relation: String, _ address: String) {
        object {
            $0.put("rel", relation)
            $0.put("href", address)
        }
    }
}
