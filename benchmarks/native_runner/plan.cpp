#include "plan.hpp"

#include <algorithm>
#include <cctype>

namespace edgekit {
namespace {

void require(bool holds, const std::string& what) {
  if (!holds) throw Refused(what);
}

TensorSpec tensor(const Json& row) {
  TensorSpec found;
  found.name = row.at("name").text();
  found.dtype = row.at("dtype").text();
  for (const Json& size : row.at("shape").list()) found.shape.push_back(size.integer());
  if (!row.at("fill").is_null()) found.fill = row.at("fill").text();
  int64_t elements = 1;
  for (const int64_t size : found.shape) {
    require(size >= 1 && size <= (1 << 28), "tensor: shape");
    elements *= size;
    require(elements <= (1 << 28), "tensor: shape");
  }
  return found;
}

std::vector<TensorSpec> tensors(const Json& rows) {
  std::vector<TensorSpec> found;
  for (const Json& row : rows.list()) found.push_back(tensor(row));
  require(!found.empty(), "stages: no tensors");
  return found;
}

std::optional<ExitPolicy> policy(const Json& row, size_t stages) {
  if (row.is_null()) {
    require(stages == 1, "policy: several stages without one");
    return std::nullopt;
  }
  ExitPolicy found;
  const std::string& reads = row.at("reads").text();
  require(reads == "confidence" || reads == "nothing", "policy: this runner reads no logits");
  if (!row.at("exit").is_null()) found.exit = row.at("exit").integer();
  if (reads == "confidence") {
    for (const Json& threshold : row.at("thresholds_micro").list()) {
      found.thresholds_micro.push_back(threshold.is_null() ? std::nullopt : std::optional<int64_t>(threshold.integer()));
    }
    require(found.thresholds_micro.size() + 1 == stages, "policy: thresholds");
  }
  require(reads == "confidence" || found.exit.has_value(), "policy: no exit");
  return found;
}

bool is_file_name(const std::string& name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](unsigned char byte) { return std::isalnum(byte) || byte == '.' || byte == '_' || byte == '-'; });
  return plain && !name.empty() && name.size() <= 128 && name[0] != '.' && name.find("..") == std::string::npos;
}

Variant variant(const Json& row) {
  Variant found;
  found.id = row.at("id").text();
  found.engine = row.at("engine").text();
  found.model = row.at("model").text();
  found.sha256 = row.at("model_sha256").text();
  found.compute = row.at("compute").text();
  found.threads = row.at("threads").integer();
  require(is_file_name(found.model), "model: no file's name");
  require(found.threads >= 1 && found.threads <= 64, "threads");
  require(row.at("picture").is_null(), "picture: this runner times no preprocessing (--no-preprocess)");
  for (const Json& stage : row.at("stages").list()) {
    found.stages.push_back({stage.at("entry").text(), tensors(stage.at("inputs")), tensors(stage.at("outputs"))});
  }
  require(!found.stages.empty(), "stages: none");
  found.policy = policy(row.at("exit_policy"), found.stages.size());
  return found;
}

}  // namespace

int64_t TensorSpec::elements() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

size_t TensorSpec::element_bytes() const { return dtype == "uint8" ? 1 : dtype == "int64" ? 8 : 4; }

Plan read_plan(const Json& document) {
  require(document.at("schema").text() == "latency-plan/1", "schema: this is no latency plan");
  Plan plan;
  plan.run_id = document.at("run_id").text();
  plan.seed = document.at("seed").integer();
  plan.cooldown_ms = document.at("cooldown_ms").integer();
  const Json& warmup = document.at("warmup");
  plan.warmup_min = warmup.at("min").integer();
  plan.warmup_max = warmup.at("max").integer();
  plan.window = warmup.at("window").integer();
  plan.rel_permille = warmup.at("rel_permille").integer();
  const Json& measure = document.at("measure");
  plan.min = measure.at("min").integer();
  plan.max = measure.at("max").integer();
  plan.min_ms = measure.at("min_ms").integer();
  plan.max_ms = measure.at("max_ms").integer();
  plan.settled_stops = measure.at("stop").text() == "settled";
  require(plan.warmup_max <= 1000 && plan.window >= 1 && plan.window <= 100, "warmup");
  require(plan.min >= 1 && plan.min <= plan.max && plan.max <= 10'000, "measure");
  plan.max_start = document.at("thermal").at("max_start").text();
  for (const Json& row : document.at("variants").list()) plan.variants.push_back(variant(row));
  require(!plan.variants.empty() && plan.variants.size() <= 64, "variants");
  return plan;
}

}  // namespace edgekit
