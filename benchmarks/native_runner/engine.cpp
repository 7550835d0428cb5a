#include "engine.hpp"

#include <sched.h>

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/platform/runtime.h>

namespace edgekit {
namespace {

using executorch::aten::ScalarType;
using executorch::aten::SizesType;
using executorch::extension::Module;
using executorch::runtime::EValue;

ScalarType scalar_type(const std::string& dtype) {
  if (dtype == "float32") return ScalarType::Float;
  if (dtype == "int32") return ScalarType::Int;
  if (dtype == "int64") return ScalarType::Long;
  if (dtype == "uint8") return ScalarType::Byte;
  throw Refused("tensor: ExecuTorch takes no " + dtype + " here");
}

void check(executorch::runtime::Error error, const std::string& what) {
  if (error != executorch::runtime::Error::Ok) {
    throw Refused(what + ": ExecuTorch error " + std::to_string(static_cast<uint32_t>(error)));
  }
}

/// The SDK has no call for the number of threads, and its pool takes every core it sees: so it sees as many as it may use.
void pin(int64_t threads) {
  cpu_set_t allowed, chosen;
  CPU_ZERO(&chosen);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) throw Refused("threads: the cores cannot be told");
  int64_t count = 0;
  for (int core = 0; core < CPU_SETSIZE && count < threads; ++core) {
    if (!CPU_ISSET(core, &allowed)) continue;
    CPU_SET(core, &chosen);
    ++count;
  }
  if (count < threads || sched_setaffinity(0, sizeof chosen, &chosen) != 0) throw Refused("threads: there are not so many cores");
}

class ExecuTorchSession : public Session {
 public:
  explicit ExecuTorchSession(const std::string& path) : module_(path, Module::LoadMode::Mmap) { check(module_.load(), "load " + path); }

  void load(const std::string& entry) override { check(module_.load_method(entry), "load method " + entry); }

  std::vector<Tensor> run(const Stage& stage, const std::vector<const Tensor*>& inputs) override {
    std::vector<executorch::extension::TensorPtr> tensors;  // values refer to tensors and do not own them
    std::vector<EValue> given;
    for (size_t number = 0; number < inputs.size(); ++number) {
      const TensorSpec& spec = stage.inputs[number];
      const std::vector<SizesType> sizes(spec.shape.begin(), spec.shape.end());
      auto* bytes = const_cast<uint8_t*>(inputs[number]->bytes.data());  // methods do not write to their inputs
      tensors.push_back(executorch::extension::from_blob(bytes, sizes, scalar_type(spec.dtype)));
      given.emplace_back(*tensors.back());
    }
    auto outputs = module_.execute(stage.entry, given);
    check(outputs.error(), "run " + stage.entry);
    if (outputs->size() != stage.outputs.size()) throw Refused("tensor: " + stage.entry + " gave " + std::to_string(outputs->size()) + " outputs");
    std::vector<Tensor> found;
    for (const EValue& value : *outputs) {
      const auto tensor = value.toTensor();
      const auto* bytes = static_cast<const uint8_t*>(tensor.const_data_ptr());
      found.push_back({std::vector<uint8_t>(bytes, bytes + tensor.nbytes())});
    }
    return found;
  }

 private:
  Module module_;
};

}  // namespace

std::unique_ptr<Session> open_executorch(const std::string& path, int64_t threads) {
  pin(threads);
  executorch::runtime::runtime_init();
  return std::make_unique<ExecuTorchSession>(path);
}

std::string executorch_version() { return "1.5.1"; }

}  // namespace edgekit
