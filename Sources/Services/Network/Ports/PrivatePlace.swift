// SPDX-License-Identifier: Apache-2.0

/// Whom a port of a private network (PVLAN) may speak with.
package enum PrivatePlace: Sendable, Hashable {
    /// Everybody.
    case promiscuous
    /// Those that are promiscuous.
    case isolated
    /// Those of its community, and those that are promiscuous.
    case community(String)
}
