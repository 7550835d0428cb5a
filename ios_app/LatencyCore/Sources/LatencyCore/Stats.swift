/// What is said of samples, in integers: nearest-rank percentiles, means rounded half up.
public enum Stats {
  static let trimPermille: Int64 = 200
  static let leastForP99 = 100

  /// - Throws: `ContractError` `empty`; `share`: not 1 to 100.
  public static func percentile(_ samples: [Int64], _ share: Int64) throws -> Int64 {
    try require("empty", !samples.isEmpty, "no samples have no percentile")
    try require("share", (1...100).contains(share), share)
    return samples.sorted()[(Int(share) * samples.count + 99) / 100 - 1]
  }

  /// - Throws: `ContractError` `empty`.
  public static func mean(_ samples: [Int64]) throws -> Int64 {
    try require("empty", !samples.isEmpty, "no samples have no mean")
    let count = Int64(samples.count)
    let (quotient, remainder) = (2 * samples.reduce(0, +) + count).quotientAndRemainder(dividingBy: 2 * count)
    return remainder < 0 ? quotient - 1 : quotient
  }

  /// The mean without the shortest and the longest; `permille` counts both ends together.
  public static func trimmedMean(_ samples: [Int64], _ permille: Int64) throws -> Int64 {
    try require("share", (0...999).contains(permille), permille)
    let cut = samples.count * Int(permille) / 2000
    return try mean(Array(samples.sorted()[cut..<samples.count - cut]))
  }

  /// - Throws: `ContractError` `empty`.
  public static func summary(_ samples: [Int64]) throws -> [String: Int64?] {
    guard let least = samples.min(), let most = samples.max() else { throw ContractError("empty", "no samples have no summary") }
    var found: [String: Int64?] = [:]
    found["n"] = Int64(samples.count)
    found["min"] = least
    found["p50"] = try percentile(samples, 50)
    found["p90"] = try percentile(samples, 90)
    let p99: Int64? = samples.count >= leastForP99 ? try percentile(samples, 99) : nil
    found.updateValue(p99, forKey: "p99")
    found["max"] = most
    found["mean"] = try mean(samples)
    found["trimmed_mean"] = try trimmedMean(samples, trimPermille)
    return found
  }

  /// Whether the last `window` samples take as long as those before, of medians, within so many per mille.
  public static func settled(_ samples: [Int64], window: Int, permille: Int64) -> Bool {
    guard window >= 1, samples.count >= 2 * window else { return false }
    let before = Array(samples.suffix(2 * window).prefix(window)).sorted()[(window + 1) / 2 - 1]
    let last = Array(samples.suffix(window)).sorted()[(window + 1) / 2 - 1]
    return abs(last - before) * 1000 <= permille * before
  }
}
