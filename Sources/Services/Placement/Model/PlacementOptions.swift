// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// `[placement]`, as upstream has it.
package struct PlacementOptions: Options {
    package static let section = "placement"

    /// Whether candidates come in random order, and a limited number of them as a random choice.
    package var isRandom = false
    /// How many candidates one request may find; negative is any number.
    package var candidatesMax = -1
    /// One candidate from each tree before the second from any.
    package var isBreadthFirst = false
    /// Who allocations made before 1.8 belong to.
    package var unnamedProject = Consumer.unnamed
    package var unnamedUser = Consumer.unnamed

    package init() {}

    package init(_ read: inout OptionReader) {
        isRandom = read.bool(
            "randomize_allocation_candidates", default: false,
            help: "Whether allocation candidates come in random order, a limited number as a random choice of all.")
        candidatesMax = read.int(
            "max_allocation_candidates", default: -1, in: -1...Int(Int32.max),
            help: "How many allocation candidates one request may find before it is limited; -1 is any number.")
        let strategy = read.choice(
            "allocation_candidates_generation_strategy", of: ["depth-first", "breadth-first"], default: "depth-first",
            help: "All candidates from one tree of providers before the next, or one from each tree in turn.")
        isBreadthFirst = strategy == "breadth-first"
        unnamedProject = read.string(
            "incomplete_consumer_project_id", default: Consumer.unnamed,
            help: "The project of consumers whose allocations were made before microversion 1.8.")
        unnamedUser = read.string(
            "incomplete_consumer_user_id", default: Consumer.unnamed,
            help: "The user of consumers whose allocations were made before microversion 1.8.")
    }
}
