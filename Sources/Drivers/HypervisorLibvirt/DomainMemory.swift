// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// A guest's memory: how much, and of what kind.
extension DomainXML {
    func memory(_ xml: inout XMLWriter) {
        xml.element("memory", ["unit": "MiB"], text: "\(spec.memoryMiB)")
    }
}
