#include "latency_engine.h"

#include <algorithm>
#include <cstring>

#include "engine.hpp"

struct latency_session {
  std::unique_ptr<edgekit::Session> session;
  std::vector<edgekit::Tensor> outputs;
};

namespace {

/// No exception crosses into another language: it becomes a sentence.
template <typename Step>
bool guarded(char* error, size_t room, Step step) {
  try {
    step();
    return true;
  } catch (const std::exception& refused) {
    if (room > 0) {
      const size_t length = std::min(std::strlen(refused.what()), room - 1);
      std::memcpy(error, refused.what(), length);
      error[length] = 0;
    }
    return false;
  }
}

}  // namespace

const char* latency_version(void) {
  static const std::string version = edgekit::executorch_version();
  return version.c_str();
}

latency_session* latency_open(const char* path, int64_t threads, char* error, size_t room) {
  auto opened = std::make_unique<latency_session>();
  const bool good = guarded(error, room, [&] { opened->session = edgekit::open_executorch(path, threads); });
  return good ? opened.release() : nullptr;
}

int latency_load(latency_session* session, const char* entry, char* error, size_t room) {
  return guarded(error, room, [&] { session->session->load(entry); }) ? 0 : 1;
}

int latency_run(latency_session* session, const char* entry, const latency_tensor* inputs, size_t count, size_t outputs, char* error, size_t room) {
  const auto step = [&] {
    edgekit::Stage stage;
    stage.entry = entry;
    stage.outputs.resize(outputs);
    std::vector<edgekit::Tensor> tensors(count);
    std::vector<const edgekit::Tensor*> given;
    for (size_t place = 0; place < count; ++place) {
      const latency_tensor& input = inputs[place];
      edgekit::TensorSpec spec;
      spec.dtype = input.dtype;
      spec.shape.assign(input.shape, input.shape + input.rank);
      if (input.size != static_cast<size_t>(spec.elements()) * spec.element_bytes()) throw edgekit::Refused("tensor: its bytes are not its shape's");
      stage.inputs.push_back(std::move(spec));
      const auto* bytes = static_cast<const uint8_t*>(input.bytes);
      tensors[place].bytes.assign(bytes, bytes + input.size);
      given.push_back(&tensors[place]);
    }
    session->outputs = session->session->run(stage, given);
  };
  return guarded(error, room, step) ? 0 : 1;
}

const void* latency_output(const latency_session* session, size_t place, size_t* size) {
  if (place >= session->outputs.size()) return nullptr;
  *size = session->outputs[place].bytes.size();
  return session->outputs[place].bytes.data();
}

void latency_close(latency_session* session) { delete session; }
