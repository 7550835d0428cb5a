#if canImport(CoreAI)
  import CoreAI
  import Foundation
  import LatencyCore

  /// Core AI, from iOS 27 on. It has no synchronous calls: the run loop's thread waits for each.
  @available(iOS 27, *)
  struct CoreAIEngine: Engine {
    let about = Named(name: "coreai", version: ProcessInfo.processInfo.operatingSystemVersionString)

    func open(_ model: URL, _ variant: Variant) throws -> Session {
      guard variant.compute == "all" || variant.compute == "cpu" else { throw ContractError("compute", "the unit is Core AI's own choice") }
      return CoreAISession(try waited { try await AIModel(contentsOf: model) })
    }
  }

  @available(iOS 27, *)
  private final class CoreAISession: Session {
    private let model: AIModel
    private var functions: [String: InferenceFunction] = [:]
    let actual: String? = nil
    let basis = "unknown"
    let operators: [String: Int64]? = nil

    init(_ model: AIModel) { self.model = model }

    func load(_ entry: String) throws {
      guard let function = try model.loadFunction(named: entry) else { throw ContractError("model", "there is no \(entry)") }
      functions[entry] = function
    }

    func run(_ stage: Stage, _ inputs: [Tensor]) throws -> [Tensor] {
      guard let function = functions[stage.entry] else { throw ContractError("model", "\(stage.entry) is not loaded") }
      var given: [String: NDArray] = [:]
      for (spec, tensor) in zip(stage.inputs, inputs) {
        guard case .ndArray(let descriptor)? = function.descriptor.inputDescriptor(of: spec.name) else {
          throw ContractError("tensor", "there is no input \(spec.name)")
        }
        var array = NDArray(descriptor: descriptor)
        array.mutableRawView().withUnsafeMutableBytes { bytes, _, _ in bytes.copyMemory(from: tensor.bytes, byteCount: tensor.bytes.count) }
        given[spec.name] = array
      }
      let ready = given
      return try waited { try await CoreAISession.called(function, stage, ready) }
    }

    private static func called(_ function: InferenceFunction, _ stage: Stage, _ inputs: [String: NDArray]) async throws -> [Tensor] {
      var outputs: [Tensor] = []
      var answer = try await function.run(inputs: inputs)
      for spec in stage.outputs {
        guard let array = answer.remove(spec.name)?.ndArray else { throw ContractError("tensor", "there is no \(spec.name)") }
        let count = spec.elements * MemoryLayout<Float>.size
        let bytes = array.rawView().withUnsafeBytes { bytes, _, _ in Array(UnsafeRawBufferPointer(start: bytes, count: count)) }
        outputs.append(Tensor(dtype: spec.dtype, shape: spec.shape, bytes: bytes))
      }
      return outputs
    }
  }

  private final class Waited<T>: @unchecked Sendable {
    var result: Swift.Result<T, Error>?
  }

  /// Waits for an asynchronous call on a thread of our own.
  private func waited<T>(_ call: @escaping @Sendable () async throws -> T) throws -> T {
    let box = Waited<T>()
    let done = DispatchSemaphore(value: 0)
    Task.detached {
      do {
        box.result = .success(try await call())
      } catch {
        box.result = .failure(error)
      }
      done.signal()
    }
    done.wait()
    guard let result = box.result else { throw ContractError("model", "no answer") }
    return try result.get()
  }
#endif
