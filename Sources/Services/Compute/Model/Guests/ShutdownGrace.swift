// SPDX-License-Identifier: Apache-2.0
import Kernel

extension Server {
    /// How long the guest may take to shut down: its image may know better than the operator.
    func grace(_ options: ComputeOptions) -> Duration {
        guard let text = imageProperties["os_shutdown_timeout"], let seconds = Int(text), seconds >= 0 else {
            return options.graceOfStop
        }
        return .seconds(seconds)
    }
}
