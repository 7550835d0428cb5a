// Runs a plan of `edgekit device run --dry-run --no-preprocess` with ExecuTorch, without an app: on Linux, or on a phone by `adb shell`.
//
//     native_runner FOLDER PROCESS    reads FOLDER/plan.json, writes FOLDER/report-PROCESS.json
//
// On the way it keeps partial-PROCESS.json; told to end (Ctrl-C, a closed shell, SIGTERM), it writes that once more and ends with 1.

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>

#include "run.hpp"

namespace {

volatile std::sig_atomic_t told_to_end = 0;

/// Into a hidden file, synced, then renamed: a reader never sees half of a report.
void place(const std::string& folder, const std::string& name, const std::string& text) {
  const std::string staged = folder + "/." + name;
  std::FILE* file = std::fopen(staged.c_str(), "wb");
  const bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0 && fsync(fileno(file)) == 0;
  if (file == nullptr || std::fclose(file) != 0 || !written || std::rename(staged.c_str(), (folder + "/" + name).c_str()) != 0) {
    throw edgekit::Refused("cannot write " + name);
  }
}

}  // namespace

int main(int count, char** words) {
  if (count != 3 || std::string(words[2]).find_first_not_of("0123456789") != std::string::npos || std::string(words[2]).size() > 2) {
    std::cerr << "native_runner FOLDER PROCESS\n";
    return 2;
  }
  try {
    const std::string folder = words[1], process = words[2];
    std::ifstream stream(folder + "/plan.json");
    std::stringstream text;
    text << stream.rdbuf();
    const edgekit::Plan plan = edgekit::read_plan(edgekit::parse(text.str()));
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, [](int) { told_to_end = 1; });
    const auto write = [&](const edgekit::Json& report, bool complete) {
      place(folder, (complete ? "report-" : "partial-") + process + ".json", report.canonical() + "\n");
    };
    if (!edgekit::run(plan, std::stoll(process), folder, write, [] { return told_to_end != 0; })) {
      std::cerr << "cut short: what was measured is in partial-" << process << ".json\n";
      return 1;
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
