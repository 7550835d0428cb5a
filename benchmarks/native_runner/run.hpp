// The run loop: open every model, first call, warm-up, then samples in turn, A B B A; as the apps do it.
#pragma once

#include <functional>
#include <string>

#include "plan.hpp"

namespace edgekit {

using Write = std::function<void(const Json& report, bool complete)>;

/// Carries out one process of a plan whose models lie in `folder`. `write` is given the report as it is so far every few seconds, and the whole one at
/// the end. Where `is_cut` holds after a round, what there is is written and false returned.
bool run(const Plan& plan, int64_t process, const std::string& folder, const Write& write, const std::function<bool()>& is_cut);

}  // namespace edgekit
