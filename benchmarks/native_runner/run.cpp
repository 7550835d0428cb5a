#include "run.hpp"

#include <sys/utsname.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>

#include "engine.hpp"
#include "sha256.hpp"

namespace edgekit {
namespace {

using Times = std::vector<int64_t>;

constexpr int64_t kKeepNs = 5'000'000'000;

int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

int64_t percentile(Times samples, int64_t share) {
  std::sort(samples.begin(), samples.end());
  return samples[static_cast<size_t>((share * static_cast<int64_t>(samples.size()) + 99) / 100 - 1)];
}

int64_t mean(const Times& samples) {
  int64_t sum = 0;
  for (const int64_t sample : samples) sum += sample;
  const auto count = static_cast<int64_t>(samples.size());
  return (2 * sum + count) / (2 * count);
}

Json summary(const Times& samples) {
  Times sorted = samples;
  std::sort(sorted.begin(), sorted.end());
  const auto cut = static_cast<std::ptrdiff_t>(sorted.size() * 200 / 2000);
  Object found;
  found["n"] = static_cast<int64_t>(samples.size());
  found["min"] = sorted.front();
  found["p50"] = percentile(samples, 50);
  found["p90"] = percentile(samples, 90);
  found["p99"] = samples.size() >= 100 ? Json(percentile(samples, 99)) : Json();
  found["max"] = sorted.back();
  found["mean"] = mean(samples);
  found["trimmed_mean"] = mean(Times(sorted.begin() + cut, sorted.end() - cut));
  return found;
}

bool settled(const Times& samples, int64_t window, int64_t permille) {
  if (static_cast<int64_t>(samples.size()) < 2 * window) return false;
  const int64_t before = percentile(Times(samples.end() - 2 * window, samples.end() - window), 50);
  const int64_t last = percentile(Times(samples.end() - window, samples.end()), 50);
  return std::abs(last - before) * 1000 <= permille * before;
}

Tensor filled(const TensorSpec& spec, int64_t seed) {
  uint32_t state = 0x811C9DC5;
  for (const char byte : spec.name) state = (state ^ static_cast<uint8_t>(byte)) * 0x01000193u;
  state ^= static_cast<uint32_t>(seed);
  const size_t size = spec.element_bytes();
  Tensor tensor{std::vector<uint8_t>(size * static_cast<size_t>(spec.elements()))};
  if (spec.fill == "zeros") return tensor;
  for (int64_t number = 0; number < spec.elements(); ++number) {
    state = state * 1'664'525u + 1'013'904'223u;
    uint8_t* at = tensor.bytes.data() + static_cast<size_t>(number) * size;
    if (spec.dtype == "float32") {
      const float value = spec.fill == "never" ? std::numeric_limits<float>::infinity() : static_cast<float>(state >> 8) / 16777216.0f;
      std::memcpy(at, &value, sizeof value);
    } else if (spec.dtype == "uint8") {
      *at = static_cast<uint8_t>(state >> 24);
    } else {
      const int64_t value = (state >> 8) % 100;
      std::memcpy(at, &value, size);
    }
  }
  return tensor;
}

/// What the process holds now and held at most, in bytes.
Object memory(int64_t before) {
  std::ifstream status("/proc/self/status");
  Object found{{"basis", "rss"}};
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string name;
    int64_t kilobytes = 0;
    words >> name >> kilobytes;
    if (name == "VmRSS:") found["before_bytes"] = before > 0 ? before : kilobytes * 1024;
    if (name == "VmHWM:") found["peak_bytes"] = std::max(before, kilobytes * 1024);
  }
  return found;
}

/// One variant on its way.
class Running {
 public:
  Running(const Variant& variant, const Plan& plan) : variant_(variant), plan_(plan) {}

  bool goes_on() const { return error_.empty() && stop_reason_.empty(); }
  bool has_something() const { return !error_.empty() || !samples_.empty(); }

