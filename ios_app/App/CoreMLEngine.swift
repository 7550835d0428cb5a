import CoreML
import CoreVideo
import Foundation
import LatencyCore

/// Core ML. Which unit ran an operator is not told; the compute plan says which one Core ML means to use, and that is what is reported.
struct CoreMLEngine: Engine {
  let about = Named(name: "coreml", version: ProcessInfo.processInfo.operatingSystemVersionString)

  func open(_ model: URL, _ variant: Variant) throws -> Session {
    let compiled = model.pathExtension == "mlmodelc" ? model : try MLModel.compileModel(at: model)
    return CoreMLSession(compiled, variant)
  }
}

private final class CoreMLSession: Session {
  private let compiled: URL
  private let compute: String
  private let severalFunctions: Bool
  private var models: [String: MLModel] = [:]
  private(set) var operators: [String: Int64]?

  init(_ compiled: URL, _ variant: Variant) {
    self.compiled = compiled
    compute = variant.compute
    severalFunctions = variant.stages.count > 1
    operators = CoreMLSession.planned(compiled, configuration(nil))
  }

  var basis: String { operators == nil ? "unknown" : "plan" }

  /// The one unit that all operators are planned on, or else all units that some are.
  var actual: String? {
    operators.map { counts in ["cpu", "gpu", "npu"].filter { counts[$0, default: 0] > 0 }.joined(separator: "+") }.flatMap { $0.isEmpty ? nil : $0 }
  }

  func load(_ entry: String) throws {
    models[entry] = try MLModel(contentsOf: compiled, configuration: configuration(severalFunctions ? entry : nil))
  }

  func run(_ stage: Stage, _ inputs: [Tensor]) throws -> [Tensor] {
    guard let model = models[stage.entry] else { throw ContractError("model", "\(stage.entry) is not loaded") }
    var features: [String: MLFeatureValue] = [:]
    for (spec, tensor) in zip(stage.inputs, inputs) { features[spec.name] = try CoreMLSession.feature(tensor) }
    let answer = try model.prediction(from: MLDictionaryFeatureProvider(dictionary: features))
    return try stage.outputs.map { spec in
      guard let array = answer.featureValue(for: spec.name)?.multiArrayValue else { throw ContractError("tensor", "there is no \(spec.name)") }
      return Tensor((0..<array.count).map { array[$0].floatValue }, shape: spec.shape)
    }
  }

  private func configuration(_ function: String?) -> MLModelConfiguration {
    let found = MLModelConfiguration()
    switch compute {
    case "cpu": found.computeUnits = .cpuOnly
    case "gpu": found.computeUnits = .cpuAndGPU
    case "npu": found.computeUnits = .cpuAndNeuralEngine
    default: found.computeUnits = .all
    }
    if #available(iOS 18, *), let function { found.functionName = function }
    return found
  }

  private static func feature(_ tensor: Tensor) throws -> MLFeatureValue {
    if tensor.dtype == "image" { return MLFeatureValue(pixelBuffer: try pixels(tensor)) }
    let array = try MLMultiArray(shape: tensor.shape.map { NSNumber(value: $0) }, dataType: tensor.dtype == "int32" ? .int32 : .float32)
    array.withUnsafeMutableBytes { bytes, _ in bytes.copyBytes(from: tensor.bytes) }
    return MLFeatureValue(multiArray: array)
  }

  /// A picture from planes of red, green and blue, (1, 3, H, W), as Core ML takes it: blue, green, red, alpha.
  private static func pixels(_ tensor: Tensor) throws -> CVPixelBuffer {
    let (height, width) = (tensor.shape[2], tensor.shape[3])
    var made: CVPixelBuffer?
    guard CVPixelBufferCreate(nil, width, height, kCVPixelFormatType_32BGRA, nil, &made) == kCVReturnSuccess, let buffer = made else {
      throw ContractError("tensor", "no pixel buffer")
    }
    CVPixelBufferLockBaseAddress(buffer, [])
    defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
    guard let base = CVPixelBufferGetBaseAddress(buffer) else { throw ContractError("tensor", "no pixel buffer") }
    let stride = CVPixelBufferGetBytesPerRow(buffer)
    for row in 0..<height {
      for column in 0..<width {
        let place = base + row * stride + column * 4
        for channel in 0..<3 {
          place.storeBytes(of: tensor.bytes[(2 - channel) * height * width + row * width + column], toByteOffset: channel, as: UInt8.self)
        }
        place.storeBytes(of: 255, toByteOffset: 3, as: UInt8.self)
      }
    }
    return buffer
  }

  /// How many operators Core ML plans on each unit, constants left out; nil where it does not tell.
  private static func planned(_ compiled: URL, _ configuration: MLModelConfiguration) -> [String: Int64]? {
    guard #available(iOS 17.4, *) else { return nil }
    let box = Box()
    let done = DispatchSemaphore(value: 0)
    Task.detached {
      box.counts = try? await counted(MLComputePlan.load(contentsOf: compiled, configuration: configuration))
      done.signal()
    }
    done.wait()
    return box.counts
  }

  private final class Box: @unchecked Sendable {
    var counts: [String: Int64]?
  }

  @available(iOS 17.4, *)
  private static func counted(_ plan: MLComputePlan) -> [String: Int64]? {
    guard case .program(let program) = plan.modelStructure else { return nil }
    var counts: [String: Int64] = ["cpu": 0, "gpu": 0, "npu": 0, "unknown": 0]
    func visit(_ block: MLModelStructure.Program.Block) {
      for operation in block.operations {
        for inner in operation.blocks { visit(inner) }
        if operation.operatorName == "const" || operation.operatorName.hasSuffix(".const") { continue }
        switch plan.deviceUsage(for: operation)?.preferred {
        case .cpu?: counts["cpu", default: 0] += 1
        case .gpu?: counts["gpu", default: 0] += 1
        case .neuralEngine?: counts["npu", default: 0] += 1
        default: counts["unknown", default: 0] += 1
        }
      }
    }
    for function in program.functions.values { visit(function.block) }
    return counts
  }
}
