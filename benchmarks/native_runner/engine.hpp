// The real engine behind three calls. Only engine.cpp knows ExecuTorch.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "plan.hpp"

namespace edgekit {

/// A tensor's elements as bytes in the machine's order.
struct Tensor {
  std::vector<uint8_t> bytes;
};

class Session {
 public:
  virtual ~Session() = default;
  virtual void load(const std::string& entry) = 0;
  virtual std::vector<Tensor> run(const Stage& stage, const std::vector<const Tensor*>& inputs) = 0;
};

/// Throws Refused where the file is none that it can run.
std::unique_ptr<Session> open_executorch(const std::string& path, int64_t threads);
std::string executorch_version();

}  // namespace edgekit
