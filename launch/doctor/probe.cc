#include "launch/doctor/probe.h"

#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <variant>

#include "launch/doctor/look_at_host.h"
#include "launch/doctor/pair_trial.h"
#include "launch/doctor/probe_lines.h"

namespace cohort {
namespace {

void Reply(const ProbeLine& line) {
  const std::string text = ToLine(line) + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

Status RunProbe(const std::string& version) {
  ZmqContext context;
  std::unique_ptr<EchoEnd> end;
  for (std::string text; std::getline(std::cin, text);) {
    const Result<ProbeOrder> order = OrderFromLine(text);
    if (!order)
      return {ErrorCode::kInvalidInput,
              "a probe obeys `cohort doctor` alone, and this is no order of its: " + order.error().text()};
    if (const auto* look = std::get_if<LookOrder>(&*order)) {
      HostFacts facts = LookAtHost(*look, version, [](const std::string& stage) { Reply(StageLine{stage}); });
      if (!facts.address.empty()) {
        auto opened = EchoEnd::Open(context, facts.address);
        if (opened) {
          end = std::move(*opened);
          facts.endpoint = end->endpoint();
        } else {
          facts.address_error = opened.error().text();
        }
      }
      Reply(facts);
    } else if (std::holds_alternative<ClockOrder>(*order)) {
      Reply(ClockLine{std::chrono::duration_cast<std::chrono::nanoseconds>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count()});
    } else {
      const PairsOrder& pairs = std::get<PairsOrder>(*order);
      Reply(CallAll(context, pairs.self, pairs.endpoints,
                    std::chrono::duration_cast<Duration>(std::chrono::duration<double>(pairs.seconds))));
    }
  }
  return {};
}

}  // namespace cohort
