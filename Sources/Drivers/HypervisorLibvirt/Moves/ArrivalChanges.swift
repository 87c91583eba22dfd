// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// What is different in a guest's description where it arrives: how volumes are reached from there, which processors
/// and memory it has, and the control group that guests are in there.
struct ArrivalChanges: Codable {
    /// Whole elements of the description over there; nil where that has none.
    private var tuning: String?
    private var placement: String?
    private var group: String?
    /// Where devices of the host come from, in their order, and the cards behind taps of the kernel, by their port.
    private var devices: [String] = []
    private var cards: [String: String] = [:]
    /// Disks by volume.
    private(set) var volumes: [String: String] = [:]

    /// - Parameter description: the guest's, as the host makes it that awaits it.
    init(_ description: String, volumes ids: [String]) {
        tuning = XMLSlice("cputune", in: description[...])?.text(of: description)
        placement = XMLSlice("numatune", in: description[...])?.text(of: description)
        group = XMLSlice("resource", in: description[...])?.text(of: description)
        for slice in XMLSlice.all("hostdev", in: description) {
            let text = slice.text(of: description)
            devices.append(XMLSlice("source", in: text[...])?.text(of: text) ?? "")
        }
        for slice in XMLSlice.all("interface", in: description) {
            let text = slice.text(of: description)
            guard text.hasPrefix("<interface type='direct'"), let alias = Self.alias(text) else { continue }
            cards[alias] = XMLSlice("source", in: text[...])?.text(of: text)
        }
        for id in ids { volumes[id] = XMLSlice(diskOf: id, in: description)?.text(of: description) }
    }

    /// The description to be sent, as it is to be over there.
    func apply(to description: String) -> String {
        var text = description
        XMLSlice.replace("cputune", in: &text, with: tuning)
        XMLSlice.replace("numatune", in: &text, with: placement)
        XMLSlice.replace("resource", in: &text, with: group)
        XMLSlice.each("hostdev", in: &text) { at, device in
            at < devices.count ? Self.replaced("source", in: device, with: devices[at]) : device
        }
        XMLSlice.each("interface", in: &text) { _, card in
            guard let source = Self.alias(card).flatMap({ cards[$0] }) else { return card }
            return Self.replaced("source", in: card, with: source)
        }
        for (id, disk) in volumes.sorted(by: { $0.key < $1.key }) {
            guard let slice = XMLSlice(diskOf: id, in: text) else { continue }
            text.replaceSubrange(slice.range, with: Self.reached(slice.text(of: text), as: disk))
        }
        return text
    }

    private static func alias(_ element: String) -> String? {
        XMLElement.parse(element)?["alias"]?.attributes["name"]
    }

    private static func replaced(_ name: String, in element: String, with other: String) -> String {
        guard let slice = XMLSlice(name, in: element[...]) else { return element }
        var element = element
        element.replaceSubrange(slice.range, with: other)
        return element
    }

    /// A disk as it is, but for where its data are and who asks for them.
    private static func reached(_ disk: String, as other: String) -> String {
        var text = disk
        for name in ["source", "auth"] {
            let new = XMLSlice(name, in: other[...])?.text(of: other)
            if let slice = XMLSlice(name, in: text[...]) {
                text.replaceSubrange(slice.range, with: new ?? "")
            } else if let new, let end = text.firstRange(of: ">") {
                text.insert(contentsOf: new, at: end.upperBound)
            }
        }
        guard let kind = XMLElement.parse(other)?.attributes["type"], let end = text.firstIndex(of: ">"),
            let old = XMLElement.parse(disk)?.attributes["type"]
        else { return text }
        let opening = text[..<end].replacing("type='\(old)'", with: "type='\(kind)'")
        return String(opening) + text[end...]
    }
}

/// Where an element is in a text that libvirt or this driver wrote.
private struct XMLSlice {
    let range: Range<String.Index>

    /// The first element of a name.
    init?(_ name: String, in text: Substring) {
        var rest = text
        while let open = rest.firstRange(of: "<" + name) {
            rest = rest[open.upperBound...]
            guard let next = rest.first, " />\n".contains(next), let end = rest.firstIndex(of: ">") else { continue }
            if rest[..<end].last == "/" {
                range = open.lowerBound..<rest.index(after: end)
                return
            }
            guard let close = rest.firstRange(of: "</\(name)>") else { return nil }
            range = open.lowerBound..<close.upperBound
            return
        }
        return nil
    }

    init?(diskOf volume: String, in text: String) {
        var rest = text[...]
        while let slice = XMLSlice("disk", in: rest) {
            if text[slice.range].contains("<serial>\(volume)</serial>") {
                self = slice
                return
            }
            rest = text[slice.range.upperBound...]
        }
        return nil
    }

    func text(of whole: String) -> String { String(whole[range]) }

    /// All elements of a name, in their order.
    static func all(_ name: String, in text: String) -> [XMLSlice] {
        var (found, rest): ([XMLSlice], Substring) = ([], text[...])
        while let slice = XMLSlice(name, in: rest) {
            found.append(slice)
            rest = text[slice.range.upperBound...]
        }
        return found
    }

    /// Puts something else in the place of each.
    static func each(_ name: String, in text: inout String, _ change: (_ at: Int, _ element: String) -> String) {
        let slices = all(name, in: text)
        for (at, slice) in slices.enumerated().reversed() {
            text.replaceSubrange(slice.range, with: change(at, slice.text(of: text)))
        }
    }

    /// Puts another element in an element's place, or beside the processors where there was none.
    static func replace(_ name: String, in text: inout String, with new: String?) {
        if let slice = XMLSlice(name, in: text[...]) {
            text.replaceSubrange(slice.range, with: new ?? "")
        } else if let new, let vcpu = XMLSlice("vcpu", in: text[...]) {
            text.insert(contentsOf: new, at: vcpu.range.upperBound)
        }
    }
}
