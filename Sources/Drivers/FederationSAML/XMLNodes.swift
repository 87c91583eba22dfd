// SPDX-License-Identifier: Apache-2.0
internal import CXmlSec
internal import Identity
internal import Kernel

/// A parsed document, freed with its last owner.
final class Document {
    private let raw: xmlDocPtr
    let root: Node

    /// 400 for what is no XML, is too long, or has a document type: entities and defaults come from there alone.
    init(_ bytes: [UInt8]) throws(Fault) {
        guard bytes.count <= XMLSecDocuments.limit, !Document.hasDocumentType(bytes),
            let raw = bytes.withUnsafeBytes({
                cxmlsec_parse($0.bindMemory(to: CChar.self).baseAddress, Int32($0.count))
            })
        else { throw .badRequest("This is no XML document that is taken here.") }
        guard raw.pointee.intSubset == nil, raw.pointee.extSubset == nil, let root = xmlDocGetRootElement(raw) else {
            xmlFreeDoc(raw)
            throw .badRequest("This is no XML document that is taken here.")
        }
        self.raw = raw
        self.root = Node(raw: root)
    }

    deinit { xmlFreeDoc(raw) }

    /// Refused before anything parses it; other encodings than UTF-8 could hide it and are refused with it.
    private static func hasDocumentType(_ bytes: [UInt8]) -> Bool {
        guard String(validating: bytes, as: UTF8.self) != nil, !bytes.contains(0) else { return true }
        let mark = Array("<!DOCTYPE".utf8)
        return bytes.indices.contains { at in
            bytes[at] == mark[0] && bytes.count - at >= mark.count
                && zip(bytes[at...], mark).allSatisfy { $0 == $1 || $0 == $1 | 0x20 }
        }
    }

    /// Makes an element's `ID` what a signature's reference finds.
    func register(_ element: Node) throws(Fault) {
        guard let id = element.attribute("ID"), let attribute = xmlHasProp(element.raw, "ID"),
            xmlAddID(nil, raw, id, attribute) != nil
        else { throw .unauthorized() }
    }

    /// The root as text, without the line that declares XML: it may be put into another document.
    func bytes() -> [UInt8] {
        guard let buffer = xmlBufferCreate() else { return [] }
        defer { xmlBufferFree(buffer) }
        xmlNodeDump(buffer, raw, root.raw, 0, 0)
        guard let content = xmlBufferContent(buffer) else { return [] }
        return Array(UnsafeBufferPointer(start: content, count: Int(xmlBufferLength(buffer))))
    }
}

/// An element of a document that is open.
struct Node {
    let raw: xmlNodePtr

    private static let depth = 64

    var children: [Node] {
        var found: [Node] = []
        var next = raw.pointee.children
        while let node = next {
            if node.pointee.type == XML_ELEMENT_NODE { found.append(Node(raw: node)) }
            next = node.pointee.next
        }
        return found
    }

    private var namespace: String {
        guard let namespace = raw.pointee.ns, let href = namespace.pointee.href else { return "" }
        return String(cString: href)
    }
    private var name: String { raw.pointee.name.map { String(cString: $0) } ?? "" }

    func `is`(_ namespace: String, _ name: String) -> Bool { self.name == name && self.namespace == namespace }

    func child(_ namespace: String, _ name: String) -> Node? { children.first { $0.is(namespace, name) } }

    func attribute(_ name: String) -> String? {
        guard let text = xmlGetNoNsProp(raw, name) else { return nil }
        defer { cxmlsec_free_text(text) }
        return String(cString: text)
    }

    /// The element as a value. Its text is that of all its own pieces, whatever comment stands between them.
    func tree(depth: Int = 0) throws(Fault) -> XMLElement {
        guard depth < Node.depth else { throw .badRequest("This XML document is too deep.") }
        var attributes: [String: String] = [:]
        var next = raw.pointee.properties
        while let property = next {
            if property.pointee.ns == nil, let name = property.pointee.name.map({ String(cString: $0) }) {
                attributes[name] = attribute(name)
            }
            next = property.pointee.next
        }
        var text = ""
        var piece = raw.pointee.children
        while let node = piece {
            if node.pointee.type == XML_TEXT_NODE || node.pointee.type == XML_CDATA_SECTION_NODE,
                let content = node.pointee.content
            {
                text += String(cString: content)
            }
            piece = node.pointee.next
        }
        var inner: [XMLElement] = []
        for child in children { inner.append(try child.tree(depth: depth + 1)) }
        return XMLElement(namespace, name, attributes, text: text, inner)
    }
}
