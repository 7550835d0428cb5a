import CoreVideo
@_exported import Foundation

public enum MLComputeUnits { case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine }
public final class MLModelConfiguration {
  public init() {}
  public var computeUnits = MLComputeUnits.all
  public var functionName: String?
}
public enum MLMultiArrayDataType { case float32, int32 }
public final class MLMultiArray {
  public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws {}
  public let count = 0
  public subscript(_ index: Int) -> NSNumber { 0 }
  public func withUnsafeMutableBytes<R>(_ body: (UnsafeMutableRawBufferPointer, [Int]) throws -> R) rethrows -> R {
    try body(UnsafeMutableRawBufferPointer(start: nil, count: 0), [])
  }
}
public final class MLFeatureValue {
  public init(pixelBuffer: CVPixelBuffer) {}
  public init(multiArray: MLMultiArray) {}
  public var multiArrayValue: MLMultiArray? { nil }
}
public protocol MLFeatureProvider { func featureValue(for name: String) -> MLFeatureValue? }
public final class MLDictionaryFeatureProvider: MLFeatureProvider {
  public init(dictionary: [String: Any]) throws {}
  public func featureValue(for name: String) -> MLFeatureValue? { nil }
}
public final class MLModel {
  public static func compileModel(at url: URL) throws -> URL { url }
  public init(contentsOf url: URL, configuration: MLModelConfiguration) throws {}
  public func prediction(from input: MLFeatureProvider) throws -> MLFeatureProvider { input }
}
public final class MLCPUComputeDevice: Sendable {}
public final class MLGPUComputeDevice: Sendable {}
public final class MLNeuralEngineComputeDevice: Sendable {}
public enum MLComputeDevice: Sendable {
  case cpu(MLCPUComputeDevice)
  case gpu(MLGPUComputeDevice)
  case neuralEngine(MLNeuralEngineComputeDevice)
}
public enum MLModelStructure {
  public struct Program {
    public struct Function { public let block: Block }
    public struct Block { public let operations: [Operation] }
    public struct Operation {
      public let operatorName: String
      public let blocks: [Block]
    }
    public let functions: [String: Function]
  }
  case neuralNetwork, pipeline, unsupported
  case program(Program)
}
public final class MLComputePlan {
  public struct DeviceUsage { public let preferred: MLComputeDevice }
  public static func load(contentsOf url: URL, configuration: MLModelConfiguration) async throws -> MLComputePlan { MLComputePlan() }
  public var modelStructure: MLModelStructure { .unsupported }
  public func deviceUsage(for operation: MLModelStructure.Program.Operation) -> DeviceUsage? { nil }
}
