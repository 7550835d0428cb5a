/// What a model with exits answers: the `logits` of the exit that was taken, and which one it was, from 1.
public struct Answer {
  public let logits: [Float]
  public let exit: Int
  public let outputs: [Tensor]
}

/// Runs the stages of a model one after the other until its policy lets the sample go; what is behind that exit is not called.
///
///     let plan = try Plan(json: JSON.parse(String(contentsOf: folder.appendingPathComponent("plan.json"), encoding: .utf8)))
///     let variant = plan.variants[0]
///     let session = try CoreMLEngine().open(folder.appendingPathComponent(variant.model), variant)
///     let model = EarlyExitModel(session: session, stages: variant.stages, policy: variant.exitPolicy)
///     let pixels = try preprocessing.pixels(picture)
///     let image = Tensor(preprocessing.normalised(pixels), shape: [1, 3, 224, 224])
///     let answer = try model.classify(["image": image])
///     print("class \(Confidence.named(answer.logits) ?? -1) at exit \(answer.exit)")
///
/// Stages and policy are those of the artifact's manifest: `edgekit device run --dry-run` writes them as a plan. Not for several threads at once.
public struct EarlyExitModel {
  private let session: Session
  private let stages: [Stage]
  private let policy: ExitPolicy?

  /// - Parameter policy: nil: a network without exits, of one stage.
  public init(session: Session, stages: [Stage], policy: ExitPolicy?) {
    self.session = session
    self.stages = stages
    self.policy = policy
  }

  /// - Parameter inputs: by name, those of the first stage; later stages take what the ones before hand on, else again from here.
  public func classify(_ inputs: [String: Tensor]) throws -> Answer {
    var micro: [Int64?] = []
    var classes: [Int64?] = []
    var known = inputs
    for (number, stage) in stages.enumerated() {
      let given = try stage.inputs.map { spec in
        guard let tensor = known[spec.name] else { throw ContractError("tensor", "nothing is given for \(spec.name)") }
        return tensor
      }
      let outputs = try session.run(stage, given)
      guard outputs.count == stage.outputs.count, let first = outputs.first else {
        throw ContractError("tensor", "\(stage.entry) gave \(outputs.count) outputs")
      }
      let byName = Dictionary(zip(stage.outputs.map(\.name), outputs), uniquingKeysWith: { first, _ in first })
      known = inputs.merging(byName) { $1 }
      let exit = number + 1
      if try policy == nil || exit == stages.count || leaves(exit, byName, &micro, &classes) {
        return Answer(logits: (byName["logits"] ?? first).floats, exit: exit, outputs: outputs)
      }
    }
    throw ContractError("stages", "a plan has stages")
  }

  private func leaves(_ exit: Int, _ outputs: [String: Tensor], _ micro: inout [Int64?], _ classes: inout [Int64?]) throws -> Bool {
    guard let policy else { return true }
    if policy.reads == "confidence" {
      guard let sure = outputs["confidence"]?.floats.first else { throw ContractError("tensor", "there is no confidence") }
      micro.append(ExitPolicy.micro(sure))
    } else if policy.reads == "logits" {
      guard let logits = outputs["logits"]?.floats else { throw ContractError("tensor", "there are no logits") }
      if policy.kind == "patience" {
        classes.append(Confidence.named(logits))
      } else {
        micro.append(ExitPolicy.micro(Confidence.of(policy.kind, logits, temperatureMicro: policy.temperaturesMicro?[exit - 1])))
      }
    }
    return policy.leaves(exit, micro, classes)
  }
}
