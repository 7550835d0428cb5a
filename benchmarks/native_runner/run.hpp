// The run loop: open every model, first call, warm-up, then samples in turn, A B B A; as the apps do it.
#pragma once

#include <functional>
#include <string>

#include "plan.hpp"

namespace edgekit {

/// Carries out one process of a plan whose models lie in ``folder``; ``write`` is given the report as it is so far, and the whole one at the end.
void run(const Plan& plan, int64_t process, const std::string& folder, const std::function<void(const Json&, bool complete)>& write);

}  // namespace edgekit
