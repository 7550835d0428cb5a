import Foundation

/// A picture: rows of RGB pixels, a byte a channel.
public struct Picture: Sendable {
  public let width: Int
  public let height: Int
  public let rgb: [UInt8]

  public init(width: Int, height: Int, rgb: [UInt8]) throws {
    try require("picture", rgb.count == width * height * 3, "\(rgb.count) bytes")
    self.width = width
    self.height = height
    self.rgb = rgb
  }
}

/// From a picture to a model's input, in this order: the shorter side to `int(resolution / crop)` pixels, the centre, then `(x / 255 - mean) / std`.
/// Resampling is Pillow's for 8 bits, in its fixed-point arithmetic, so pixels are equal to edgekit's on the host. Fractions are micro-units.
public struct Preprocessing: Sendable {
  public let resolution: Int
  private let crop: Double
  private let interpolation: String
  private let mean: [Float]
  private let std: [Float]

  public init(resolution: Int, cropMicro: Int64, interpolation: String, meanMicro: [Int64], stdMicro: [Int64]) {
    self.resolution = resolution
    crop = Double(cropMicro) / 1e6
    self.interpolation = interpolation
    mean = meanMicro.map { Float(Double($0) / 1e6) }
    std = stdMicro.map { Float(Double($0) / 1e6) }
  }

  /// Resized and cropped: `resolution * resolution * 3` bytes.
  public func pixels(_ picture: Picture) throws -> Picture {
    let shorter = Int(Double(resolution) / crop)
    let factor = Double(shorter) / Double(min(picture.width, picture.height))
    let width = max(shorter, Int((Double(picture.width) * factor).rounded(.toNearestOrEven)))
    let height = max(shorter, Int((Double(picture.height) * factor).rounded(.toNearestOrEven)))
    let resized = try Resampling.resize(picture, width, height, interpolation)
    let left = (width - resolution) / 2
    let top = (height - resolution) / 2
    var out: [UInt8] = []
    out.reserveCapacity(resolution * resolution * 3)
    for row in top..<top + resolution {
      let from: Int = (row * width + left) * 3
      out += resized.rgb[from..<(from + resolution * 3)]
    }
    return try Picture(width: resolution, height: resolution, rgb: out)
  }

  /// Normalised, in the order channels, rows, columns; with `channelsLast` as the pixels are, which LiteRT files take.
  public func normalised(_ pixels: Picture, channelsLast: Bool = false) -> [Float] {
    let count = pixels.width * pixels.height
    var out = [Float](repeating: 0, count: count * 3)
    for place in 0..<count {
      for channel in 0..<3 {
        let value: Float = Float(pixels.rgb[place * 3 + channel]) / 255
        let to: Int = channelsLast ? place * 3 + channel : channel * count + place
        out[to] = (value - mean[channel]) / std[channel]
      }
    }
    return out
  }
}

/// Pillow's two passes of 8 bits, each rounded; coefficients have 22 bits behind the point.
enum Resampling {
  private static let bits: Int32 = 22

  private struct Weights {
    var first: [Int] = []
    var rows: [[Int32]] = []
  }

  static func resize(_ picture: Picture, _ width: Int, _ height: Int, _ interpolation: String) throws -> Picture {
    let cubic = interpolation == "bicubic"
    let wide = width == picture.width ? picture : try horizontal(picture, width, weights(picture.width, width, cubic))
    return height == wide.height ? wide : try vertical(wide, height, weights(wide.height, height, cubic))
  }

  private static func filter(_ distance: Double, _ cubic: Bool) -> Double {
    // In steps: one expression of this many literals takes the compiler minutes.
    let x: Double = abs(distance)
    if !cubic { return x < 1 ? 1 - x : 0 }
    if x < 1 {
      let inner: Double = 1.5 * x - 2.5
      return inner * x * x + 1
    }
    if x >= 2 { return 0 }
    let square: Double = (x - 5) * x + 8
    let outer: Double = square * x - 4
    return -0.5 * outer
  }

  private static func weights(_ from: Int, _ to: Int, _ cubic: Bool) -> Weights {
    let scale = Double(from) / Double(to)
    let wider = max(scale, 1)
    let support = (cubic ? 2.0 : 1.0) * wider
    var found = Weights()
    for place in 0..<to {
      let centre = (Double(place) + 0.5) * scale
      let low = max(Int(centre - support + 0.5), 0)
      let count = min(Int(centre + support + 0.5), from) - low
      let inverse: Double = 1 / wider
      var row: [Double] = []
      for number in 0..<count {
        let distance: Double = Double(number + low) - centre + 0.5
        row.append(filter(distance * inverse, cubic))
      }
      var total: Double = 0
      for weight in row { total += weight }
      found.first.append(low)
      var fixed: [Int32] = []
      for share in row {
        let whole: Double = total != 0 ? share / total : share
        let weight: Double = whole * Double(1 << Int(bits))
        let half: Double = weight < 0 ? -0.5 : 0.5
        fixed.append(Int32(weight + half))
      }
      found.rows.append(fixed)
    }
    return found
  }

  private static func horizontal(_ picture: Picture, _ width: Int, _ weights: Weights) throws -> Picture {
    var out = [UInt8](repeating: 0, count: width * picture.height * 3)
    for y in 0..<picture.height {
      for x in 0..<width {
        let from = (y * picture.width + weights.first[x]) * 3
        let to = (y * width + x) * 3
        for channel in 0..<3 { out[to + channel] = summed(picture.rgb, from + channel, 3, weights.rows[x]) }
      }
    }
    return try Picture(width: width, height: picture.height, rgb: out)
  }

  private static func vertical(_ picture: Picture, _ height: Int, _ weights: Weights) throws -> Picture {
    let stride = picture.width * 3
    var out = [UInt8](repeating: 0, count: stride * height)
    for y in 0..<height {
      for place in 0..<stride { out[y * stride + place] = summed(picture.rgb, weights.first[y] * stride + place, stride, weights.rows[y]) }
    }
    return try Picture(width: picture.width, height: height, rgb: out)
  }

  private static func summed(_ bytes: [UInt8], _ from: Int, _ step: Int, _ row: [Int32]) -> UInt8 {
    var sum: Int32 = 1 << (bits - 1)
    for number in row.indices { sum += Int32(bytes[from + number * step]) * row[number] }
    return UInt8(min(max(sum >> bits, 0), 255))
  }
}