  void prepare(const std::string& folder) {
    guarded("load_failed", [&] {
      if (variant_.engine != "executorch" || variant_.compute != "cpu") throw Refused("engine: this runner has ExecuTorch on the CPU");
      const std::string path = folder + "/" + variant_.model;
      sha256_ = sha256_of_file(path);
      if (sha256_ != variant_.sha256) throw Refused("sha256: the file here is another");
      before_ = memory(0).at("before_bytes").integer();
      Object load;
      load["open"] = timed([&] { session_ = open_executorch(path, variant_.threads); });
      load["entry"] = timed([&] {
        for (const Stage& stage : variant_.stages) session_->load(stage.entry);
      });
      for (const Stage& stage : variant_.stages) {
        for (const TensorSpec& spec : stage.inputs) {
          if (spec.fill != "handed_on") inputs_[spec.name] = filled(spec, plan_.seed);
        }
      }
      load["first_call"] = timed([&] { classify(); });
      load_ = load;
    });
    guarded("run_failed", [&] {
      while (static_cast<int64_t>(warmup_.size()) < plan_.warmup_max &&
             !(static_cast<int64_t>(warmup_.size()) >= plan_.warmup_min && settled(warmup_, plan_.window, plan_.rel_permille))) {
        warmup_.push_back(timed([&] { classify(); }));
      }
    });
  }

  void sample() {
    guarded("run_failed", [&] {
      if (samples_.empty()) began_ = now_ns();
      samples_.push_back(timed([&] { classify(); }));
      exits_.push_back(exit_);
      const auto count = static_cast<int64_t>(samples_.size());
      const int64_t elapsed = now_ns() - began_;
      const bool is_settled = plan_.settled_stops && elapsed >= plan_.min_ms * 1'000'000 && settled(samples_, plan_.window, plan_.rel_permille);
      if (count >= plan_.max) {
        stop_reason_ = "count";
      } else if (count >= plan_.min) {
        stop_reason_ = elapsed >= plan_.max_ms * 1'000'000 ? "time" : is_settled ? "settled" : "";
      }
    });
  }

  void close() { session_.reset(); }

  Json result() const {
    const bool ok = error_.empty(), cut = goes_on();
    const std::string said = cut ? "the run was cut short: " + std::to_string(samples_.size()) + " samples of at most " + std::to_string(plan_.max) : error_;
    Object found;
    found["variant"] = variant_.id;
    found["status"] = cut ? "invalid" : ok ? "ok" : status_;
    found["error"] = said.empty() ? Json() : Json(said.substr(0, 1000));
    found["model_sha256"] = sha256_.empty() ? variant_.sha256 : sha256_;
    found["engine"] = Object{{"name", variant_.engine}, {"version", executorch_version()}};
    found["requested"] = variant_.compute;
    found["actual"] = ok ? Json("cpu") : Json();
    found["actual_basis"] = ok ? "runtime" : "unknown";
    found["load_ns"] = load_.empty() ? Json() : Json(load_);
    found["cache"] = "unknown";
    found["warmup_ns"] = warmup_;
    found["samples_ns"] = ok ? samples_ : Times();
    found["preprocess_ns"] = Times();
    found["exits"] = ok && variant_.policy ? Json(exits_) : Json();
    found["stop_reason"] = cut ? Json("cut") : ok ? Json(stop_reason_) : Json();
    found["memory"] = ok ? peak() : Json();
    found["operators"] = Json();
    found["summary"] = ok ? summary(samples_) : Json();
    found["output_digest"] = Json();
    Times bits;
    if (ok) {
      Sha256 digest;
      digest.update(output_.bytes.data(), output_.bytes.size());
      found["output_digest"] = digest.hexadecimal();
      const bool is_float = variant_.stages[static_cast<size_t>(exit_) - 1].outputs.front().dtype == "float32";
      for (size_t at = 0; is_float && at + 4 <= output_.bytes.size() && bits.size() < 64; at += 4) {
        uint32_t word = 0;
        std::memcpy(&word, output_.bytes.data() + at, 4);
        bits.push_back(word);
      }
    }
    found["output_bits"] = bits;
    return found;
  }

 private:
  Json peak() const {
    Object found = memory(before_);
    found["before_bytes"] = before_;
    return found;
  }

