/// JSON without fractions: integers of 64 bits, keys of printable ASCII that stand there once, at most 32 levels deep.
public enum JSON: Equatable, Sendable {
  case null
  case flag(Bool)
  case integer(Int64)
  case text(String)
  case list([JSON])
  case object([String: JSON])

  // Four names, not one overloaded: a literal of twenty members with overloads in it takes the compiler minutes.
  public static func number(_ value: Int64?) -> JSON { value.map(JSON.integer) ?? .null }
  public static func boolean(_ value: Bool?) -> JSON { value.map(JSON.flag) ?? .null }
  public static func string(_ value: String?) -> JSON { value.map(JSON.text) ?? .null }
  public static func numbers(_ values: [Int64]?) -> JSON { values.map { .list($0.map(JSON.integer)) } ?? .null }

  /// The member of an object; null where there is none.
  public subscript(key: String) -> JSON {
    if case .object(let members) = self { return members[key] ?? .null }
    return .null
  }

  /// - Throws: `ContractError` `json`: not of this form.
  public static func parse(_ text: String) throws -> JSON {
    var reader = Reader(bytes: Array(text.utf8))
    reader.space()
    let value = try reader.value(1)
    reader.space()
    guard reader.atEnd else { throw reader.wrong("something follows the document") }
    return value
  }

  /// Keys sorted, nothing spaced, what is not printable ASCII escaped: equal documents are equal bytes.
  public var canonical: String {
    var out = ""
    write(to: &out)
    return out
  }

  private func write(to out: inout String) {
    switch self {
    case .null: out += "null"
    case .flag(let value): out += value ? "true" : "false"
    case .integer(let value): out += String(value)
    case .text(let value): JSON.quote(value, to: &out)
    case .list(let values):
      out += "["
      for (number, value) in values.enumerated() {
        if number > 0 { out += "," }
        value.write(to: &out)
      }
      out += "]"
    case .object(let members):
      out += "{"
      let keys = members.keys.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
      for (number, key) in keys.enumerated() {
        if number > 0 { out += "," }
        JSON.quote(key, to: &out)
        out += ":"
        (members[key] ?? .null).write(to: &out)
      }
      out += "}"
    }
  }

