import Foundation
import XCTest

@testable import LatencyCore

/// What the shared vectors cannot say: digests against published values, and how runs end that go wrong.
final class RunLoopTests: XCTestCase {
  func testDigestsOfThePublishedMessages() {
    XCTAssertEqual(SHA256.of([]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    XCTAssertEqual(SHA256.of("abc".utf8), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    let long = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
    XCTAssertEqual(SHA256.of(long), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  func testAPolicyThatReadsLogitsStopsAtTheExitThatIsSure() throws {
    let policy = try ExitPolicy(kind: "max_softmax", exits: 2, thresholdsMicro: [900_000], temperaturesMicro: [2_000_000], reads: "logits")
    let output = TensorSpec(name: "logits", dtype: "float32", shape: [2], fill: nil)
    let stages = ["exit_1", "exit_2"].map { Stage(entry: $0, inputs: [], outputs: [output]) }
    for (logit, exit) in [(Float(4), 2), (Float(5), 1)] {  // divided by two first: 0.88 and 0.92
      let model = EarlyExitModel(session: Says([logit, 0]), stages: stages, policy: policy)
      XCTAssertEqual(try model.classify([:]).exit, exit)
    }
  }

  private final class Says: Session {
    let actual: String? = nil
    let basis = "unknown"
    let operators: [String: Int64]? = nil
    private let values: [Float]

    init(_ values: [Float]) { self.values = values }

    func load(_ entry: String) {}

    func run(_ stage: Stage, _ inputs: [Tensor]) -> [Tensor] { [Tensor(values, shape: [values.count])] }
  }
}
