import CoreVideo
@_exported import Foundation

// objc: MLComputeUnits.CPUOnly, MLComputeUnits.CPUAndGPU, MLComputeUnits.All, MLComputeUnits.CPUAndNeuralEngine
public enum MLComputeUnits { case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine }
public final class MLModelConfiguration {  // objc: MLModelConfiguration
  public init() {}  // objc: MLModelConfiguration
  public var computeUnits = MLComputeUnits.all  // objc: MLModelConfiguration.computeUnits
  public var functionName: String?  // objc: MLModelConfiguration.functionName
}
public enum MLMultiArrayDataType { case float32, int32 }  // objc: MLMultiArrayDataType.Float32, MLMultiArrayDataType.Int32
public final class MLMultiArray {  // objc: MLMultiArray
  public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws {}  // objc: MLMultiArray.initWithShapeDataTypeError
  public let count = 0  // objc: MLMultiArray.count
  public subscript(_ index: Int) -> NSNumber { 0 }  // objc: MLMultiArray.objectAtIndexedSubscript
  // objc: MLMultiArray.getMutableBytesWithHandler
  public func withUnsafeMutableBytes<R>(_ body: (UnsafeMutableRawBufferPointer, [Int]) throws -> R) rethrows -> R {
    try body(UnsafeMutableRawBufferPointer(start: nil, count: 0), [])
  }
}
public final class MLFeatureValue {  // objc: MLFeatureValue
  public init(pixelBuffer: CVPixelBuffer) {}  // objc: MLFeatureValue.featureValueWithPixelBuffer
  public init(multiArray: MLMultiArray) {}  // objc: MLFeatureValue.featureValueWithMultiArray
  public var multiArrayValue: MLMultiArray? { nil }  // objc: MLFeatureValue.multiArrayValue
}
public protocol MLFeatureProvider { func featureValue(for name: String) -> MLFeatureValue? }  // objc: MLFeatureProvider.featureValueForName
public final class MLDictionaryFeatureProvider: MLFeatureProvider {  // objc: MLDictionaryFeatureProvider
  public init(dictionary: [String: Any]) throws {}  // objc: MLDictionaryFeatureProvider.initWithDictionaryError
  public func featureValue(for name: String) -> MLFeatureValue? { nil }  // objc: MLFeatureProvider.featureValueForName
}
public final class MLModel {  // objc: MLModel
  public static func compileModel(at url: URL) throws -> URL { url }  // objc: MLModel.compileModelAtURLError
  public init(contentsOf url: URL, configuration: MLModelConfiguration) throws {}  // objc: MLModel.modelWithContentsOfURLConfigurationError
  public func prediction(from input: MLFeatureProvider) throws -> MLFeatureProvider { input }  // objc: MLModel.predictionFromFeaturesError
}
public final class MLCPUComputeDevice: Sendable {}  // objc: MLCPUComputeDevice
public final class MLGPUComputeDevice: Sendable {}  // objc: MLGPUComputeDevice
public final class MLNeuralEngineComputeDevice: Sendable {}  // objc: MLNeuralEngineComputeDevice
public enum MLComputeDevice: Sendable {  // objc: MLComputeDeviceProtocol
  case cpu(MLCPUComputeDevice)  // objc: none: a Swift enumeration of the three classes
  case gpu(MLGPUComputeDevice)  // objc: none
  case neuralEngine(MLNeuralEngineComputeDevice)  // objc: none
}
public enum MLModelStructure {  // objc: MLModelStructure
  public struct Program {  // objc: MLModelStructureProgram
    public struct Function { public let block: Block }  // objc: MLModelStructureProgramFunction.block
    public struct Block { public let operations: [Operation] }  // objc: MLModelStructureProgramBlock.operations
    public struct Operation {  // objc: MLModelStructureProgramOperation
      public let operatorName: String  // objc: MLModelStructureProgramOperation.operatorName
      public let blocks: [Block]  // objc: MLModelStructureProgramOperation.blocks
    }
    public let functions: [String: Function]  // objc: MLModelStructureProgram.functions
  }
  case neuralNetwork, pipeline, unsupported  // objc: MLModelStructure.neuralNetwork, MLModelStructure.pipeline
  case program(Program)  // objc: MLModelStructure.program
}
public final class MLComputePlan {  // objc: MLComputePlan
  public struct DeviceUsage { public let preferred: MLComputeDevice }  // objc: MLComputePlanDeviceUsage.preferredComputeDevice
  // objc: MLComputePlan.loadContentsOfURLConfigurationCompletionHandler
  public static func load(contentsOf url: URL, configuration: MLModelConfiguration) async throws -> MLComputePlan { MLComputePlan() }
  public var modelStructure: MLModelStructure { .unsupported }  // objc: MLComputePlan.modelStructure
  // objc: MLComputePlan.computeDeviceUsageForMLProgramOperation
  public func deviceUsage(for operation: MLModelStructure.Program.Operation) -> DeviceUsage? { nil }
}