  /// Stage after stage until the policy lets the sample go; what is behind that exit is not called.
  void classify() {
    std::map<std::string, Tensor> handed_on;
    for (size_t number = 0; number < variant_.stages.size(); ++number) {
      const Stage& stage = variant_.stages[number];
      std::vector<const Tensor*> given;
      for (const TensorSpec& spec : stage.inputs) given.push_back(spec.fill == "handed_on" ? &handed_on.at(spec.name) : &inputs_.at(spec.name));
      std::vector<Tensor> outputs = session_->run(stage, given);
      exit_ = static_cast<int64_t>(number) + 1;
      if (number + 1 == variant_.stages.size() || leaves(stage, outputs)) {
        output_ = std::move(outputs.front());
        return;
      }
      std::map<std::string, Tensor> next;
      for (size_t place = 0; place < outputs.size(); ++place) next[stage.outputs[place].name] = std::move(outputs[place]);
      handed_on = std::move(next);
    }
  }

  bool leaves(const Stage& stage, const std::vector<Tensor>& outputs) const {
    if (variant_.policy->exit) return exit_ >= *variant_.policy->exit;
    const std::optional<int64_t>& threshold = variant_.policy->thresholds_micro[static_cast<size_t>(exit_) - 1];
    for (size_t place = 0; place < outputs.size(); ++place) {
      if (stage.outputs[place].name != "confidence") continue;
      float sure = 0;
      std::memcpy(&sure, outputs[place].bytes.data(), sizeof sure);
      if (std::isnan(sure) || !threshold) return false;
      return static_cast<int64_t>(std::floor(std::clamp(static_cast<double>(sure) * 1e6, 0.0, 1e6))) >= *threshold;
    }
    throw Refused("policy: " + stage.entry + " gives no confidence");
  }

  template <typename Step>
  static int64_t timed(Step step) {
    const int64_t start = now_ns();
    step();
    return std::max<int64_t>(now_ns() - start, 1);
  }

  template <typename Step>
  void guarded(const char* status, Step step) {
    if (!error_.empty()) return;
    try {
      step();
    } catch (const std::exception& error) {
      status_ = status;
      error_ = error.what();
    }
  }

  const Variant& variant_;
  const Plan& plan_;
  std::unique_ptr<Session> session_;
  std::map<std::string, Tensor> inputs_;
  Tensor output_;
  Object load_;
  Times warmup_, samples_, exits_;
  std::string status_, error_, stop_reason_, sha256_;
  int64_t exit_ = 0, began_ = 0, before_ = 0;
};

Json facts() {
  utsname system{};
  uname(&system);
#ifdef __ANDROID__
  const char* platform = "android";
#else
  const char* platform = "linux";
#endif
  return Object{{"platform", platform}, {"model", system.machine}, {"soc", Json()}, {"os", std::string(system.sysname) + " " + system.release}, {"debuggable", Json()}};
}

}  // namespace

bool run(const Plan& plan, int64_t process, const std::string& folder, const Write& write, const std::function<bool()>& is_cut) {
  List env;
  const auto read = [&] {
    env.push_back(Object{{"t_ns", now_ns()}, {"thermal", Json()}, {"battery_pct", Json()}, {"charging", Json()}, {"low_power", Json()}});
  };
  std::vector<std::unique_ptr<Running>> running;
  for (const Variant& variant : plan.variants) running.push_back(std::make_unique<Running>(variant, plan));
  const auto report = [&](bool complete) {
    List results;
    for (const auto& one : running) {
      if (complete || one->has_something()) results.push_back(one->result());
    }
    write(Object{{"schema", "latency-report/1"}, {"run_id", plan.run_id}, {"process", process}, {"complete", complete},
                 {"harness", Object{{"name", "native_runner"}, {"version", "1"}}}, {"device", facts()}, {"env", env}, {"results", std::move(results)}},
          complete);
  };
  read();
  for (const auto& one : running) one->prepare(folder);
  int64_t written = now_ns();
  for (int64_t round = 0; round < plan.max; ++round) {
    bool any = false;
    for (size_t place = 0; place < running.size(); ++place) {
      Running& one = *running[(round + process) % 2 == 0 ? place : running.size() - 1 - place];
      if (!one.goes_on()) continue;
      any = true;
      one.sample();
    }
    if (!any) break;
    read();
    const bool cut = is_cut();
    if (cut || now_ns() - written >= kKeepNs) {  // between samples, and rarely: writing is no part of what is timed
      report(false);
      written = now_ns();
    }
    if (cut) return false;
    if (plan.cooldown_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(plan.cooldown_ms));
  }
  for (const auto& one : running) one->close();
  read();
  report(true);
  return true;
}

}  // namespace edgekit
