import Foundation

/// SHA-256 (FIPS 180-4), for Linux as for phones: Foundation alone has none.
public struct SHA256 {
  private var state: [UInt32] = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
  ]
  private var pending: [UInt8] = []
  private var length: UInt64 = 0
  private var words = [UInt32](repeating: 0, count: 64)

  public init() {}

  public mutating func update<Bytes: Collection>(_ bytes: Bytes) where Bytes.Element == UInt8 {
    length += UInt64(bytes.count)
    pending += bytes
    let whole = pending.count / 64 * 64
    if whole == 0 { return }
    let blocks = pending
    pending = Array(blocks[whole...])
    blocks.withUnsafeBufferPointer { buffer in
      for start in stride(from: 0, to: whole, by: 64) { block(buffer, start) }
    }
  }

  /// The digest as 64 hexadecimal digits; nothing can be added afterwards.
  public mutating func hexadecimal() -> String {
    let bits = length * 8
    var padding: [UInt8] = [0x80]
    padding += [UInt8](repeating: 0, count: (119 - pending.count) % 64)
    for shift in stride(from: UInt64(56), through: 0, by: -8) { padding.append(UInt8(truncatingIfNeeded: bits >> shift)) }
    update(padding)
    return state.map { word in
      let digits = String(word, radix: 16)
      return String(repeating: "0", count: 8 - digits.count) + digits
    }.joined()
  }

  public static func of<Bytes: Collection>(_ bytes: Bytes) -> String where Bytes.Element == UInt8 {
    var digest = SHA256()
    digest.update(bytes)
    return digest.hexadecimal()
  }

  /// The digest of a file, or of a folder as edgekit's manifests have it.
  public static func of(_ url: URL) throws -> String {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else {
      throw ContractError("model", "there is no \(url.lastPathComponent)")
    }
    if !isFolder.boolValue { return try file(url) }
    var total = SHA256()
    // By the parts of the path: a separator comes before every character.
    func order(_ name: String) -> [UInt8] { name.utf8.map { $0 == UInt8(ascii: "/") ? 0 : $0 } }
    let names = (FileManager.default.enumerator(atPath: url.path)?.compactMap { $0 as? String } ?? []).sorted {
      order($0).lexicographicallyPrecedes(order($1))
    }
    for name in names {
      let place = url.appendingPathComponent(name)
      guard FileManager.default.fileExists(atPath: place.path, isDirectory: &isFolder), !isFolder.boolValue else { continue }
      let size = try FileManager.default.attributesOfItem(atPath: place.path)[.size] as? NSNumber
      total.update(Array("\(name)\0\(size?.int64Value ?? 0)\0\(try file(place))\n".utf8))
    }
    return total.hexadecimal()
  }

  private static func file(_ url: URL) throws -> String {
    let handle = try FileHandle(forReadingFrom: url)
    defer { try? handle.close() }
    var digest = SHA256()
    while let part = try handle.read(upToCount: 1 << 20), !part.isEmpty { digest.update(part) }
    return digest.hexadecimal()
  }

  private mutating func block(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int) {
    func rotated(_ word: UInt32, _ count: UInt32) -> UInt32 { (word >> count) | (word << (32 - count)) }
    for number in 0..<16 {
      var word: UInt32 = 0
      for byte in 0..<4 { word = word << 8 | UInt32(bytes[start + 4 * number + byte]) }
      words[number] = word
    }
    for number in 16..<64 {
      let (early, late) = (words[number - 15], words[number - 2])
      let first: UInt32 = rotated(early, 7) ^ rotated(early, 18) ^ (early >> 3)
      let second: UInt32 = rotated(late, 17) ^ rotated(late, 19) ^ (late >> 10)
      let sum: UInt32 = words[number - 16] &+ first
      words[number] = sum &+ words[number - 7] &+ second
    }
    var (a, b, c, d) = (state[0], state[1], state[2], state[3])
    var (e, f, g, h) = (state[4], state[5], state[6], state[7])
    for number in 0..<64 {
      let choice: UInt32 = (e & f) ^ (~e & g)
      let sum: UInt32 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)
      var one: UInt32 = h &+ sum &+ choice
      one = one &+ SHA256.constants[number] &+ words[number]
      let majority: UInt32 = (a & b) ^ (a & c) ^ (b & c)
      let turned: UInt32 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)
      h = g
      g = f
      f = e
      e = d &+ one
      d = c
      c = b
      b = a
      a = one &+ turned &+ majority
    }
    let mixed: [UInt32] = [a, b, c, d, e, f, g, h]
    for number in 0..<8 { state[number] = state[number] &+ mixed[number] }
  }

  /// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
  private static let constants: [UInt32] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
  ]
}
