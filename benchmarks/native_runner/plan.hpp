// What a phone is to do, read from the host's plan: see edgekit/device/plan.py, which has checked it before it was sent.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "json.hpp"

namespace edgekit {

struct TensorSpec {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::string fill;  // empty: an output

  int64_t elements() const;
  size_t element_bytes() const;
};

struct Stage {
  std::string entry;
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
};

/// Only policies that read the graph's confidence, or nothing: the others are for the apps.
struct ExitPolicy {
  std::vector<std::optional<int64_t>> thresholds_micro;
  std::optional<int64_t> exit;
};

struct Variant {
  std::string id, engine, model, sha256, compute;
  int64_t threads = 1;
  std::vector<Stage> stages;
  std::optional<ExitPolicy> policy;
};

struct Plan {
  std::string run_id, max_start;
  int64_t seed = 0, cooldown_ms = 0;
  int64_t warmup_min = 0, warmup_max = 0, window = 1, rel_permille = 0;
  int64_t min = 1, max = 1, min_ms = 0, max_ms = 0;
  bool settled_stops = false;
  std::vector<Variant> variants;
};

/// Throws Refused where it is no plan, names a file elsewhere, or asks for what this runner does not do.
Plan read_plan(const Json& document);

}  // namespace edgekit