  private static func quote(_ text: String, to out: inout String) {
    out += "\""
    for unit in text.utf16 {
      switch unit {
      case 0x22: out += "\\\""
      case 0x5C: out += "\\\\"
      case 0x0A: out += "\\n"
      case 0x0D: out += "\\r"
      case 0x09: out += "\\t"
      case 0x08: out += "\\b"
      case 0x0C: out += "\\f"
      case 0x20...0x7E: out.unicodeScalars.append(Unicode.Scalar(UInt8(unit)))
      default:
        let digits = String(unit, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      }
    }
    out += "\""
  }

  private struct Reader {
    let bytes: [UInt8]
    var at = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    var atEnd: Bool { at == bytes.count }

    func wrong(_ what: String) -> ContractError { ContractError("json", "\(what), at byte \(at)") }

    mutating func space() {
      while at < bytes.count, " \t\n\r".utf8.contains(bytes[at]) { at += 1 }
    }

    func peek() throws -> UInt8 {
      guard at < bytes.count else { throw wrong("the document ends") }
      return bytes[at]
    }

    mutating func value(_ depth: Int) throws -> JSON {
      switch try peek() {
      case UInt8(ascii: "{"): return try object(depth)
      case UInt8(ascii: "["): return try list(depth)
      case UInt8(ascii: "\""): return .text(try string())
      case UInt8(ascii: "n"): return try word("null", .null)
      case UInt8(ascii: "t"): return try word("true", .flag(true))
      case UInt8(ascii: "f"): return try word("false", .flag(false))
      default: return .integer(try number())
      }
    }

    private mutating func list(_ depth: Int) throws -> JSON {
      var found: [JSON] = []
      try items(depth, UInt8(ascii: "]")) { reader in found.append(try reader.value(depth + 1)) }
      return .list(found)
    }

    private mutating func object(_ depth: Int) throws -> JSON {
      var found: [String: JSON] = [:]
      try items(depth, UInt8(ascii: "}")) { reader in
        guard try reader.peek() == UInt8(ascii: "\"") else { throw reader.wrong("a key has to be a text") }
        let key = try reader.string()
        guard key.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else { throw reader.wrong("a key is not printable ASCII") }
        guard found[key] == nil else { throw reader.wrong("the key \(key) stands there twice") }
        reader.space()
        guard try reader.peek() == UInt8(ascii: ":") else { throw reader.wrong("no colon") }
        reader.at += 1
        reader.space()
        found[key] = try reader.value(depth + 1)
      }
      return .object(found)
    }

    private mutating func items(_ depth: Int, _ last: UInt8, _ item: (inout Reader) throws -> Void) throws {
      guard depth <= 32 else { throw wrong("more than 32 levels deep") }
      at += 1
      space()
      if try peek() == last {
        at += 1
        return
      }
      while true {
        space()
        try item(&self)
        space()
        let next = try peek()
        at += 1
        if next == last { return }
        guard next == UInt8(ascii: ",") else { throw wrong("neither a comma nor the end") }
      }
    }

    private mutating func word(_ name: String, _ value: JSON) throws -> JSON {
      guard bytes[at...].starts(with: name.utf8) else { throw wrong("no JSON") }
      at += name.utf8.count
      return value
    }

    private mutating func number() throws -> Int64 {
      let from = at
      if try peek() == UInt8(ascii: "-") { at += 1 }
      let digits = at
      while at < bytes.count, (0x30...0x39).contains(bytes[at]) { at += 1 }
      guard at > digits, at - digits == 1 || bytes[digits] != 0x30 else { throw wrong("no number") }
      if at < bytes.count, ".eE".utf8.contains(bytes[at]) { throw wrong("no integer") }
      guard at - from <= 20, let value = Int64(String(decoding: bytes[from..<at], as: UTF8.self)) else { throw wrong("more than 64 bits") }
      return value
    }

    private mutating func string() throws -> String {
      at += 1
      var found: [UInt8] = []
      while true {
        let byte = try peek()
        at += 1
        if byte == UInt8(ascii: "\"") { break }
        guard byte >= 0x20 else { throw wrong("a control in a text") }
        if byte == UInt8(ascii: "\\") {
          found += Array(String(Character(try escaped())).utf8)
        } else {
          found.append(byte)
        }
      }
      return String(decoding: found, as: UTF8.self)
    }

    private mutating func escaped() throws -> Unicode.Scalar {
      let byte = try peek()
      at += 1
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
      case UInt8(ascii: "b"): return "\u{8}"
      case UInt8(ascii: "f"): return "\u{C}"
      case UInt8(ascii: "n"): return "\n"
      case UInt8(ascii: "r"): return "\r"
      case UInt8(ascii: "t"): return "\t"
      case UInt8(ascii: "u"):
        let high = try unit()
        if let scalar = Unicode.Scalar(high) { return scalar }
        guard (0xD800...0xDBFF).contains(high), at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"), bytes[at + 1] == UInt8(ascii: "u")
        else { throw wrong("half a surrogate pair is no text") }
        at += 2
        let low = try unit()
        guard (0xDC00...0xDFFF).contains(low) else { throw wrong("half a surrogate pair is no text") }
        let upper: UInt32 = (high - 0xD800) << 10
        let lower: UInt32 = low - 0xDC00
        guard let scalar = Unicode.Scalar(0x10000 + upper + lower) else { throw wrong("half a surrogate pair is no text") }
        return scalar
      default: throw wrong("no such escape")
      }
    }

    private func isLetterOfSixteen(_ byte: UInt8) -> Bool {
      let lower = byte | 0x20
      return lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "f")
    }

    private mutating func unit() throws -> UInt32 {
      guard at + 4 <= bytes.count else { throw wrong("the document ends") }
      let digits = bytes[at..<at + 4]
      let hexadecimal = digits.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || isLetterOfSixteen($0) }
      guard hexadecimal, let value = UInt32(String(decoding: digits, as: UTF8.self), radix: 16) else { throw wrong("no hexadecimal digits") }
      at += 4
      return value
    }
  }
}
