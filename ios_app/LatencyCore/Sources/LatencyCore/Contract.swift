/// What cannot be accepted; `code` is the same word in every language.
public struct ContractError: Error, CustomStringConvertible {
  public let code: String
  public let message: String

  public init(_ code: String, _ message: String) {
    self.code = code
    self.message = message
  }

  public var description: String { "\(code): \(message)" }
}

func require(_ code: String, _ holds: Bool, _ what: @autoclosure () -> Any?) throws {
  if !holds { throw ContractError(code, String(String(describing: what() ?? "nothing").prefix(300))) }
}

/// The members of one JSON object, asked for by name and type; exactly these keys, or the code is `shape`.
struct Fields {
  private let values: [String: JSON]
  private let place: String

  init(_ value: JSON?, _ keys: [String], _ place: String) throws {
    guard case .object(let members)? = value else { throw ContractError("shape", "\(place) is no object") }
    if let unknown = members.keys.first(where: { !keys.contains($0) }) {
      throw ContractError("shape", "\(place) has an unknown key \(unknown)")
    }
    if let missing = keys.first(where: { members[$0] == nil }) {
      throw ContractError("shape", "\(place) lacks \(missing)")
    }
    values = members
    self.place = place
  }

  func raw(_ key: String) -> JSON { values[key] ?? .null }

  func isNull(_ key: String) -> Bool { raw(key) == .null }

  func text(_ key: String) throws -> String {
    guard case .text(let value) = raw(key) else { throw wrong(key, "a text") }
    return value
  }

  func textOrNil(_ key: String) throws -> String? { isNull(key) ? nil : try text(key) }

  func integer(_ key: String) throws -> Int64 {
    guard case .integer(let value) = raw(key) else { throw wrong(key, "an integer") }
    return value
  }

  func integerOrNil(_ key: String) throws -> Int64? { isNull(key) ? nil : try integer(key) }

  func flag(_ key: String) throws -> Bool {
    guard case .flag(let value) = raw(key) else { throw wrong(key, "true or false") }
    return value
  }

  func flagOrNil(_ key: String) throws -> Bool? { isNull(key) ? nil : try flag(key) }

  func rows(_ key: String) throws -> [JSON] {
    guard case .list(let value) = raw(key) else { throw wrong(key, "a list") }
    return value
  }

  func integers(_ key: String) throws -> [Int64] {
    try rows(key).map {
      guard case .integer(let value) = $0 else { throw wrong(key, "a list of integers") }
      return value
    }
  }

  func integersOrNil(_ key: String) throws -> [Int64]? { isNull(key) ? nil : try integers(key) }

  private func wrong(_ key: String, _ wanted: String) -> ContractError {
    ContractError("shape", "\(place): \(key) has to be \(wanted)")
  }
}
